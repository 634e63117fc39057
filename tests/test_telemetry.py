import platform
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import exporter
from exporter.config.units import seconds
from exporter.exposition import Format
from exporter.model import Exchange, Outcome, Window
from exporter.shard import Shard
from exporter.telemetry import Telemetry

NOW = 1_775_764_800.0
PREFIX = "video_analytics_exporter_"
PARSE = {Format.TEXT: parse_text, Format.OPENMETRICS: parse_openmetrics}

BY_QUERY = {"source", "query"}
REASONS = ("auth", "rate_limited", "timeout", "network", "server_error", "bad_request", "bad_response", "bug")

# The contract's table, section 4, Itself: type and labels.
CONTRACT = {
    "build_info": ("gauge", {"version", "revision", "pythonversion"}),
    "config_last_reload_successful": ("gauge", set()),
    "config_last_reload_success_timestamp_seconds": ("gauge", set()),
    "query_info": ("gauge", BY_QUERY | {"endpoint", "interval", "window", "delay"}),
    "query_success": ("gauge", BY_QUERY),
    "query_last_success_timestamp_seconds": ("gauge", BY_QUERY),
    "query_window_end_timestamp_seconds": ("gauge", BY_QUERY),
    "query_duration_seconds": ("histogram", BY_QUERY),
    "query_series": ("gauge", BY_QUERY),
    "query_polls_total": ("counter", BY_QUERY),
    "query_failures_total": ("counter", BY_QUERY | {"reason"}),
    "query_rows_dropped_total": ("counter", BY_QUERY | {"reason"}),
    "query_skipped_total": ("counter", BY_QUERY),
    "api_requests_total": ("counter", {"source", "endpoint", "code"}),
    "api_request_duration_seconds": ("histogram", {"source", "endpoint"}),
    "api_retries_total": ("counter", {"source"}),
    "api_throttled_seconds_total": ("counter", {"source"}),
    "api_rate_limit_remaining": ("gauge", {"source"}),
    "api_planned_requests_per_day": ("gauge", {"source"}),
    "api_token_expiry_timestamp_seconds": ("gauge", {"source"}),
    "api_circuit_open": ("gauge", {"source"}),
    "shard_ordinal": ("gauge", set()),
    "total_shards": ("gauge", set()),
}

MORE = {"query_interval_seconds": ("gauge", BY_QUERY), "query_delay_seconds": ("gauge", BY_QUERY)}
"""Beyond it: what tells whether data is late for the query that it is of."""


@pytest.fixture
def telemetry():
    return Telemetry(lambda: NOW, "abc123")


def value(telemetry, name, **labels):
    return telemetry.registry.get_sample_value(PREFIX + name, labels)


def outcome(query, **more):
    return Outcome(query, Window(0, 300), **{"ended": NOW - 1, "duration": 2.0} | more)


def everything(telemetry, query):
    telemetry.configured([query])
    telemetry.polled(outcome(query, series=5, dropped={"duplicate": 1, "limit": 2, "invalid": 3}))
    for reason in REASONS:
        telemetry.polled(outcome(query, reason=reason, error="No."))
    telemetry.skipped((query,))
    telemetry.requested(Exchange("mm", "metricquery", "200", 0.2))
    telemetry.throttled("mm", 1.5)
    telemetry.logged_in("mm", 3600)
    telemetry.retried("mm")
    telemetry.planned("mm", 1440.0)
    telemetry.remaining("mm", 7)


@pytest.mark.parametrize("form", Format)
def test_names_types_and_labels_are_those_of_the_contract(telemetry, make_query, form):
    everything(telemetry, make_query())
    found = {}
    for family in PARSE[form](telemetry.render(form).decode()):
        if family.name.startswith(PREFIX):
            name = family.name.removeprefix(PREFIX) + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = (family.type, labels)
    assert found == {name: {**CONTRACT, **MORE}[name] for name in found}
    assert found.keys() >= CONTRACT.keys()


def test_nothing_but_its_own_process_and_python_is_told(telemetry, make_query):
    everything(telemetry, make_query())
    families = [*telemetry.registry.collect(), *telemetry.passing.collect()]
    names = {family.name for family in families}
    assert len(names) == len(families), "both are shown on one page"
    assert all(name.startswith((PREFIX, "process_", "python_")) for name in names)
    assert b"_created" not in telemetry.render(Format.TEXT) + telemetry.render(Format.OPENMETRICS)


def test_openmetrics_ends_with_its_end(telemetry):
    assert telemetry.render(Format.OPENMETRICS).endswith(b"\n# EOF\n")
    assert b"# EOF" not in telemetry.render(Format.TEXT)


def test_the_build_and_the_configuration(telemetry, make_query):
    build = {"version": exporter.__version__, "revision": "abc123", "pythonversion": platform.python_version()}
    assert value(telemetry, "build_info", **build) == 1
    telemetry.configured([make_query(interval=90, window=86400 + 3600, delay=0)])
    assert value(telemetry, "config_last_reload_successful") == 1
    assert value(telemetry, "config_last_reload_success_timestamp_seconds") == NOW
    info = {"endpoint": "metricquery", "interval": "1m30s", "window": "1d1h", "delay": "0s"}
    assert value(telemetry, "query_info", source="mm", query="q", **info) == 1


@given(st.integers(0, 10**8))
def test_periods_are_written_as_prometheus_writes_them(make_query, period):
    telemetry = Telemetry(lambda: NOW)
    telemetry.configured([make_query(window=period)])
    (info,) = next(family for family in telemetry.registry.collect() if family.name == f"{PREFIX}query_info").samples
    assert seconds(info.labels["window"]) == period


def test_the_shard_is_told_and_without_others_is_the_only_one(telemetry):
    assert (value(telemetry, "shard_ordinal"), value(telemetry, "total_shards")) == (0, 1)
    telemetry = Telemetry(lambda: NOW, shard=Shard(2, 4))
    assert (value(telemetry, "shard_ordinal"), value(telemetry, "total_shards")) == (2, 4)


def test_counters_begin_with_zero_and_gauges_with_the_first_poll(telemetry, make_query):
    telemetry.configured([make_query()])
    assert value(telemetry, "query_polls_total", source="mm", query="q") == 0
    assert value(telemetry, "query_skipped_total", source="mm", query="q") == 0
    assert value(telemetry, "query_success", source="mm", query="q") is None


def test_a_poll_that_succeeds(telemetry, make_query):
    telemetry.polled(outcome(make_query(), series=7, dropped={"limit": 3}))
    by = {"source": "mm", "query": "q"}
    assert value(telemetry, "query_success", **by) == 1
    assert value(telemetry, "query_last_success_timestamp_seconds", **by) == NOW - 1
    assert value(telemetry, "query_window_end_timestamp_seconds", **by) == 300
    assert value(telemetry, "query_series", **by) == 7
    assert value(telemetry, "query_polls_total", **by) == 1
    assert value(telemetry, "query_duration_seconds_count", **by) == 1
    assert value(telemetry, "query_duration_seconds_sum", **by) == 2
    assert value(telemetry, "query_rows_dropped_total", **by, reason="limit") == 3


def test_a_poll_that_fails_leaves_what_the_last_good_one_said(telemetry, make_query):
    query, by = make_query(), {"source": "mm", "query": "q"}
    telemetry.polled(outcome(query, series=7))
    telemetry.polled(outcome(query, ended=NOW, reason="timeout", error="Late."))
    assert value(telemetry, "query_success", **by) == 0
    assert value(telemetry, "query_failures_total", **by, reason="timeout") == 1
    assert value(telemetry, "query_polls_total", **by) == 2
    assert value(telemetry, "query_duration_seconds_count", **by) == 2
    assert value(telemetry, "query_last_success_timestamp_seconds", **by) == NOW - 1
    assert value(telemetry, "query_series", **by) == 7


def test_requests_waits_and_tokens(telemetry):
    for code in ("200", "200", "429", "timeout"):
        telemetry.requested(Exchange("mm", "metricquery", code, 61))
    telemetry.throttled("mm", 1.5)
    telemetry.throttled("mm", 2)
    telemetry.logged_in("mm", 3600)
    by = {"source": "mm", "endpoint": "metricquery"}
    assert [value(telemetry, "api_requests_total", **by, code=code) for code in ("200", "429", "timeout")] == [2, 1, 1]
    assert value(telemetry, "api_request_duration_seconds_count", **by) == 4
    assert value(telemetry, "api_throttled_seconds_total", source="mm") == 3.5
    assert value(telemetry, "api_token_expiry_timestamp_seconds", source="mm") == NOW + 3600


def test_answers_as_slow_as_the_vendors_may_be_are_told_apart(telemetry):
    for duration in (59, 61, 199, 201):
        telemetry.requested(Exchange("mm", "metricquery", "200", duration))
    by = {"source": "mm", "endpoint": "metricquery"}
    counts = [value(telemetry, "api_request_duration_seconds_bucket", **by, le=le) for le in ("60.0", "200.0", "+Inf")]
    assert counts == [1, 3, 4]


@pytest.mark.parametrize("form", Format)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_query_of_any_name_is_told_in_a_way_that_can_be_read(make_query, form, name):
    telemetry = Telemetry(lambda: NOW)
    everything(telemetry, make_query(name=name))
    families = PARSE[form](telemetry.render(form).decode())
    names = {sample.labels["query"] for family in families for sample in family.samples if "query" in sample.labels}
    assert names == {name}


def test_help_texts_are_sentences(telemetry):
    for family in telemetry.registry.collect():
        if family.name.startswith(PREFIX):
            assert re.fullmatch(r"[A-Z].+\.", family.documentation)


# --- Another configuration, another process ---------------------------------------------------------------------------


def naming(telemetry, **labels):
    """The names of all samples that carry these labels."""
    return {
        sample.name.removeprefix(PREFIX)
        for family in telemetry.registry.collect()
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }


def test_of_a_query_that_is_gone_nothing_is_left_and_of_its_neighbours_all(telemetry, make_query):
    gone, stays, source = make_query(name="gone"), make_query(name="stays"), make_query(name="gone", source="other")
    telemetry.configured([gone, stays, source])
    for query in (gone, stays, source):
        telemetry.polled(outcome(query, series=5, dropped={"duplicate": 1, "limit": 2, "invalid": 3}))
        for reason in REASONS:
            telemetry.polled(outcome(query, reason=reason, error="No."))
        telemetry.skipped((query,))
    before = naming(telemetry, source="mm", query="stays")
    telemetry.configured([stays, source], {stays.key, source.key})
    assert naming(telemetry, source="mm", query="gone") == set()
    assert naming(telemetry, source="mm", query="stays") == before
    assert naming(telemetry, source="other", query="gone") == before
    assert value(telemetry, "query_polls_total", source="mm", query="stays") == 1 + len(REASONS)


def test_a_query_s_times_are_told_in_seconds_and_follow_the_configuration(telemetry, make_query):
    telemetry.configured([make_query(interval=90, delay=3600), make_query(name="gone")])
    assert value(telemetry, "query_interval_seconds", source="mm", query="q") == 90
    assert value(telemetry, "query_delay_seconds", source="mm", query="q") == 3600
    telemetry.configured([make_query(interval=300)])
    assert value(telemetry, "query_interval_seconds", source="mm", query="q") == 300
    assert value(telemetry, "query_delay_seconds", source="mm", query="q") == 120
    assert naming(telemetry, source="mm", query="gone") == set()


def test_what_alerts_count_begins_at_0(telemetry, make_query):
    """``increase()`` does not see a counter's first value."""
    telemetry.configured([make_query()])
    assert value(telemetry, "query_failures_total", source="mm", query="q", reason="auth") == 0
    assert value(telemetry, "query_rows_dropped_total", source="mm", query="q", reason="limit") == 0


def test_a_changed_query_begins_anew(telemetry, make_query):
    telemetry.configured([make_query()])
    telemetry.polled(outcome(make_query(), series=5, dropped={"limit": 2}))
    telemetry.configured([make_query(interval=120)])
    counted = ("query_polls_total", "query_skipped_total", "query_failures_total", "query_rows_dropped_total")
    assert naming(telemetry, source="mm", query="q") == {"query_info", *MORE, *counted}
    assert value(telemetry, "query_polls_total", source="mm", query="q") == 0
    infos = [family for family in telemetry.registry.collect() if family.name == f"{PREFIX}query_info"]
    assert [sample.labels["interval"] for sample in infos[0].samples] == ["2m"]


def test_of_a_source_that_is_gone_nothing_is_left_not_even_by_requests_that_end_late(telemetry, make_query):
    telemetry.configured([make_query(), make_query(source="stays")])

    def late(source):
        telemetry.requested(Exchange(source, "metricquery", "canceled", 0.2))
        telemetry.throttled(source, 1.5)
        telemetry.logged_in(source, 3600)
        telemetry.retried(source)
        telemetry.remaining(source, 7)

    for source in ("mm", "stays"):
        late(source)
        telemetry.circuit(source, is_open=True)
    before = naming(telemetry, source="stays")
    telemetry.configured([make_query(source="stays")], {("stays", "q")})
    assert naming(telemetry, source="mm") == set()
    late("mm")
    assert naming(telemetry, source="mm") == set()
    assert naming(telemetry, source="stays") == before


def test_a_file_that_can_t_be_used_leaves_the_time_of_the_last_good_one(make_query):
    now = [NOW]
    telemetry = Telemetry(lambda: now[0])
    telemetry.configured([make_query()])
    now[0] += 60
    telemetry.not_configured()
    assert value(telemetry, "config_last_reload_successful") == 0
    assert value(telemetry, "config_last_reload_success_timestamp_seconds") == NOW
    telemetry.configured([make_query()], {("mm", "q")})
    assert value(telemetry, "config_last_reload_successful") == 1
    assert value(telemetry, "config_last_reload_success_timestamp_seconds") == NOW + 60


@pytest.mark.parametrize("reason", ["", "timeout"])
def test_what_was_stored_is_told_with_its_own_times(telemetry, make_query, reason):
    query, by = make_query(), {"source": "mm", "query": "q"}
    telemetry.configured([query])
    good = Outcome(query, Window(60, 360), ended=NOW - 100, duration=1.0, series=7)
    telemetry.restored(outcome(query, reason=reason, ended=NOW - 1), good)
    assert value(telemetry, "query_success", **by) == (0 if reason else 1)
    assert value(telemetry, "query_last_success_timestamp_seconds", **by) == NOW - 100
    assert value(telemetry, "query_window_end_timestamp_seconds", **by) == 360
    assert value(telemetry, "query_series", **by) == 7
    assert value(telemetry, "query_polls_total", **by) == 0
    assert value(telemetry, "query_failures_total", **by, reason="timeout") is None


def test_of_a_query_that_never_succeeded_no_times_are_told(telemetry, make_query):
    query, by = make_query(), {"source": "mm", "query": "q"}
    telemetry.configured([query])
    telemetry.restored(outcome(query, reason="timeout"), None)
    for name in ("query_last_success_timestamp_seconds", "query_window_end_timestamp_seconds", "query_series"):
        assert value(telemetry, name, **by) is None
