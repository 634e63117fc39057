"""Which query shows what, and in which words."""

import pytest

from exporter.config import load
from exporter.dashboards.explorer import explorer
from exporter.dashboards.facts import BUFFERING, FAILURE, PLAYS, STARTUP
from exporter.dashboards.feeds import feeds
from exporter.dashboards.offer import Offer, among, once, spent

P95 = "smartsight_startup_time_p95_seconds"
SOURCES = """
sources:
  mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}
  us: {type: smartsight, customer_id: 2, auth: {api_key: k}}
  old: {type: smartsight, customer_id: 1, auth: {username: u, password: p, token_url: "http://login/"}}
queries:
"""


@pytest.fixture
def offer():
    """Make what some queries show; each is a line of YAML."""

    def offer(*queries):
        text = SOURCES + "".join(f"  - {{{query}}}\n" for query in queries)
        return Offer(feeds(load(text, name="config.yaml", env={})))

    return offer


def asked(offer, *arguments):
    shown = offer.shown(*arguments)
    return shown and [feed.name for feed in shown.feeds]


def test_a_query_with_just_these_labels_is_shown_as_it_is(offer):
    shown = offer("name: q, source: mm, metrics: [p95_latency], dimensions: [cdn]").shown(P95, ("cdn",))
    assert shown.expr == (
        'max by (source, cdn) (smartsight_startup_time_p95_seconds{job=~"$job", instance=~"$instance", '
        'source=~"$source", query="q", cdn=~"$cdn"})'
    )


def test_counts_are_added_up_and_ratios_averaged_by_what_they_are_shares_of(offer):
    found = offer("name: q, source: mm, metrics: [attempts, failurerate], dimensions: [cdn, country]")
    chosen = '{job=~"$job", instance=~"$instance", source=~"$source", query="q", cdn=~"$cdn", country=~"$country"}'
    by = ("cdn", "country")
    ratio, attempts = f"smartsight_startup_failure_ratio{chosen}", f"smartsight_attempts{chosen}"
    assert found.shown("smartsight_attempts", ("cdn",)).expr == f"sum by (source, cdn) ({once(attempts, by)})"
    assert found.shown(FAILURE, ("cdn",)).expr == (
        f"sum by (source, cdn) ({once(f'{ratio} * {attempts}', by)})\n/\n"
        f"(sum by (source, cdn) ({once(f'{attempts} and {ratio}', by)}) > 0)"
    )


def test_replicas_of_an_exporter_count_once():
    assert once("plays", ("cdn",)) == "max by (source, cdn) (plays)"


@pytest.mark.parametrize("metrics", ["p95_latency, viewercount", "uniqueviewercount, viewercount", "latency"])
def test_what_cannot_be_added_up_is_not(offer, metrics):
    found = offer(f"name: q, source: mm, metrics: [{metrics}], dimensions: [cdn, country]")
    (role, *_) = found.feeds[0].measures
    assert found.shown(role, ("cdn",)) is None
    assert found.shown(role) is None
    assert found.shown(role, ("country", "cdn"))


def test_a_part_of_the_rows_is_no_total(offer):
    for part in ("top: 5", "having: latency>3"):
        found = offer(f"name: q, source: mm, metrics: [viewercount], dimensions: [cdn], {part}")
        assert found.shown(PLAYS) is None
        assert found.shown(PLAYS, ("cdn",))


def test_the_least_narrow_query_is_taken_then_the_one_with_just_these_labels(offer):
    found = offer(
        "name: ios, source: mm, metrics: [viewercount], filters: {platform: iOS}",
        "name: split, source: mm, metrics: [viewercount, latency, attempts], dimensions: [cdn]",
        "name: total, source: mm, metrics: [viewercount]",
    )
    assert asked(found, PLAYS) == ["total"]
    assert asked(Offer(found.feeds[:2]), PLAYS) == ["split"]
    assert asked(Offer(found.feeds[:1]), PLAYS) == ["ios"]


def test_each_source_has_its_own_query_and_none_counts_twice(offer):
    found = offer(
        "name: both, source: [mm, us], metrics: [viewercount]",
        "name: better, source: us, metrics: [viewercount, latency]",
    )
    shown = found.shown(PLAYS)
    assert [feed.name for feed in shown.feeds] == ["both", "better"]
    both, better = shown.expr.split("\nor\n")
    assert 'source=~"mm", query="both"' in both
    assert 'source=~"$source", query="better"' in better


def test_what_tells_the_same_plays_again_is_only_taken_where_nothing_else_does(offer):
    deprecated = "name: old, source: old, metrics: [viewercount], endpoint: session"
    assert asked(offer(deprecated), PLAYS) == ["old"]
    assert asked(offer(deprecated, "name: new, source: mm, metrics: [viewercount]"), PLAYS) == ["new"]
    by_error = "name: e, source: old, metrics: [viewercount, errors], dimensions: [errorcode], endpoint: error"
    assert asked(offer(by_error), PLAYS) is None
    assert asked(offer(by_error), "smartsight_errors", ("errorcode",)) == ["e"]


def test_a_budget_is_counted_a_window_at_a_time_and_by_volume(offer):
    found = offer("name: q, source: mm, metrics: [viewercount, latency, bufferingratio, playdur], window: 10m")
    expr = spent(found, BUFFERING, "1d")
    assert expr.count("[1d:600s]") == 2
    assert "smartsight_playtime_seconds" in expr
    assert spent(found, FAILURE, "1d") is None
    without = offer("name: q, source: mm, metrics: [bufferingratio]")
    assert spent(without, BUFFERING, "1d") is None


def test_small_groups_are_left_out_of_each_source_s_query(offer):
    found = offer(
        "name: a, source: mm, metrics: [viewercount, latency], dimensions: [cdn]",
        "name: b, source: us, metrics: [viewercount, latency], dimensions: [cdn]",
    )
    expr, told = among(found, found.shown(STARTUP, ("cdn",)))
    assert f"(({found.shown(PLAYS, ('cdn',)).expr}) > on (source) group_left ()" in expr
    assert told == "Left out are groups with less than a hundredth of the plays."
    alone = offer("name: a, source: mm, metrics: [latency], dimensions: [cdn]")
    shown = alone.shown(STARTUP, ("cdn",))
    assert among(alone, shown) == (shown.expr, "")


def test_labels_that_a_scrape_has_already_are_asked_by_the_name_that_prometheus_gives_them(offer):
    found = offer("name: q, source: mm, metrics: [latency], dimensions: [instance, row]")
    shown = found.shown(STARTUP, ("exported_instance", "row"))
    assert 'exported_instance=~"$exported_instance", row=~"$label_row"' in shown.expr


def test_the_explorer_weighs_buffering_by_watch_time_where_the_chosen_query_has_it(offer):
    board = explorer(
        offer(
            "name: plays, source: mm, metrics: [viewercount, latency, bufferingratio], dimensions: [cdn]",
            "name: both, source: mm, metrics: [viewercount, playdur, bufferingratio], dimensions: [cdn, country]",
        )
    )
    added, by_watch_time, by_plays = board.panels[0].targets[0].expr.split("\nor\n")
    assert "smartsight_plays" in added
    assert '__name__=~"smartsight_buffering_ratio"' in by_watch_time
    assert "* smartsight_playtime_seconds" in by_watch_time
    assert '__name__=~"smartsight_buffering_ratio|smartsight_startup_time_seconds"' in by_plays
