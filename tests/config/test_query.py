import pytest

SMARTSIGHT_FAULTS = [
    # dimensions and labels
    ("dimensions: [timestamp]", "dimensions[0]", "`timestamp` can't be a label"),
    ("dimensions: [cdn, Timestamp]", "dimensions[1]", "can't be a label"),
    *[(f"dimensions: [{name}]", "dimensions[0]", f"`{name}` is kept") for name in ("source", "query", "le")],
    ("dimensions: [cdn, cdn]", "dimensions[1]", "`cdn` stands twice"),
    ("dimensions: [a-b, a.b]", "dimensions[1]", "`a_b` stands twice"),
    ("dimensions: [__name__]", "dimensions[0]", "is no label name"),
    *[
        (f"dimensions: [cdn, {name}]", "dimensions[1]", "`allow_personal_data: true`")
        for name in ("subscriberid", "deviceid", "sessionid", "ipaddress", "SubscriberId")
    ],
    *[
        (f"dimensions: [{name}]", "dimensions[0]", "`allow_personal_data: true`")
        for name in ("viewer_identifier", "client_id", "view_session_id")
    ],
    ("dimensions: [ipaddress], allow_personal_data: false", "dimensions[0]", "identifies a person"),
    # filters
    *[(f"filters: {{cdn: ['a{sign}b']}}", "filters.cdn", f"`a{sign}b`") for sign in "[]|="],
    ("filters: {cdn: [good, 'b|d']}", "filters.cdn", "`b|d`"),
    # families
    ("metrics: [latency, latency]", "metrics[1]", "`smartsight_startup_time_seconds`"),
    ("metrics: [cirrbufferingratio, sumbuffwaitcirr]", "metrics[1]", "would both be"),
    ("metrics: [uniquesubscribercount, unique_subscribers]", "metrics[1]", "would both be"),
    ("metrics: [a-b, a.b]", "metrics[1]", "`smartsight_a_b`"),
    ("metrics: [viewercount, plays]", "metrics[1]", "`smartsight_plays`"),
    ("metrics: [latency, {field: x, name: smartsight_startup_time_seconds}]", "metrics[1]", "would both be"),
    ("metrics: [{field: x, name: a-b}]", "metrics[0].name", "is no metric name"),
    ("metrics: [{field: x, name: 1a}]", "metrics[0].name", "is no metric name"),
    ("metrics: [{field: x, name: process_x}]", "metrics[0].name", "is kept for the exporter"),
    ("metrics: [{field: x, name: video_analytics_exporter_up}]", "metrics[0].name", "is kept for the exporter"),
    # distributions
    ("endpoint: listsessions, buckets: {latency: [1, 1]}", "buckets.latency", "must rise"),
    ("endpoint: listsessions, buckets: {latency: []}", "buckets.latency", "at least one"),
    ("endpoint: listsessions, buckets: {latency: [1, .inf]}", "buckets.latency[1]", "must be a number"),
    ("endpoint: listsessions, buckets: {latenzy: [1]}", "buckets.latenzy", "(did you mean `latency`?)"),
    ("endpoint: listsessions, exemplars: true", "exemplars", "`allow_personal_data: true`"),
    ("buckets: {latency: [1]}", "buckets", "`endpoint: listsessions`"),
    # options and endpoint
    ("endpoint: nosuch", "endpoint", "allowed: metricquery"),
    ("endpoint: qbrdata", "endpoint", "which reaches: metricquery, listsessions"),
    *[
        (f"options: {{{name}: x}}", f"options.{name}", f"use `{key}`")
        for name, key in (
            ("period", "window` and `delay"),
            ("metrics", "metrics"),
            ("aggby", "dimensions"),
            ("filter", "filters"),
            ("qoefilter", "having"),
            ("orderby", "order_by"),
            ("order", "order"),
            ("limit", "top"),
            ("offset", "top"),
        )
    ],
    *[
        (f"options: {{concurrency: {one}}}, metrics: [viewercount, {field}]", "metrics[1]", f"`{field}`")
        for one in ("1", "true")
        for field in ("p95_latency", "avg_playdur", "median_views", "p99_unheard_of", "adimpression", "adfillrate")
    ],
    ("options: {concurrency: 1}, metrics: [totaladimpression]", "metrics[0]", "`concurrency: 1`"),
    ("options: {concurrency: 1}, metrics: [avg_qualityofexperience]", "metrics[0]", "`concurrency: 1`"),
]

IBM_FAULTS = [
    ("metrics: [total_views], top: 1, order_by: total_view", "order_by", "(did you mean `total_views`?)"),
    ("metrics: [total_view]", "metrics[0]", "(did you mean `total_views`?)"),
    ("metrics: [latency]", "metrics[0]", "the API has no metric `latency`"),
    ("metrics: [total_views, total_views]", "metrics[1]", "would both be `ibm_video_total_views`"),
    ("metrics: [total_views], dimensions: [contry]", "metrics[0]", "(did you mean `country`?)"),
    ("metrics: [total_views], dimensions: [device, country]", "metrics[0]", "by one dimension"),
    ("metrics: [total_views], dimensions: [content_id]", "metrics[0]", "can't be split by `content_id`"),
    ("metrics: [peak_viewers], dimensions: [content_id, device]", "metrics[0]", "can't be split by `device`"),
    ("metrics: [peak_viewers]", "metrics[0]", "`content_id`"),
    ("metrics: [peak_viewers], dimensions: [content_type]", "metrics[0]", "`content_id`"),
    ("metrics: [peak_viewers], filters: {content_type: live, content_id: [1, 2]}", "metrics[0]", "one id"),
    ("metrics: [total_views], filters: {country: US}", "filters.country", "can't filter"),
    ("metrics: [total_views], filters: {content_type: film}", "filters.content_type", "allowed: live, recorded"),
    ("metrics: [total_views], filters: {content_id: 5}", "filters.content_id", "`content_type`"),
    (
        "metrics: [total_views], filters: {content_type: [live, recorded], content_id: 5}",
        "filters.content_id",
        "`content_type`",
    ),
    ("metrics: [total_views], having: a>1", "having", "smartsight"),
    ("metrics: [total_views], endpoint: metricquery", "endpoint", "smartsight"),
    ("metrics: [total_views], dimensions: [timestamp]", "dimensions[0]", "can't be a label"),
    *[
        (f"metrics: [total_views], options: {{{name}: 5}}", f"options.{name}", "is set by the exporter")
        for name in ("date_time_from", "date_time_to", "content_id", "_page", "_limit")
    ],
]


def has(lines, path, words):
    """Check that an error is among the lines, with its path and words."""
    assert any(line.startswith(f"{path}: ") and words in line for line in lines), lines


@pytest.mark.parametrize(("body", "path", "words"), SMARTSIGHT_FAULTS)
def test_what_smartsight_would_refuse_or_misread(query_errors, body, path, words):
    lines = query_errors(body if "metrics: [" in body.replace("{metrics", "") else f"metrics: [latency], {body}")
    assert len(lines) == 1
    has(lines, path, words)


@pytest.mark.parametrize(("body", "path", "words"), IBM_FAULTS)
def test_what_ibm_would_refuse_or_misread(query_errors, body, path, words):
    has(query_errors(body, "ibm"), path, words)


@pytest.mark.parametrize(
    ("source", "body", "all_of"),
    [
        ("[nope, nada]", "metrics: [latency]", ["`nope`", "`nada`"]),
        ("mm", "metrics: [latency], filters: {cdn: ['a|', 'b=']}", ["`a|`", "`b=`"]),
        ("ibm", "metrics: [total_views], dimensions: [cdn, city]", ["`cdn`", "`city`"]),
        ("ibm", "metrics: [total_views], filters: {content_type: [film, song]}", ["`film`", "`song`"]),
        ("mm", "metrics: [latency], having: '${NONE} ${NADA}'", ["NONE", "NADA"]),
    ],
)
def test_several_faults_of_one_value_are_all_reported(query_errors, source, body, all_of):
    found = "\n".join(query_errors(body, source))
    assert [words for words in all_of if words not in found] == []


@pytest.mark.parametrize(
    ("body", "suggestion"),
    [
        ("metrics: [total_views], filters: {content_typ: live}", "content_type"),
        ("metrics: [total_views], filters: {content_type: recordd}", "recorded"),
        ("metrics: [uniqe_devices]", "unique_devices"),
        ("metrics: [total_views], dimensions: [devise]", "device"),
    ],
)
def test_the_name_that_was_probably_meant_is_given(query_errors, body, suggestion):
    assert f"did you mean `{suggestion}`?" in "\n".join(query_errors(body, "ibm"))


def test_an_endpoint_that_is_near_is_suggested(query_errors):
    assert "did you mean `metricquery`?" in query_errors("metrics: [latency], endpoint: metricqery")[0]


@pytest.mark.parametrize(
    "auth",
    [
        "{}",
        "{username: u}",
        "{password: p}",
        "{api_key: k, api_key_file: /k}",
        "{username: u, password: p, api_key: k}",
        "{usernam: u, password: p}",
        "5",
    ],
)
@pytest.mark.parametrize("endpoint", ["alerts", "listsessions"])
def test_a_login_that_is_wrong_itself_makes_no_endpoint_wrong(errors, auth, endpoint):
    metrics = "" if endpoint == "alerts" else ", metrics: [latency]"
    query = f"{{name: q, source: mm, endpoint: {endpoint}{metrics}}}"
    lines = errors(f"sources:\n  mm: {{type: smartsight, customer_id: 1, auth: {auth}}}\nqueries:\n  - {query}\n")
    assert [line for line in lines if not line.startswith("c.yaml:2: sources.mm.auth")] == []


@pytest.mark.parametrize(("source", "body"), [("mm", "dimensions: [cdn]"), ("ibm", "dimensions: [device]")])
def test_metrics_may_be_left_out_by_alerts_alone(query_errors, source, body):
    assert query_errors(body, source) == ["metrics: is missing"]


@pytest.mark.parametrize("metrics", ["5", "[]", "[{}]"])
def test_metrics_that_are_wrong_themselves_are_not_missing_too(query_errors, metrics):
    assert [line for line in query_errors(f"metrics: {metrics}") if "is missing" in line and "field" not in line] == []


def test_two_ids_in_one_text_are_not_one_id(query_errors):
    body = "metrics: [peak_viewers], filters: {content_type: live, content_id: '1,2'}"
    assert query_errors(body, "ibm")


@pytest.mark.parametrize("sign", "[]|=")
def test_ibm_filters_refuse_the_same_signs(query_errors, sign):
    body = f"metrics: [total_views], filters: {{content_type: live, content_id: '1{sign}2'}}"
    assert query_errors(body, "ibm")[0].startswith("filters.content_id: ")


@pytest.mark.parametrize("name", ["subscriberid", "deviceid", "sessionid", "ipaddress", "viewer_identifier"])
def test_personal_data_is_a_dimension_when_the_query_says_so(query, name):
    assert query(f"metrics: [latency], dimensions: [{name}], allow_personal_data: true").dimensions == (name,)


def test_a_person_may_be_filtered_by(query):
    assert query("metrics: [latency], filters: {subscriberid: abc}").filter("subscriberid") == ("abc",)


@pytest.mark.parametrize(
    "body",
    [
        "metrics: [peak_viewers], dimensions: [content_id]",
        "metrics: [peak_viewers], dimensions: [content_id, content_type]",
        "metrics: [peak_viewers], filters: {content_type: live, content_id: 5}",
        "metrics: [total_views, unique_devices, authenticated_viewers], dimensions: [content_type, country]",
        "metrics: [total_views], dimensions: [content_type], filters: {content_id: [1, 2]}",
        "metrics: [total_views], filters: {content_type: live, content_id: [1, 2]}",
        *[
            f"metrics: [total_views], dimensions: [{name}]"
            for name in ("location", "country", "region", "device", "view_source")
        ],
    ],
)
def test_what_ibm_has_a_path_for(query, body):
    assert query(body, "ibm").source == "ibm"


@pytest.mark.parametrize("option", ["concurrency: 0", "concurrency: false", "sessiontype: started"])
def test_statistics_and_ads_go_with_other_options(query, option):
    assert query(f"metrics: [p95_latency, adimpression], options: {{{option}}}").options


def test_concurrency_takes_plain_metrics(query):
    metrics = "viewercount, avg_playtime_by_audience, latency"
    assert len(query(f"metrics: [{metrics}], options: {{concurrency: 1}}").metrics) == 3


def test_the_defaults(query):
    found = query("metrics: [latency, views]")
    assert (found.interval, found.window, found.delay, found.timeout) == (60, 300, 120, 90)
    assert (found.max_age, found.max_series, found.max_rows) == (300, 10_000, 2_000_000)
    assert (found.empty_label, found.on_missing, found.max_response) == ("unknown", "absent", 64 * 1024 * 1024)
    assert (found.order_by, found.order, found.top, found.endpoint) == ("latency", "desc", None, "metricquery")
    assert (found.dimensions, found.filters, found.options, found.having) == ((), (), (), None)


KEYS = {
    "interval": ("2m", 120),
    "window": ("1h", 3600),
    "delay": ("0s", 0),
    "timeout": ("500ms", 0.5),
    "max_age": ("1d", 86400),
    "max_series": ("5", 5),
    "empty_label": ("none", "none"),
    "on_missing": ("zero", "zero"),
    "max_response": ("1KiB", 1024),
    "max_rows": ("7", 7),
}


@pytest.mark.parametrize("key", KEYS)
def test_each_default_can_be_set_for_all_and_overridden_in_a_query(query, key):
    written, value = KEYS[key]
    assert getattr(query(f"metrics: [latency], {key}: {written}"), key) == value
    defaults = f"defaults: {{{key}: {written}}}\n"
    assert getattr(query("metrics: [latency]", defaults=defaults), key) == value
    usual = getattr(query("metrics: [latency]"), key)
    back = {"max_response": "64MiB"}.get(key, usual)
    assert getattr(query(f"metrics: [latency], {key}: {back}", defaults=defaults), key) == usual


@pytest.mark.parametrize(
    ("body", "defaults", "max_age"),
    [
        ("max_age: 1s", "", 120),
        ("interval: 1h", "", 7200),
        ("interval: 1h, max_age: 3h", "", 10_800),
        ("interval: 150s", "", 300),
        ("interval: 151s", "", 302),
        ("max_age: 121s", "", 121),
        ("top: 1", "defaults: {interval: 1h}\n", 7200),
        ("interval: 1m", "defaults: {interval: 1h, max_age: 1m}\n", 120),
    ],
)
def test_max_age_is_at_least_two_intervals(query, body, defaults, max_age):
    assert query(f"metrics: [latency], {body}", defaults=defaults).max_age == max_age


def test_metrics_at_length(query):
    found = query(
        "metrics: [{field: mystat, name: smartsight_my_stat_seconds, help: Mine, scale: 0.001},"
        " {field: latency, scale: 2}, {field: bufferingratio, name: 'a:b'}, {field: x, scale: 0},"
        " {field: y, scale: '1e-3'}]"
    ).metrics
    assert [(metric.field, metric.family.name, metric.scale) for metric in found] == [
        ("mystat", "smartsight_my_stat_seconds", 0.001),
        ("latency", "smartsight_startup_time_seconds", 2),
        ("bufferingratio", "a:b", 0.01),
        ("x", "smartsight_x", 0),
        ("y", "smartsight_y", 0.001),
    ]
    assert found[0].family.help == "Mine"
    assert "Start-up time" in found[1].family.help


def test_two_fields_of_one_family_go_with_another_name(query):
    found = query("metrics: [cirrbufferingratio, {field: sumbuffwaitcirr, name: other}]").metrics
    assert [metric.family.name for metric in found] == ["smartsight_connection_induced_rebuffering_ratio", "other"]


def test_the_first_metric_orders_unless_another_is_named(query):
    assert query("metrics: [{field: x, name: y}, latency]").order_by == "x"
    assert query("metrics: [latency, views], order_by: attempts, order: asc").order_by == "attempts"


def test_filters_and_options_are_text_as_it_was_written(query):
    found = query(
        "metrics: [latency], filters: {country: [NO, 010, 1:30, yes, 2026-01-02, 7, true], cdn: Akamai},"
        " options: {a: 1, b: true, c: FALSE, d: NO, e: 010, f: 1.5, g: text}"
    )
    assert found.filters == (("country", ("NO", "010", "1:30", "yes", "2026-01-02", "7", "true")), ("cdn", ("Akamai",)))
    values = ("1", "true", "false", "NO", "010", "1.5", "text")
    assert found.options == tuple(zip("abcdefg", values, strict=True))


@pytest.mark.parametrize("value", ["1.10", "1e3", "+5", "-0", "1.0"])
def test_an_option_that_looks_like_a_number_is_passed_as_it_is(query, value):
    assert query(f"metrics: [latency], options: {{a: {value}}}").options == (("a", value),)


@pytest.mark.parametrize("value", ["+49", "-0"])
def test_a_filter_value_that_looks_like_a_number_stays_as_it_is(query, value):
    assert query(f"metrics: [latency], filters: {{a: {value}}}").filter("a") == (value,)


def test_the_vendors_grammar_is_passed_as_it_is(query):
    assert (
        query("metrics: [latency], having: latency>3 AND bufferingratio>5").having == "latency>3 AND bufferingratio>5"
    )
