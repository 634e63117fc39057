import pytest

from exporter.config import load
from exporter.plan import plan
from exporter.window import offset

SOURCES = """\
sources:
  a: {type: smartsight, customer_id: 7, auth: {api_key: k}}
  b: {type: smartsight, customer_id: 8, auth: {api_key: k}}
  i: {type: ibm_video, auth: {client_id: c, client_secret: s}}
queries:
"""


def jobs(*queries):
    text = SOURCES + "".join(f"  - {{{query}}}\n" for query in queries)
    return plan(load(text, name="c.yaml", env={}))


def paths(query):
    (job,) = jobs(f"name: q, source: i, {query}")
    return [part.path for part in job.parts]


def test_a_job_for_each_query_and_source_in_the_order_of_the_file():
    found = jobs(
        "name: two, source: [b, a], metrics: [latency]",
        "name: one, source: i, metrics: [total_views]",
    )
    assert [job.query.key for job in found] == [("b", "two"), ("a", "two"), ("i", "one")]


def test_each_job_asks_its_own_source():
    found = jobs("name: q, source: [a, b], metrics: [latency, views]")
    assert [job.parts[0].path for job in found] == ["/mm-apis/metricquery/7", "/mm-apis/metricquery/8"]
    assert [job.provider.settings.customer_id for job in found] == ["7", "8"]
    assert [job.parts[0].fields for job in found] == [("latency", "views")] * 2


def test_a_jobs_offset_is_that_of_its_querys_name_and_interval():
    found = jobs(
        "name: x, source: a, metrics: [latency], interval: 30s",
        "name: y, source: a, metrics: [latency], interval: 1h",
    )
    assert [job.offset for job in found] == [offset("x", 30), offset("y", 3600)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("metrics: [total_views]", ["/total-views/summary"]),
        ("metrics: [total_views], dimensions: [view_source]", ["/total-views/view-source"]),
        ("metrics: [total_views, unique_devices]", ["/total-views/summary", "/unique-devices/summary"]),
        ("metrics: [total_views], filters: {content_type: live}", ["/total-views/live/summary"]),
        (
            "metrics: [total_views], dimensions: [content_type, device]",
            ["/total-views/live/device", "/total-views/recorded/device"],
        ),
        (
            "metrics: [total_views], dimensions: [content_type], filters: {content_type: recorded}",
            ["/total-views/recorded/summary"],
        ),
        ("metrics: [total_views], filters: {content_type: [live, recorded]}", ["/total-views/summary"]),
        ("metrics: [peak_viewers], dimensions: [content_id]", ["/peak-viewer-numbers"]),
        (
            "metrics: [peak_viewers], dimensions: [content_id, content_type]",
            ["/peak-viewer-numbers/live", "/peak-viewer-numbers/recorded"],
        ),
    ],
)
def test_ibm_is_asked_once_a_metric_and_content_type(query, expected):
    assert paths(query) == expected


@pytest.mark.parametrize("dimensions", ["[]", "[content_type]"])
def test_a_content_type_that_is_filtered_twice_is_asked_once(dimensions):
    query = f"metrics: [total_views], dimensions: {dimensions}, filters: {{content_type: [live, live]}}"
    assert paths(query) == ["/total-views/live/summary"]


def test_planning_is_pure():
    config = load(f"{SOURCES}  - {{name: q, source: a, metrics: [latency]}}\n", name="c.yaml", env={})
    assert plan(config) == plan(config)
