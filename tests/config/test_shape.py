import pytest

from exporter.config import Config

SOURCE = "sources:\n  mm:\n    type: smartsight\n    customer_id: 1\n    auth: {api_key: k}\n"
QUERY = "queries:\n  - name: q\n    source: mm\n    metrics: [latency]\n"

QUERY_FAULTS = [
    # unknown keys, with the name that was probably meant
    ("intervall: 1m", "intervall", "unknown key (did you mean `interval`?)"),
    ("dimension: [cdn]", "dimension", "(did you mean `dimensions`?)"),
    ("max_serie: 5", "max_serie", "(did you mean `max_series`?)"),
    ("zzz: 5", "zzz", "unknown key; allowed: allow_personal_data"),
    ("scale: 5", "scale", "unknown key"),
    # wrong types
    ("dimensions: cdn", "dimensions", "must be a list"),
    ("dimensions: {cdn: x}", "dimensions", "must be a list"),
    ("dimensions: [cdn, null]", "dimensions[1]", "must be a text"),
    ("dimensions: ['']", "dimensions[0]", "must not be empty"),
    ("dimensions: ['cdn,country']", "dimensions[0]", "must be one name"),
    ("dimensions: ['cdn country']", "dimensions[0]", "must be one name"),
    ("filters: [country]", "filters", "must be a mapping"),
    ("filters: {country: []}", "filters.country", "at least one"),
    ("filters: {country: [{US: x}]}", "filters.country[0]", "must be a text"),
    ("filters: {country: [x, null]}", "filters.country[1]", "must be a text"),
    ("filters: {country: ['']}", "filters.country[0]", "must not be empty"),
    ("filters: {'': x}", "filters.", "must not be empty"),
    ("filters: {'a=b': x}", "filters.a=b", "must be one name"),
    ("having: [a]", "having", "must be a text"),
    ("having: ''", "having", "must not be empty"),
    ("top: 0", "top", "at least 1"),
    ("top: many", "top", "whole number"),
    ("top: 1.5", "top", "whole number"),
    ("top: true", "top", "must be a number"),
    ("order: down", "order", "'asc' or 'desc'"),
    ("order_by: [latency]", "order_by", "must be a text"),
    ("order_by: 'latency,views'", "order_by", "must be one name"),
    ("options: [a]", "options", "must be a mapping"),
    ("options: {a: [b]}", "options.a", "must be a text"),
    ("options: {a: {b: c}}", "options.a", "must be a text"),
    ("options: {a: }", "options.a", "must be a text"),
    ("allow_personal_data: perhaps", "allow_personal_data", "true or false"),
    # durations, sizes, numbers
    ("interval: 5 minutes", "interval", "is no duration"),
    ("interval: 0", "interval", "more than 0"),
    ("interval: 1.5", "interval", "whole seconds"),
    ("interval: -1m", "interval", "is no duration"),
    ("interval: 1:30", "interval", "is no duration"),
    ("interval: true", "interval", "is no duration"),
    ("window: 0s", "window", "more than 0"),
    ("window: [5m]", "window", "is no duration"),
    ("window: 100ms", "window", "whole seconds"),
    ("delay: soon", "delay", "is no duration"),
    ("timeout: 0", "timeout", "more than 0"),
    ("max_age: 0s", "max_age", "more than 0"),
    ("max_series: 0", "max_series", "at least 1"),
    ("max_series: -5", "max_series", "at least 1"),
    ("max_series: lots", "max_series", "whole number"),
    ("max_rows: 0.5", "max_rows", "whole number"),
    ("max_rows: false", "max_rows", "must be a number"),
    ("max_response: 64M", "max_response", "is no size"),
    ("max_response: 0", "max_response", "more than 0"),
    ("empty_label: ''", "empty_label", "must not be empty"),
    ("empty_label: true", "empty_label", "must be a text"),
    ("on_missing: skip", "on_missing", "'absent' or 'zero'"),
]

METRIC_FAULTS = [
    ("[]", "metrics", "at least one"),
    ("latency", "metrics", "must be a list"),
    ("", "metrics", "must be a list"),
    ("['']", "metrics[0]", "must not be empty"),
    ("['a,b']", "metrics[0]", "must be one name"),
    ("[5.5]", "metrics[0]", "must be a"),
    ("[[latency]]", "metrics[0]", "must be a"),
    ("[latency, {name: x}]", "metrics[1].field", "is missing"),
    ("[{field: x, scal: 1}]", "metrics[0].scal", "(did you mean `scale`?); allowed: field, help, name, scale"),
    ("[{field: x, scale: big}]", "metrics[0].scale", "must be a number"),
    ("[{field: x, scale: true}]", "metrics[0].scale", "must be a number"),
    ("[{field: x, scale: inf}]", "metrics[0].scale", "finite"),
    ("[{field: x, scale: nan}]", "metrics[0].scale", "finite"),
    ("[{field: x, scale: .inf}]", "metrics[0].scale", "must be a number"),
    ("[{field: x, help: ''}]", "metrics[0].help", "must not be empty"),
    ("[{field: x, name: [a]}]", "metrics[0].name", "must be a text"),
]

SOURCE_FAULTS = [
    (
        "lables: {a: b}",
        "lables",
        "(did you mean `labels`?); allowed: auth, base_url, customer_id, http, labels, limits",
    ),
    ("labels: [a]", "labels", "must be a mapping"),
    ("labels: {a: }", "labels.a", "must be a text"),
    ("labels: {a: yes, b: true}", "labels.b", "put it in quotes"),
    ("labels: {a: ''}", "labels.a", "must not be empty"),
    ("limits: {concurrency: 0}", "limits.concurrency", "at least 1"),
    ("limits: {concurency: 4}", "limits.concurency", "(did you mean `concurrency`?)"),
    ("limits: {requests_per_minute: many}", "limits.requests_per_minute", "whole number"),
    ("limits: 4", "limits", "must be a mapping"),
    ("http: {ca_file: 5}", "http.ca_file", "path of a file"),
    ("http: {proxy: x}", "http.proxy", "(did you mean `proxy_url`?)"),
    ("http: {proxy_url: [x]}", "http.proxy_url", "must be a text"),
    ("http: {proxy_url: proxy}", "http.proxy_url", "URL"),
    ("http: {proxy_url: 'ftp://proxy:21'}", "http.proxy_url", "URL"),
    ("base_url: smartsight.mediamelon.com", "base_url", "URL that begins with http:// or https://"),
    ("base_url: ftp://x", "base_url", "URL that begins with http:// or https://"),
    ("base_url: https://", "base_url", "URL"),
    ("base_url: 'https://[half'", "base_url", "URL"),
    ("base_url: 'https://host:99999'", "base_url", "URL"),
    ("base_url: 'https://a host'", "base_url", "URL"),
]

AUTH_FAULTS = [
    ("{}", "auth", "exactly one of `api_key` and `api_key_file`"),
    ("{api_key: a, api_key_file: b}", "auth", "exactly one of `api_key` and `api_key_file`"),
    ("{apikey: a}", "auth.apikey", "(did you mean `api_key`?)"),
    ("{api_key: 5}", "auth.api_key", "must be a text; put it in quotes"),
    ("{api_key: [a]}", "auth.api_key", "must be a text"),
    ("{api_key_file: 5}", "auth.api_key_file", "path of a file"),
    ("a-key", "auth", "must be a mapping"),
    ("", "auth", "must be a mapping"),
]


def only(lines, line, path, words):
    """Check that there is one error, at a line and path, with words."""
    (text,) = lines
    assert text.startswith(f"c.yaml:{line}: {path}: ")
    assert words in text


@pytest.mark.parametrize(("body", "path", "words"), QUERY_FAULTS)
def test_a_query_of_the_wrong_shape(errors, body, path, words):
    only(errors(f"{SOURCE}{QUERY}    {body}\n"), 10, f"queries[0].{path}", words)


@pytest.mark.parametrize(("metrics", "path", "words"), METRIC_FAULTS)
def test_metrics_of_the_wrong_shape(errors, metrics, path, words):
    only(
        errors(f"{SOURCE}queries:\n  - name: q\n    source: mm\n    metrics: {metrics}\n"),
        9,
        f"queries[0].{path}",
        words,
    )


@pytest.mark.parametrize(("body", "path", "words"), SOURCE_FAULTS)
def test_a_source_of_the_wrong_shape(errors, body, path, words):
    only(errors(f"{SOURCE}    {body}\n{QUERY}"), 6, f"sources.mm.{path}", words)


@pytest.mark.parametrize(("auth", "path", "words"), AUTH_FAULTS)
def test_a_login_of_the_wrong_shape(errors, auth, path, words):
    text = f"sources:\n  mm:\n    type: smartsight\n    customer_id: 1\n    auth: {auth}\n{QUERY}"
    only(errors(text), 5, f"sources.mm.{path}", words)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{type: smartsight, auth: {api_key: k}}", "customer_id", "is missing"),
        ("{type: smartsight, customer_id: 1}", "auth", "is missing"),
        ("{type: smartsight, customer_id: true, auth: {api_key: k}}", "customer_id", "put it in quotes"),
        ("{type: smartsight, customer_id: '', auth: {api_key: k}}", "customer_id", "must not be empty"),
        ("{type: ibm_video, auth: {client_secret: s}}", "auth.client_id", "is missing"),
        ("{type: ibm_video, auth: {client_id: c}}", "auth", "exactly one of `client_secret` and `client_secret_file`"),
        ("{type: ibm_video, auth: {client_id: c, client_secret: s, token_url: x}}", "auth.token_url", "URL"),
        ("{type: ibm_video, customer_id: 1, auth: {client_id: c, client_secret: s}}", "customer_id", "unknown key"),
        ("{customer_id: 1}", "type", "is missing"),
        ("{type: smartsigt}", "type", "(did you mean `smartsight`?); allowed: smartsight, ibm_video"),
        ("{type: youtube}", "type", "not `youtube`; allowed"),
    ],
)
def test_a_source_that_lacks_something(errors, body, path, words):
    metric = "total_views" if "ibm_video" in body else "x"
    text = f"sources:\n  mm: {body}\nqueries:\n  - {{name: q, source: mm, metrics: [{metric}]}}\n"
    only(errors(text), 2, f"sources.mm.{path}", words)


def test_a_value_that_stands_for_a_list_of_one_has_no_index_in_its_path(query_errors):
    (line,) = query_errors("metrics: [latency], filters: {version: {a: b}}")
    assert line.startswith("filters.version: ")


@pytest.mark.parametrize("body", ["5", "text", "[a]", ""])
def test_a_source_that_is_no_mapping_is_told_so(errors, body):
    only(errors(f"sources:\n  mm: {body}\n{QUERY}"), 2, "sources.mm", "must be a mapping")


@pytest.mark.parametrize("given", ["5", "[smartsight]", "true"])
def test_a_type_of_the_wrong_type_is_not_called_missing(errors, given):
    (line,) = errors(f"sources:\n  mm: {{type: {given}}}\n{QUERY}")
    assert line.startswith("c.yaml:2: sources.mm.type: ")
    assert "missing" not in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queries:\n  - {source: mm, metrics: [x]}", "c.yaml:7: queries[0].name: is missing"),
        ("queries:\n  - {name: q, metrics: [x]}", "c.yaml:7: queries[0].source: is missing"),
        ("queries:\n  - name: q\n    source: mm", "c.yaml:7: queries[0].metrics: is missing"),
        ("queries:\n  - latency", "c.yaml:7: queries[0]: must be a mapping"),
        ("queries:\n  -", "c.yaml:7: queries[0]: must be a mapping"),
        ("queries: {q: x}", "c.yaml:6: queries: must be a list"),
        ("queries: []", "c.yaml:6: queries: must be a list with at least one"),
        ("queries:", "c.yaml:6: queries: must be a list with at least one"),
    ],
)
def test_queries_of_the_wrong_shape(errors, text, expected):
    (line,) = errors(f"{SOURCE}{text}\n")
    assert line.startswith(expected)


@pytest.mark.parametrize("defaults", ["[]", "5", "0", "false", "''", "text", "[a]"])
def test_defaults_must_be_a_mapping(errors, defaults):
    only(errors(f"defaults: {defaults}\n{SOURCE}{QUERY}"), 1, "defaults", "must be a mapping")


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("intervall: 5", "intervall", "did you mean `interval`?"),
        ("max_rows: x", "max_rows", "whole number"),
        ("name: q", "name", "unknown key"),
        ("on_missing: zeros", "on_missing", "'absent' or 'zero'"),
    ],
)
def test_defaults_of_the_wrong_shape(errors, body, path, words):
    only(errors(f"defaults:\n  {body}\n{SOURCE}{QUERY}"), 2, f"defaults.{path}", words)


@pytest.mark.parametrize("body", ["order: dsc", "on_missing: absnt", "order: DESC"])
def test_a_word_that_is_near_is_suggested(query_errors, body):
    assert "did you mean" in query_errors(f"metrics: [latency], {body}")[0]


@pytest.mark.parametrize("empty", ["", "{}", "null"])
def test_defaults_may_be_empty(configured, empty):
    assert isinstance(configured(f"defaults: {empty}\n{SOURCE}{QUERY}"), Config)


@pytest.mark.parametrize("number", ["15", "'15'", "'${FIFTEEN}'", "15.0"])
def test_numbers_may_come_as_text_so_that_variables_can_give_them(query, number):
    assert query(f"metrics: [latency], top: {number}", FIFTEEN="15").top == 15
