"""The main job, end to end: the real command against simulated vendors, and a real Prometheus that scrapes it."""

import asyncio
import re
import shutil
import signal
import subprocess
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import JSONResponse

from exporter import demo

PATIENCE = 30

# Vendor's field, family, and what the vendor's value is divided by: by hand from the contract, not from the catalogue.
SMARTSIGHT = {
    "viewercount": ("smartsight_plays", 1),
    "latency": ("smartsight_startup_time_seconds", 1),
    "p95_latency": ("smartsight_startup_time_p95_seconds", 1),
    "bufferingratio": ("smartsight_buffering_ratio", 100),
    "failurerate": ("smartsight_startup_failure_ratio", 100),
}
METRICS = ["total_views", "unique_devices"]
IBM = {"total-views": "ibm_video_total_views", "unique-devices": "ibm_video_unique_devices"}


def config(sources):
    return {
        # The vendors' data changes once a minute; asked every second, Prometheus soon has what was last sent.
        "defaults": {"interval": "1s", "window": "5m", "delay": "2m"},
        "sources": sources,
        "queries": [
            {"name": "qoe", "source": "mm", "metrics": list(SMARTSIGHT), "dimensions": ["cdn", "country"]},
            {
                "name": "audience",
                "source": "ibm",
                "metrics": ["total_views", "unique_devices"],
                "dimensions": ["device"],
            },
        ],
    }


def sent_by_smartsight(vendor):
    """The vendor's last answer as Prometheus should have it."""
    expected = {}
    for row in vendor.answers[-1].body["response"]:
        for field, (family, divisor) in SMARTSIGHT.items():
            if row[field] is not None:
                labels = {"source": "mm", "query": "qoe", "cdn": row["cdn"] or "unknown", "country": row["country"]}
                expected[frozenset({"__name__": family, **labels}.items())] = pytest.approx(float(row[field]) / divisor)
    return expected


def sent_by_ibm(vendor):
    expected = {}
    for answer in list(vendor.answers)[-4:]:
        family = IBM.get(answer.path.split("/")[2])
        for item in answer.body["data"] if family else ():
            labels = {"source": "ibm", "query": "audience", "device": item["attributes"]["point"]}
            expected[frozenset({"__name__": family, **labels}.items())] = float(item["attributes"]["value"])
    return expected


def shown_by(exporter):
    """The vendors' values on /metrics."""
    return {
        frozenset({"__name__": sample.name, **sample.labels}.items()): sample.value
        for family in text_string_to_metric_families(exporter.metrics())
        for sample in family.samples
        if sample.name.startswith(("smartsight_", "ibm_video_"))
    }


@pytest.mark.real("prometheus")
def test_prometheus_holds_what_the_vendors_sent(vendors, run, prometheus, until):
    server = prometheus(run(config(vendors.sources())).url)
    until(lambda: server.value('up{job="video"}') == 1, "up is 1")

    def equal():
        sent = sent_by_smartsight(vendors.smartsight) | sent_by_ibm(vendors.ibm)
        return len(sent) > 100 and server.query('{__name__=~"(smartsight|ibm_video)_.+"}') == sent

    until(equal, "Prometheus has the vendors' values, all of them and no others")
    assert server.value("count(video_analytics_exporter_query_success == 1)") == 2


@pytest.mark.real("prometheus")
def test_a_series_that_the_vendor_stops_returning_goes_stale(vendors, run, prometheus, until):
    rows = [{"cdn": "Akamai", "viewercount": 7}, {"cdn": "Fastly", "viewercount": 8}]

    async def answer(_):
        return JSONResponse({"totalrecords": len(rows), "response": list(rows)})

    vendors.smartsight.intercept = answer
    query = {"name": "plays", "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"]}
    defaults = {"interval": "1s"}
    server = prometheus(run({"defaults": defaults, "sources": vendors.sources(), "queries": [query]}).url)
    until(lambda: server.value('smartsight_plays{cdn="Fastly"}') == 8, "both CDNs are there")
    del rows[1]
    # Without a stale marker, Prometheus would go on showing it for five minutes.
    until(lambda: not server.query('smartsight_plays{cdn="Fastly"}'), "the series that is gone is stale")
    assert server.value('smartsight_plays{cdn="Akamai"}') == 7


@pytest.mark.real("nginx")
@pytest.mark.parametrize(("http2", "protocol"), [(True, "HTTP/2.0"), (False, "HTTP/1.1")])
def test_http_2_is_spoken_with_vendors_that_do(vendors, front, run, until, http2, protocol):
    fronts = [front(url, http2=http2) for url in vendors.urls]
    vendors.urls = tuple(each.url for each in fronts)
    http = {"http2": True, "ca_file": str(fronts[0].ca_file)}
    exporter = run(config({name: source | {"http": http} for name, source in vendors.sources().items()}))

    def equal():
        shown = shown_by(exporter)
        return len(shown) > 100 and shown == sent_by_smartsight(vendors.smartsight) | sent_by_ibm(vendors.ibm)

    until(equal, "/metrics has the vendors' values, all of them and no others")
    assert [each.spoken for each in fronts] == [{protocol}, {protocol}]


def test_a_wrong_key_is_seen_and_stops_nothing_else(vendors, run, until):
    exporter = run(config(vendors.sources(api_key="a-canary-key")))
    of_qoe, of_audience = '{query="qoe",source="mm"', '{query="audience",source="ibm"'
    polls = f"video_analytics_exporter_query_polls_total{of_qoe}}}"
    until(lambda: float(exporter.series().get(polls, 0)) >= 3, "several polls have failed")
    series = exporter.series()
    failures = 'video_analytics_exporter_query_failures_total{query="qoe",reason="auth",source="mm"}'
    assert float(series[failures]) >= 3
    assert series[f"video_analytics_exporter_query_success{of_qoe}}}"] == "0.0"
    assert series[f"video_analytics_exporter_query_success{of_audience}}}"] == "1.0"
    assert any(line.startswith("ibm_video_total_views{") for line in series)
    assert not any(line.startswith("smartsight_") for line in series)
    assert len(exporter.lines("query fails")) == 1
    assert "reason=auth" in exporter.lines("query fails")[0]

    vendors.smartsight.api_key = "a-canary-key"
    until(lambda: exporter.lines("query works again"), "the query recovers by itself")
    assert len(exporter.lines("query fails")) == 1
    assert "a-canary-key" not in exporter.log.read_text() + exporter.metrics()


def test_sigterm_ends_it_while_a_vendor_still_answers(vendors, run):
    asked = threading.Event()

    async def never(_):
        asked.set()
        await asyncio.Event().wait()

    vendors.smartsight.intercept = never
    exporter = run(config(vendors.sources()))
    assert asked.wait(PATIENCE)
    exporter.process.send_signal(signal.SIGTERM)
    assert exporter.process.wait(timeout=5) == 0  # the contract's 5 s
    assert not exporter.lines("Traceback")


def test_the_first_scrape_is_served_before_any_vendor_has_answered(vendors, run):
    async def never(_):
        await asyncio.Event().wait()

    vendors.smartsight.intercept = vendors.ibm.intercept = never
    exporter = run(config(vendors.sources()), VIDEO_ANALYTICS_EXPORTER_REVISION="0a1b2c")
    assert re.search('^video_analytics_exporter_build_info{.*revision="0a1b2c"', exporter.metrics(), re.MULTILINE)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_the_demo_serves_every_query_of_the_example(start, until, accept):
    exporter = start("demo")
    name, queries = "video_analytics_exporter_query_success", demo.example().count("- name: ")
    assert queries >= 10
    until(lambda: sum(line.startswith(name) for line in exporter.series()) == queries, "all queries have been polled")
    series = exporter.series()
    assert {value for line, value in series.items() if line.startswith(name)} == {"1.0"}
    families = {line.partition("{")[0] for line in series}
    assert {"smartsight_plays", "smartsight_startup_time_p95_seconds", "ibm_video_peak_viewers"} <= families
    assert {"smartsight_session_startup_time_seconds_bucket", "smartsight_alerts", "ibm_video_viewers"} <= families
    assert len(exporter.lines("is deprecated")) == 2  # one hint for each query that asks a deprecated endpoint
    assert exporter.metrics(Accept=accept).endswith("# EOF\n") == accept.startswith("application/openmetrics")
    exporter.process.send_signal(signal.SIGTERM)
    assert exporter.process.wait(timeout=5) == 0


@pytest.mark.real("promtool")
def test_promtool_has_nothing_to_say_about_the_demo(start, until):
    exporter = start("demo")
    some = ("\nsmartsight_plays{", "\nsmartsight_session_startup_time_seconds_bucket{", "\nibm_video_")
    until(lambda: all(line in exporter.metrics() for line in some), "both vendors' gauges, and distributions")
    check = subprocess.run(
        [shutil.which("promtool"), "check", "metrics"],
        input=exporter.metrics(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
