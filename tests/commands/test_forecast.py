import io
import json

import pytest
from rich.console import Console

from exporter.commands import forecast_tables
from exporter.commands.forecast import as_json, forecast
from exporter.model import Window
from exporter.window import offset

NOW = 1_775_764_830.5
QOE = "name: q, source: mm, metrics: [latency, views]"


def shown(found):
    out = io.StringIO()
    forecast_tables.show(found, Console(file=out, force_terminal=False))
    return out.getvalue()


def test_the_next_poll_is_on_the_grid_and_asks_for_its_own_window(configured):
    (query,) = forecast(configured(QOE), NOW).queries
    spread = offset("q", 60)
    assert NOW < query.next_poll <= NOW + 60
    assert query.next_poll == pytest.approx(query.next_poll // 60 * 60 + spread)
    end = int((query.next_poll - 120) // 60) * 60
    assert query.window == Window(end - 300, end)


def test_a_request_is_shown_as_it_is_sent_and_without_secrets(configured):
    config = configured(f"{QOE}, dimensions: [cdn], filters: {{country: [US, Canada]}}, top: 50")
    found = forecast(config, NOW)
    (request,) = found.requests
    window = found.queries[0].window
    assert request.path == (
        f"/mm-apis/metricquery/7?period=start={window.start},end={window.end}&metrics=latency,views&aggby=cdn"
        "&filter=%5Bcountry=US%7CCanada%5D&orderby=latency&order=desc&limit=50&offset=0"
    )
    assert "CANARY" not in as_json(found) + shown(found)


@pytest.mark.parametrize(
    ("query", "series", "pages"),
    [
        ("metrics: [latency, views]", 2, 1),
        ("metrics: [latency, views], dimensions: [cdn]", 10_000, 5),
        ("metrics: [latency, views], dimensions: [cdn], max_series: 10001", 10_000, 6),
        ("metrics: [latency, views], dimensions: [cdn], max_series: 7", 6, 1),
        ("metrics: [latency, views], dimensions: [cdn], top: 50", 100, 1),
        ("metrics: [latency], dimensions: [cdn], top: 1500", 1500, 2),
        (
            "metrics: [latency], dimensions: [cdn], endpoint: listsessions, max_rows: 5000, buckets: {latency: [1, 2]}",
            9996,
            5,
        ),
    ],
)
def test_the_most_that_can_come(configured, query, series, pages):
    found = forecast(configured(f"name: q, source: mm, {query}"), NOW)
    assert [each.series_at_most for each in found.queries] == [series]
    assert [each.pages_at_most for each in found.requests] == [pages]


def test_what_a_vendor_does_not_sort_comes_whole(configured):
    ibm = "name: q, source: ibm, metrics: [total_views], dimensions: [device], top: 5, max_rows: 30000"
    found = forecast(configured(ibm), NOW)
    assert (found.queries[0].series_at_most, found.requests[0].pages_at_most) == (5, 3)


def test_a_query_of_several_requests_shows_each(configured):
    ibm = "name: q, source: ibm, metrics: [total_views, unique_devices], dimensions: [content_type], interval: 5m"
    found = forecast(configured(ibm), NOW)
    assert [(each.queries, each.endpoint, each.path.partition("?")[0]) for each in found.requests] == [
        (("q",), endpoint, f"/{endpoint}/{kind}/summary")
        for endpoint in ("total-views", "unique-devices")
        for kind in ("live", "recorded")
    ]
    assert {(each.requests_per_hour, each.requests_per_day) for each in found.requests} == {(12, 288)}
    ibm_source = found.sources[-1]
    assert (ibm_source.requests_per_minute, ibm_source.requests_per_hour) == (pytest.approx(0.8), 48)


def test_logins_and_lookups_are_told(configured):
    found = forecast(configured("name: q, source: [mm, old], metrics: [views]"), NOW)
    mm, old, ibm = found.sources
    assert mm.login == "API key, in the header X-API-Key"
    assert old.login == "user name and password, token from https://login.example/token"
    assert ibm.login.startswith("client credentials, token from https://")
    assert (mm.lookups, old.lookups) == ((), ("/planLevelByCustId/8",))
    assert found.requests[1].path.endswith("&planlevel=<looked up>")
    text = shown(found)
    assert "/planLevelByCustId/8" in text


def test_more_requests_than_a_source_admits_are_a_warning(configured):
    queries = [
        f"name: q{number}, source: mm, metrics: [views], interval: 30s, window: {number + 1}m" for number in range(2)
    ]
    assert forecast(configured(queries[0]), NOW).warnings == ()
    (warning,) = forecast(configured(*queries), NOW).warnings
    assert warning.startswith("mm: the queries come to 4 requests a minute, more than `requests_per_minute: 2`")


def test_a_window_shorter_than_the_interval_is_a_warning(configured):
    (warning,) = forecast(configured(f"{QOE}, interval: 10m"), NOW).warnings
    assert warning.startswith("mm: `q` asks every 600s for the last 300s")


def test_a_deprecated_endpoint_is_a_warning(configured):
    (warning,) = forecast(configured("name: q, source: old, endpoint: session, metrics: [views]"), NOW).warnings
    assert warning.startswith("old: `q` could be better: the endpoint `session` is deprecated")
    assert "`q` could be better" in shown(
        forecast(configured("name: q, source: old, endpoint: session, metrics: [views]"), NOW)
    )


def test_the_tables_have_all_of_it(configured):
    lines = shown(
        forecast(configured(QOE, "name: slow, source: ibm, metrics: [total_views], interval: 1d, window: 1d"), NOW)
    ).splitlines()
    assert [line for line in lines if line.startswith(("Queries", "Requests", "Sources"))] != []
    assert any(line.split()[:3] == ["mm", "q", "60s"] and " to " in line for line in lines)
    assert any(line.split()[:6] == ["ibm", "slow", "total-views", "0.04", "1", "1"] for line in lines)
    assert not any("warning" in line for line in lines)


def test_json_has_the_same(configured):
    found = json.loads(as_json(forecast(configured(QOE), NOW)))
    assert found.keys() == {"queries", "requests", "sources", "history", "warnings"}
    assert found["requests"][0]["queries"] == ["q"]
    assert found["queries"][0]["window"].keys() == {"start", "end"}
