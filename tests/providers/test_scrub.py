import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.providers.errors import LONGEST_EXPLANATION
from exporter.providers.scrub import echoes, hidden, scrub, unescaped

SECRET = 'p4ss/wörd "with" +&='
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40).filter(
    lambda text: text.strip() == text and text not in "<secret>"
)


@pytest.mark.parametrize(
    "spelled",
    [SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), json.dumps(SECRET)[1:-1]],
)
def test_a_secret_goes_however_it_is_spelled(spelled):
    assert scrub(f"no access with {spelled}{spelled}!", [SECRET]) == "no access with <secret><secret>!"


@given(plain, secrets, st.sampled_from([str, quote, quote_plus, lambda text: json.dumps(text)[1:-1]]), plain)
def test_no_secret_is_left_wherever_it_stands(before, secret, spell, after):
    shown = scrub(before + spell(secret) + after, [secret])
    assert secret not in shown.replace("<secret>", "")


def test_a_secret_that_stands_in_another_leaves_nothing_of_it():
    assert scrub("key abc-def, abc", ["abc", "abc-def"]) == "key <secret>, <secret>"


def test_a_secret_across_the_cut_does_not_show_its_beginning():
    assert "hunter" not in scrub("x" * (LONGEST_EXPLANATION - 4) + "hunter22", ["hunter22"])


@pytest.mark.parametrize("secrets", [[], ["not in it"]])
def test_a_text_without_secrets_stays(secrets):
    assert scrub("HTTP 500: für 3 % “so”", secrets) == "HTTP 500: für 3 % “so”"


@given(st.text(st.characters() | st.sampled_from("\n\r\t\0\x1b\u2028\u202e\ud800"), max_size=2 * LONGEST_EXPLANATION))
def test_what_is_shown_is_one_line_not_too_long_and_harms_no_reader(text):
    shown = scrub(text, [])
    assert len(shown) <= LONGEST_EXPLANATION
    assert shown.isprintable()  # no line ends, no terminal's commands, nothing that UTF-8 can't spell
    shown.encode()


def test_what_can_t_be_shown_does_not_glue_words():
    assert scrub("two\nlines\x1b[31mred\ud800end", []) == "two lines [31mred end"


@pytest.mark.parametrize(
    "spelled",
    [
        quote(SECRET, safe="").lower(),
        SECRET.replace("&", "&amp;").replace('"', "&quot;"),
        base64.b64encode(SECRET.encode()).decode(),
    ],
    ids=["lower-case percent", "HTML", "Base64"],
)
def test_a_secret_goes_in_spellings_that_proxies_make(spelled):
    assert scrub(f"no access with {spelled}", [SECRET]) == "no access with <secret>"


@pytest.mark.parametrize(
    "body",
    [
        rb'{"cdn": "abcdefgh\/ijkl&nop"}',
        rb'{"cdn": "abcdefgh/ijkl\u0026nop"}',
        rb'{"cdn": "\u0061bcdefgh/ijkl&nop"}',
        '{"cdn": "abcdefgh/ijkl&nop"}'.encode("utf-16"),
        rb'{"cdn": "abcdefgh\/ijkl&nop", "plays": NaN}',
        rb'{"cdn": "abcdefgh\/ijkl&nop", "half": "\ud800"}',
    ],
)
def test_a_secret_that_is_spelled_in_another_way_is_found_once_the_answer_is_plain(body):
    secrets = ("abcdefgh/ijkl&nop",)
    assert not echoes(body, secrets)
    assert hidden(body)
    assert echoes(unescaped(body), secrets)


def test_what_is_no_json_has_no_plain_form():
    assert unescaped(b'{"a": "\\') == b""
