from dataclasses import replace

import pytest

from exporter.providers.smartsight import SmartSight, SmartSightSettings

AUTHS = {"api_key": {"api_key": "k"}, "password": {"username": "u", "password": "p"}}
ENDPOINTS = ("metricquery", "listsessions", "qbrdata", "session", "smartquery", "error", "alerts")
REACHED = {"api_key": {"metricquery", "listsessions"}, "password": set(ENDPOINTS) - {"listsessions"}}


def settings(auth):
    return SmartSightSettings(type="smartsight", customer_id="7", auth=auth)


@pytest.fixture(scope="session")
def faults(written):
    """Give path and message of each fault of a query; ``login`` is how its source logs in, ``None`` if wrongly."""

    def faults(login="api_key", **query):
        found = SmartSight.query_faults(written(**query), settings(AUTHS[login]) if login else None)
        return [(fault.path, fault.message) for fault in found]

    return faults


def asking(endpoint):
    """What a query of an endpoint needs."""
    needs = {"alerts": {"fields": None}, "smartquery": {"options": {"queryname": "contentpaths"}}}
    return {"endpoint": endpoint, **needs.get(endpoint, {})}


# --- Log-ins and endpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "count"),
    [
        ({"api_key": "k"}, 0),
        ({"api_key_file": "/k"}, 0),
        ({}, 1),
        ({"api_key": "k", "api_key_file": "/k"}, 1),
        ({"username": "u", "password": "p"}, 0),
        ({"username": "u", "password_file": "/p"}, 0),
        ({"username": "u"}, 1),
        ({"username": "u", "password": "p", "password_file": "/p"}, 1),
        ({"username": "u", "password": "p", "api_key": "k"}, 1),
        ({"username": "u", "password": "p", "api_key_file": "/k"}, 1),
        ({"api_key": "k", "password": "p"}, 1),
        ({"api_key": "k", "password_file": "/p"}, 1),
    ],
)
def test_a_source_has_one_login(auth, count):
    assert [fault.path for fault in SmartSight.faults(settings(auth))] == [("auth",)] * count


@pytest.mark.parametrize("login", AUTHS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_that_the_login_can_t_reach_is_a_fault_that_names_those_it_can(faults, endpoint, login):
    found = faults(login, **asking(endpoint))
    if endpoint in REACHED[login]:
        assert found == []
        return
    [(path, message)] = found
    assert path == ("endpoint",)
    _, _, reached = message.rpartition(": ")
    assert set(reached.split(", ")) == REACHED[login]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_login_that_is_wrong_itself_makes_no_endpoint_a_fault(faults, endpoint):
    assert faults(None, **asking(endpoint)) == []


@pytest.mark.parametrize(("endpoint", "near"), [("metricqery", "metricquery"), ("listsession", "listsessions")])
def test_an_unknown_endpoint_is_a_fault_that_names_all_and_the_nearest(faults, endpoint, near):
    [(path, message)] = faults(endpoint=endpoint)
    assert path == ("endpoint",)
    assert f"did you mean `{near}`?" in message
    assert all(name in message for name in ENDPOINTS)


# --- What an endpoint takes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [None, *(name for name in ENDPOINTS if name != "alerts")])
def test_metrics_are_missing_everywhere_but_for_alerts(faults, endpoint):
    query = {**asking(endpoint), "fields": None}
    assert faults(None, **query) == [(("metrics",), "is missing")]


def test_alerts_need_no_metrics_and_take_none(faults):
    assert faults("password", endpoint="alerts", fields=None) == []
    [(path, _)] = faults("password", endpoint="alerts", fields=("errors",))
    assert path == ("metrics",)


def test_a_smartquery_needs_a_name(faults):
    [(path, message)] = faults("password", endpoint="smartquery")
    assert path == ("options",)
    assert "queryname" in message


def test_a_smartquery_is_sorted_here_and_so_by_one_of_its_metrics(written):
    """``smartQuery`` has no parameter ``orderby`` (smartsight-2-overview-oauth.txt)."""
    asked = written(**asking("smartquery"))
    by = {
        name: [fault.path for fault in SmartSight.query_faults(replace(asked, order_by=name), None)]
        for name in (None, *asked.fields, "playdur")
    }
    assert by.pop("playdur") == [("order_by",)]
    assert not any(by.values())


@pytest.mark.parametrize(
    ("key", "value", "endpoints"),
    [
        ("having", "latency>3", {"qbrdata", "session", "error", "smartquery", "alerts"}),
        ("filters", {"cdn": ("Akamai",)}, {"alerts"}),
        ("buckets", {"latency": (1.0,)}, set(ENDPOINTS) - {"listsessions"}),
        ("exemplars", True, set(ENDPOINTS) - {"listsessions"}),
    ],
)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_key_that_an_endpoint_has_no_use_for_is_a_fault(written, endpoint, key, value, endpoints):
    query = {**asking(endpoint), **({} if key == "order_by" else {key: value})}
    asked = written(**query)
    # What it is ordered by is no matter of the vendor's module; that it is given, is.
    asked = type(asked)(**{name: getattr(asked, name) for name in asked.__slots__} | {"given": asked.given | {key}})
    paths = [fault.path[:1] for fault in SmartSight.query_faults(asked, None)]
    if endpoint == "alerts" and key == "buckets":
        # A bucket of what is no metric is another fault.
        assert set(paths) == {(key,)}
    else:
        assert paths == ([(key,)] if endpoint in endpoints else [])


def test_buckets_are_of_a_metric_of_the_query(faults):
    [(path, message)] = faults(endpoint="listsessions", buckets={"latenci": (1.0,), "latency": (1.0,)})
    assert path == ("buckets", "latenci")
    assert "did you mean `latency`?" in message


# --- Options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["period", "metrics", "aggby", "filter", "qoefilter", "orderby", "order", "limit", "offset"]
)
def test_an_option_that_the_exporter_sets_itself_is_a_fault(faults, name):
    [(path, message)] = faults(options={name: "1"})
    assert path == ("options", name)
    assert "set by the exporter" in message


def test_the_plan_level_stands_in_the_source(faults):
    [(path, message)] = faults("password", options={"planlevel": "2735"})
    assert path == ("options", "planlevel")
    assert "`plan_level`" in message
    assert "source" in message


@pytest.mark.parametrize(
    "field", ["p95_latency", "avg_bufferingratio", "p99_brandnew", "adfillrate", "avg_adimpression"]
)
def test_concurrency_is_refused_with_statistics_and_ad_metrics(faults, field):
    [(path, message)] = faults(fields=("views", field), options={"concurrency": "1"})
    assert path == ("metrics", 1)
    assert field in message
    assert faults(fields=("views", field), options={"concurrency": "0"}) == []


@pytest.mark.parametrize("field", ["views", "latency", "avg_playtime_by_audience", "brandnew", "total_p95"])
def test_concurrency_is_fine_with_what_is_neither(faults, field):
    assert faults(fields=(field,), options={"concurrency": "1"}) == []
