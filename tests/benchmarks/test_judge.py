from dataclasses import replace

import pytest
from judge import FIRST_POLL, SCRAPE, SLACK, Rule, Seen, Verdict, judge

from exporter.model import Window

WINDOW = Window(990, 1000)
A = ("smartsight_plays", (("cdn", "a"), ("query", "q"), ("source", "mm")))
B = ("smartsight_plays", (("cdn", "b"), ("query", "q"), ("source", "mm")))
TRUTH = {A: 1.0, B: 2.0}
ANSWERED = 1003.0
GOOD = Seen(
    at=1005.0,
    took=0.01,
    up=True,
    series=TRUTH,
    success=1,
    last_success=1003.0,
    window_end=1000,
    born=900.0,
)
NOTHING = replace(GOOD, series={})


def rule(answers=(ANSWERED,), truth=TRUTH):
    told = {WINDOW: list(answers)}
    return Rule(10, 8, lambda window: truth if window == WINDOW else {}, lambda window: told.get(window, []))


def verdict(seen, **known):
    return judge(seen, rule(**known)).verdict


def test_all_of_an_answer_is_right():
    assert verdict(GOOD) is Verdict.RIGHT


def test_the_last_good_answer_is_right_while_polls_fail():
    assert verdict(replace(GOOD, success=0)) is Verdict.RIGHT


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ({A: 1.0}, "1 missing, such as smartsight_plays{cdn='b'}"),
        (TRUTH | {("smartsight_plays", (("cdn", "c"),)): 3.0}, "1 too many"),
        (TRUTH | {B: 2.0000000000000004}, "1 other values, such as smartsight_plays{cdn='b'} 2.0000000000000004"),
        ({A: 1.0, ("smartsight_views", B[1]): 2.0}, "1 missing"),
    ],
    ids=["missing", "too many", "another value", "another name"],
)
def test_anything_but_the_whole_answer_is_wrong(series, words):
    finding = judge(replace(GOOD, series=series), rule())
    assert finding.verdict is Verdict.WRONG
    assert words in finding.why


def test_values_of_another_window_than_the_claimed_one_are_wrong():
    assert verdict(replace(GOOD, window_end=1010)) is Verdict.WRONG


def test_values_that_claim_no_window_are_wrong():
    assert verdict(replace(GOOD, window_end=None)) is Verdict.WRONG


@pytest.mark.parametrize("answers", [[], [1005.5]], ids=["never", "only after the scrape"])
def test_values_that_the_vendor_never_told_whole_are_wrong(answers):
    assert verdict(GOOD, answers=answers) is Verdict.WRONG


def test_values_are_right_until_max_age_and_wrong_beyond():
    last = ANSWERED + 8 + SCRAPE + SLACK
    assert verdict(replace(GOOD, at=last)) is Verdict.RIGHT
    assert verdict(replace(GOOD, at=last + 0.1)) is Verdict.WRONG


def test_an_answer_that_was_told_anew_is_young_again():
    assert verdict(replace(GOOD, at=1019.0), answers=[ANSWERED, 1015.0]) is Verdict.RIGHT


def test_samples_of_a_failed_scrape_are_wrong():
    assert verdict(replace(GOOD, up=False)) is Verdict.WRONG


@pytest.mark.parametrize(
    "seen",
    [
        replace(NOTHING, up=False),
        replace(NOTHING, success=0),
        replace(NOTHING, at=1003.0 + 8),
        replace(NOTHING, success=None, last_success=None, window_end=None, born=1004.0),
    ],
    ids=["down", "failed", "too old", "before the first poll"],
)
def test_nothing_is_visible_where_the_exporter_says_so(seen):
    assert verdict(seen) is Verdict.VISIBLE


@pytest.mark.parametrize(
    "seen",
    [
        NOTHING,
        replace(NOTHING, last_success=None),
        replace(NOTHING, window_end=None),
        replace(NOTHING, success=None, born=1005.0 - FIRST_POLL - 1),
        replace(NOTHING, success=None, born=None),
    ],
    ids=["success", "never succeeded", "no window", "no word long after the start", "no word at all"],
)
def test_nothing_is_unseen_where_the_exporter_says_that_all_is_well(seen):
    assert verdict(seen) is Verdict.UNSEEN


def test_nothing_is_right_for_an_empty_answer():
    assert verdict(NOTHING, truth={}) is Verdict.RIGHT
    assert verdict(NOTHING, truth={}, answers=[]) is Verdict.UNSEEN


def test_something_is_wrong_for_an_empty_answer():
    assert verdict(GOOD, truth={}) is Verdict.WRONG
