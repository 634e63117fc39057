"""``history``: which buckets a query is made of, and what can't be delivered."""

import pytest

from exporter.config import ConfigError, load_to_run, shown
from exporter.model import History

SOURCES = """\
sources:
  mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: s}}
remote_write: {url: "http://p/api/v1/write"}
queries:
"""


@pytest.fixture
def history(configured):
    """Load one query with history, and give its settings."""

    def history(body, source="mm", defaults=""):
        text = f"{defaults}{SOURCES}  - {{name: q, source: {source}, history: true, {body}}}\n"
        config = configured(text)
        assert configured(shown.text(config)).queries == config.queries
        return config.queries[0].history

    return history


@pytest.fixture
def faults(errors):
    def faults(body, source="mm"):
        lines = errors(f"{SOURCES}  - {{name: q, source: {source}, history: true, {body}}}\n")
        return [line.removeprefix("c.yaml:6: queries[0].") for line in lines]

    return faults


def test_without_it_there_is_none(configured):
    (query,) = configured(f"{SOURCES}  - {{name: q, source: mm, metrics: [views]}}\n").queries
    assert query.history is None
    assert "catch_up" not in shown.text(configured(f"{SOURCES}  - {{name: q, source: mm, metrics: [views]}}\n"))


def test_the_defaults(history):
    assert history("metrics: [views]") == History(step=60, settle=900, catch_up=86_400, requests=120)


def test_a_query_says_otherwise_than_the_defaults(history):
    defaults = "defaults: {settle: 1h, catch_up: 2d, step: 5m}\n"
    own = history("metrics: [views], settle: 30m, catch_up_requests: 7", defaults=defaults)
    assert own == History(step=300, settle=1800, catch_up=172_800, requests=7)


@pytest.mark.parametrize(
    ("interval", "step"), [("1m", 60), ("5m", 60), ("10m", 60), ("30s", 60), ("90s", 60), ("1h", 60), ("1d", 60)]
)
@pytest.mark.parametrize(("source", "metric"), [("mm", "views"), ("ibm", "peak_viewers"), ("ibm", "total_views")])
def test_buckets_are_the_shortest_that_the_vendor_has(history, source, metric, interval, step):
    dimensions = "dimensions: [content_id]" if metric == "peak_viewers" else ""
    assert history(f"metrics: [{metric}], {dimensions}, interval: {interval}".replace(", ,", ","), source).step == step


def test_buckets_of_a_calendar_are_those_of_the_vendor(history):
    assert history("metrics: [total_views], options: {bucket: hour}", "ibm").step == 3600
    assert history("metrics: [total_views], options: {bucket: day}, interval: 5m", "ibm").step == 86_400


def test_a_bucket_has_the_time_to_be_asked_for(history):
    assert history("metrics: [views], catch_up: 1m").catch_up == 240
    assert history("metrics: [views], step: 1d").catch_up == 2 * 86_400 + 120


@pytest.mark.parametrize(
    ("body", "source", "fault"),
    [
        ("metrics: [views], step: 7m", "mm", "step: SmartSight has no buckets of 7m; it has 1m, 5m, 10m, 1h, 1d"),
        (
            "metrics: [active_view_segments]",
            "ibm",
            "history: `active_view_segments` is a number of now, and has no past",
        ),
        ("metrics: [views], settle: soon", "mm", "settle: is no duration"),
        ("metrics: [views], catch_up_requests: 0", "mm", "catch_up_requests: must be at least 1"),
        ("metrics: [views], catchup: 1h", "mm", "catchup: unknown key (did you mean `catch_up`?)"),
    ],
)
def test_a_fault_says_what_is_wrong(faults, body, source, fault):
    (found,) = faults(body, source)
    assert found.startswith(fault)


def test_history_needs_a_receiver(errors):
    text = SOURCES.replace('remote_write: {url: "http://p/api/v1/write"}\n', "")
    queries = (
        "  - {name: a, source: mm, metrics: [views]}\n  - {name: b, source: mm, metrics: [views], history: true}\n"
    )
    needs = "history: needs `remote_write`, which says where it is delivered to"
    assert errors(text + queries) == [f"c.yaml:6: queries[1].{needs}"]
    found = errors(f"defaults: {{history: true}}\n{text}{queries}")
    assert found == [f"c.yaml:1: defaults.{needs}", f"c.yaml:7: queries[1].{needs}"]


def test_history_needs_a_place_to_keep_how_far_it_has_come(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(f"{SOURCES}  - {{name: q, source: mm, metrics: [views], history: true}}\n")
    assert load_to_run(file, {}, tmp_path).delivers
    with pytest.raises(ConfigError, match=r"`history: true` of `q` needs --storage\.path"):
        load_to_run(file, {}, None)
    file.write_text(f"{SOURCES}  - {{name: q, source: mm, metrics: [views]}}\n")
    assert not load_to_run(file, {}, None).delivers
