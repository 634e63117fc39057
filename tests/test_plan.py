import re

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
    return plan(load(text, name="c.yaml", env={})).jobs


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


# --- Identity ---------------------------------------------------------------------------------------------------------


def identity(query="metrics: [latency]", source="customer_id: 7, auth: {api_key: k}"):
    text = f"sources: {{a: {{type: smartsight, {source}}}}}\nqueries: [{{name: q, source: a, {query}}}]\n"
    [job] = plan(load(text, name="c.yaml", env={})).jobs
    return job.identity


@pytest.mark.parametrize(
    "query",
    [
        "metrics: [views]",
        "metrics: [latency, views]",
        "metrics: [{field: latency, scale: 0.001}]",
        "metrics: [{field: latency, name: smartsight_other}]",
        "metrics: [latency], dimensions: [cdn]",
        "metrics: [latency], filters: {cdn: Akamai}",
        "metrics: [latency], having: latency>3",
        "metrics: [latency], top: 5",
        "metrics: [latency], order: asc",
        "metrics: [latency], options: {allstatus: 1}",
        *(f"metrics: [latency], {key}: 11m" for key in ("interval", "window", "delay", "max_age")),
        "metrics: [latency], empty_label: none",
        "metrics: [latency], on_missing: zero",
        "metrics: [latency], max_series: 7",
    ],
)
def test_what_asks_for_something_else_or_shows_it_otherwise_is_another(query):
    assert identity(query) != identity()


@pytest.mark.parametrize(
    "source",
    [
        "customer_id: 8, auth: {api_key: k}",
        "customer_id: 7, auth: {api_key: k}, base_url: 'https://example.com'",
        "customer_id: 7, auth: {api_key: k}, labels: {environment: prod}",
    ],
)
def test_another_account_or_other_labels_are_another(source):
    assert identity(source=source) != identity()


@pytest.mark.parametrize(
    "source",
    [
        "customer_id: 7, auth: {api_key: rotated}",
        "customer_id: 7, auth: {api_key_file: /run/secrets/key}",
        "customer_id: 7, auth: {api_key: k}, limits: {concurrency: 1, requests_per_minute: 7}",
        "customer_id: 7, auth: {api_key: k}, http: {proxy_url: 'http://user:secret@proxy:3128'}",
        "customer_id: '7', auth: {api_key: k}",
    ],
)
def test_how_it_is_asked_makes_no_other(source):
    assert identity(source=source) == identity()


def test_an_identity_tells_nothing():
    assert re.fullmatch("[0-9a-f]{64}", identity(source="customer_id: 7, auth: {api_key: canary}"))


def test_no_two_jobs_of_a_configuration_are_the_same():
    found = jobs(
        "name: x, source: [a, b], metrics: [latency]",
        "name: y, source: [a, b], metrics: [latency]",
    )
    assert len({job.identity for job in found}) == 4


# --- Groups: what is asked once ---------------------------------------------------------------------------------------


def groups(*queries):
    text = SOURCES + "".join(f"  - {{{query}}}\n" for query in queries)
    return plan(load(text, name="c.yaml", env={})).groups


def names(*queries):
    return [[query.name for query in group.queries] for group in groups(*queries)]


CDN = "source: a, dimensions: [cdn]"


def test_queries_that_differ_only_in_their_metrics_become_one_request():
    [group] = groups(
        f"name: x, {CDN}, metrics: [latency, views]",
        f"name: y, {CDN}, metrics: [views, errors]",
    )
    assert [part.fields for part in group.parts] == [("latency", "views", "errors")]
    assert [job.part(group.parts[0]).fields for job in group.jobs] == [("latency", "views"), ("views", "errors")]
    assert (group.requests_per_day, group.requests_saved_per_day) == (1440, 1440)


@pytest.mark.parametrize(
    "other",
    [
        "metrics: [{field: latency, name: smartsight_other}]",
        "metrics: [{field: latency, scale: 0.001}]",
        "metrics: [views], order_by: views, order: asc",
        "metrics: [latency], on_missing: zero",
        "metrics: [latency], max_series: 7",
        "metrics: [latency], max_age: 1h",
        "metrics: [latency], max_label_length: 7",
    ],
)
def test_what_is_made_of_the_rows_keeps_no_query_apart(other):
    [group] = groups(f"name: x, {CDN}, metrics: [latency]", f"name: y, {CDN}, {other}")
    assert len(group.parts) == 1


@pytest.mark.parametrize(
    "other",
    [
        "source: b, dimensions: [cdn], metrics: [latency]",
        "source: a, dimensions: [country], metrics: [latency]",
        f"{CDN}, metrics: [latency], filters: {{cdn: Akamai}}",
        f"{CDN}, metrics: [latency], having: latency>3",
        f"{CDN}, metrics: [latency], options: {{allstatus: 1}}",
        f"{CDN}, metrics: [latency], top: 5",
        f"{CDN}, metrics: [latency], empty_label: none",
        *(f"{CDN}, metrics: [latency], {key}: 11m" for key in ("interval", "window", "delay")),
    ],
)
def test_queries_that_ask_for_other_rows_are_asked_apart(other):
    assert names(f"name: x, {CDN}, metrics: [latency]", f"name: y, {other}") == [["x"], ["y"]]


def test_the_first_rows_are_the_same_only_in_the_same_order():
    first = f"name: x, {CDN}, top: 5, metrics: [latency]"
    assert names(first, f"name: y, {CDN}, top: 5, metrics: [views]") == [["x"], ["y"]]
    assert names(first, f"name: y, {CDN}, top: 5, metrics: [views], order_by: latency") == [["x", "y"]]
    assert names(first, f"name: y, {CDN}, top: 6, metrics: [latency]") == [["x"], ["y"]]


def test_endpoints_of_one_account_are_asked_apart():
    rows = "source: a, dimensions: [cdn]"
    assert names(
        f"name: x, {rows}, metrics: [latency]", f"name: y, {rows}, metrics: [latency], endpoint: listsessions"
    ) == [
        ["x"],
        ["y"],
    ]


def test_only_queries_that_share_a_request_are_a_group():
    found = names(
        "name: x, source: i, metrics: [total_views]",
        "name: y, source: i, metrics: [unique_devices]",
        "name: z, source: i, metrics: [authenticated_viewers]",
        "name: both, source: i, metrics: [unique_devices, total_views]",
    )
    assert found == [["z"], ["x", "y", "both"]]


def test_requests_that_a_query_has_alone_stay_its_own():
    [group] = groups(
        "name: one, source: i, metrics: [total_views]",
        "name: both, source: i, metrics: [unique_devices, total_views]",
    )
    one, both = group.jobs
    assert [part.path for part in group.parts] == ["/total-views/summary", "/unique-devices/summary"]
    assert [bool(one.part(part)) for part in group.parts] == [True, False]
    assert [bool(both.part(part)) for part in group.parts] == [True, True]
    assert (group.requests_per_day, group.requests_saved_per_day) == (2880, 1440)


def test_a_request_stays_short_enough_for_an_address():
    queries = [f"name: q{n}, {CDN}, metrics: [{', '.join(f'm{n}_{field}' for field in range(20))}]" for n in range(5)]
    assert [len(names) for names in names(*queries)] == [2, 2, 1]


def test_a_query_that_fits_two_groups_joins_no_more_than_fit():
    fields = [
        ", ".join(f"{name}{number}" for number in range(count)) for name, count in (("a", 40), ("b", 40), ("c", 5))
    ]
    found = groups(*(f"name: q{n}, {CDN}, metrics: [{each}]" for n, each in enumerate(fields)))
    assert max(len(part.fields) for group in found for part in group.parts) <= 50


def test_the_order_of_the_file_makes_no_other_group():
    one, other = f"name: x, {CDN}, metrics: [latency]", f"name: y, {CDN}, metrics: [views]"
    [first], [second] = groups(one, other), groups(other, one)
    assert first.identity == second.identity


def test_a_group_is_polled_when_its_first_query_is():
    found = jobs(f"name: x, {CDN}, metrics: [latency]", f"name: y, {CDN}, metrics: [views]")
    assert [job.offset for job in found] == [offset("x", 60)] * 2


def test_what_a_group_is_known_by_follows_its_jobs():
    one, other = f"name: x, {CDN}, metrics: [latency]", f"name: y, {CDN}, metrics: [views]"
    [both], [again], [alone] = groups(one, other), groups(one, other), groups(one)
    assert both.identity == again.identity != alone.identity
    assert both.jobs[0].identity == alone.jobs[0].identity, "beside others a query is the same"


def test_each_query_is_found_with_its_group():
    found = plan(load(SOURCES + f"  - {{name: x, {CDN}, metrics: [latency]}}\n", name="c.yaml", env={}))
    assert found.job["a", "x"] is found.group["a", "x"].jobs[0]
    assert (found.requests_per_day("a"), found.requests_per_day("b")) == (1440, 0)
