from pathlib import Path

import pytest

from exporter.config import ConfigError, load
from exporter.config.schema import Defaults
from exporter.providers import PROVIDERS

EXAMPLE = (Path(__file__).parents[2] / "config.example.yaml").read_text("utf-8")
EXAMPLE_ENV = {
    "SMARTSIGHT_CUSTOMER_ID": "199493832",
    "SMARTSIGHT_API_KEY": "a",
    "SMARTSIGHT_USERNAME": "d",
    "SMARTSIGHT_PASSWORD": "e",
    "IBM_CLIENT_ID": "b",
    "IBM_CLIENT_SECRET": "c",
}

TWO = """\
sources:
  a: {type: smartsight, customer_id: 1, auth: {api_key: k}, labels: {environment: prod, team: x}}
  b: {type: smartsight, customer_id: 2, auth: {api_key: k}}
  i: {type: ibm_video, auth: {client_id: c, client_secret: s}}
queries:
"""


def test_a_list_of_sources_makes_a_query_for_each(configured):
    config = configured(f"{TWO}  - {{name: q, source: [b, a], metrics: [latency], dimensions: [cdn]}}\n")
    assert [query.key for query in config.queries] == [("b", "q"), ("a", "q")]
    assert [query.labels for query in config.queries] == [
        (("source", "b"), ("query", "q")),
        (("source", "a"), ("query", "q"), ("environment", "prod"), ("team", "x")),
    ]


def test_sources_and_queries_stay_in_the_order_of_the_file(configured):
    config = configured(
        f"{TWO}  - {{name: z, source: i, metrics: [total_views]}}\n  - {{name: y, source: a, metrics: [x]}}\n"
    )
    assert list(config.sources) == ["a", "b", "i"]
    assert [query.name for query in config.queries] == ["z", "y"]
    assert {name: source.type for name, source in config.sources.items()} == {
        "a": "smartsight",
        "b": "smartsight",
        "i": "ibm_video",
    }


def test_the_vendors_usual_places_and_limits(configured):
    config = configured(f"{TWO}  - {{name: q, source: a, metrics: [x]}}\n")
    assert config.sources["a"].provider.base_url == "https://smartsight.mediamelon.com"
    assert config.sources["i"].provider.base_url == "https://analytics-api.video.ibm.com/v1"
    assert config.sources["i"].provider.credentials.token_url == "https://video.ibm.com/oauth2/token"
    assert config.sources["a"].settings.limits.requests_per_minute is None


@pytest.mark.parametrize(
    ("written", "customer"), [("199493832", "199493832"), ("0123", "0123"), ("'7'", "7"), ("NO", "NO")]
)
def test_a_customer_id_keeps_its_digits(configured, written, customer):
    text = f"sources:\n  a: {{type: smartsight, customer_id: {written}, auth: {{api_key: k}}}}\nqueries:\n"
    config = configured(f"{text}  - {{name: q, source: a, metrics: [x]}}\n")
    assert config.sources["a"].settings.customer_id == customer


def test_source_names_that_look_like_something_else_can_be_asked(configured):
    text = "sources:\n  NO: {type: smartsight, customer_id: 1, auth: {api_key: k}}\nqueries:\n"
    assert configured(f"{text}  - {{name: 010, source: NO, metrics: [x]}}\n").queries[0].key == ("NO", "010")


def test_the_configuration_is_frozen(configured):
    config = configured(f"{TWO}  - {{name: q, source: a, metrics: [x]}}\n")
    for value, name in ((config, "queries"), (config.queries[0], "interval"), (config.sources["a"], "name")):
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    with pytest.raises(ValueError, match="frozen"):
        config.sources["a"].settings.customer_id = "2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["c.yaml:1: is empty"]),
        ("# nothing\n", ["c.yaml:1: is empty"]),
        ("text", ["c.yaml:1: must be a mapping"]),
        ("- a", ["c.yaml:1: must be a mapping"]),
        ("{}", ["c.yaml:1: queries: must be a list", "c.yaml:1: sources: must be a mapping"]),
        (
            "\nsorces: {}\n",
            ["(did you mean `sources`?); allowed: defaults, sources, queries", "queries: ", " sources: "],
        ),
        ("sources: [a]\nqueries: 5", ["c.yaml:1: sources: must be a mapping", "c.yaml:2: queries: must be a list"]),
        ("a: [1\n", ["c.yaml:2: is no valid YAML: "]),
    ],
)
def test_a_file_that_is_no_configuration(errors, text, expected):
    lines = errors(text)
    assert len(lines) == len(expected)
    assert [words for words in expected if not any(words in line for line in lines)] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("source: c", "queries[0].source: there is no source `c`; there are: a, b, i"),
        ("source: [a, ab]", "queries[0].source: there is no source `ab`"),
        ("source: [a, i]", "queries[0].source: the sources are of several types"),
        ("source: a, dimensions: [environment]", "queries[0].dimensions[0]: the label `environment` stands twice"),
        ("source: []", "queries[0].source: must have at least one"),
        ("source: ['']", "queries[0].source[0]: must not be empty"),
    ],
)
def test_sources_of_a_query(errors, query, expected):
    lines = errors(f"{TWO}  - {{name: q, metrics: [x], {query}}}\n")
    assert any(line.startswith(f"c.yaml:6: {expected}") for line in lines), lines


def test_a_source_that_is_near_is_suggested(errors):
    (line,) = errors(f"{TWO}  - {{name: q, source: mediamelom, metrics: [x]}}\n".replace("  b:", "  mediamelon:"))
    assert "did you mean `mediamelon`?" in line


def test_a_name_that_stands_twice(errors):
    query = "  - {name: q, source: a, metrics: [x]}\n"
    assert errors(TWO + query + query.replace("source: a", "source: b")) == [
        "c.yaml:7: queries[1].name: the name `q` stands twice"
    ]


@pytest.mark.parametrize(
    ("label", "words"),
    [(name, "is kept for the exporter") for name in ("source", "query", "le")]
    + [(name, "is no label name") for name in ("__x", "a-b", "1a", "a b", "ä")],
)
def test_labels_of_a_source(errors, label, words):
    text = TWO.replace("environment: prod", f"{label}: prod") + "  - {name: q, source: b, metrics: [x]}\n"
    (line,) = errors(text)
    assert line.startswith(f"c.yaml:2: sources.a.labels.{label}: ")
    assert words in line


ALL_AT_ONCE = """\
defaults:
  intervall: 1m
  window: soon
sources:
  mm:
    type: smartsight
    customer_id: ${NOT_SET}
    auth:
      api_key: CANARY-inline
      apikey: CANARY-inline
    labels:
      le: x
  mm2: &mm2
    type: smartsight
    customer_id: 7
    auth: {}
    labels: {query: x}
  ibm:
    type: ibm_vidio
  ibm2: {type: ibm_video, auth: {client_id: c,
    client_secret: s}, limits: {concurrency: 0}}
  mm3:
    <<: *mm2
    labels:
      fine: x
      source: y
querys: []
queries:
  - name: one
    source: nowhere
    metrics: [latency]
    top: 0
  - name: two
    source: mm2
    metrics:
      - latency
      - latency
      - field: x
        scale: big
    dimensions: [timestamp]
  - name: three
    source: ibm2
    metrics: [total_view]
    dimensions:
      - sessionid
    having: >-
      latency
      > 3
  - {name: three, source: mm3, metrics: [views],
     filters: {cdn: "a|b"}, options: {period: x,
       limit: 5}}
"""

ALL_ERRORS = [
    (2, "defaults.intervall"),
    (3, "defaults.window"),
    (7, "sources.mm.customer_id"),
    (10, "sources.mm.auth.apikey"),
    (12, "sources.mm.labels.le"),
    (16, "sources.mm2.auth"),
    (16, "sources.mm3.auth"),
    (17, "sources.mm2.labels.query"),
    (19, "sources.ibm.type"),
    (21, "sources.ibm2.limits.concurrency"),
    (26, "sources.mm3.labels.source"),
    (27, "querys"),
    (30, "queries[0].source"),
    (32, "queries[0].top"),
    (37, "queries[1].metrics[1]"),
    (39, "queries[1].metrics[2].scale"),
    (40, "queries[1].dimensions[0]"),
    (43, "queries[2].metrics[0]"),
    (45, "queries[2].dimensions[0]"),
    (46, "queries[2].having"),
    (49, "queries[3].name"),
    (50, "queries[3].filters.cdn"),
    (50, "queries[3].options.period"),
    (51, "queries[3].options.limit"),
]


@pytest.mark.parametrize(("line", "path"), ALL_ERRORS)
def test_all_errors_of_a_file_are_reported_at_once(errors, line, path):
    lines = errors(ALL_AT_ONCE)
    assert any(text.startswith(f"c.yaml:{line}: {path}: ") for text in lines), "\n".join(lines)


def test_errors_stand_in_the_order_of_the_file_and_nothing_else_does(errors):
    lines = errors(ALL_AT_ONCE)
    places = [(int(line.split(":")[1]), line.split(": ")[1]) for line in lines]
    assert places == sorted(places)
    assert set(places) <= set(ALL_ERRORS)
    assert "CANARY" not in "".join(lines)


def test_a_query_of_the_wrong_shape_is_checked_for_the_rest_too(errors):
    lines = errors(f"{TWO}  - {{name: q, source: nowhere, metrics: [x], dimensions: [le], intervall: 1m}}\n")
    for path in ("source", "dimensions[0]", "intervall"):
        assert any(f"queries[0].{path}: " in line for line in lines), path


def test_a_source_of_the_wrong_shape_is_checked_for_the_rest_too(errors):
    text = TWO.replace("auth: {api_key: k}, labels: {environment", "auth: {}, limit: 5, labels: {le")
    lines = errors(f"{text}  - {{name: q, source: b, metrics: [x]}}\n")
    for path in ("auth", "limit", "labels.le"):
        assert any(f"sources.a.{path}: " in line for line in lines), path


def test_the_queries_of_a_source_of_unknown_type_are_checked_too(errors):
    text = TWO.replace("b: {type: smartsight", "b: {type: smartsite")
    lines = errors(f"{text}  - {{name: q, source: b, metrics: [x], dimensions: [timestamp]}}\n")
    assert any("queries[0].dimensions[0]: " in line for line in lines), lines


def test_an_unset_variable_is_reported_once_whatever_it_stands_for(errors):
    lines = errors(f"{TWO}  - {{name: q, source: ['${{NONE}}'], metrics: [x], interval: '${{NADA}}'}}\n")
    assert len(lines) == 2
    assert all("is not set" in line for line in lines)


def test_a_mapping_reused_with_one_key_changed_is_no_error(configured):
    text = """\
sources:
  a: {type: smartsight, customer_id: 1, auth: {api_key: k}, labels: &a {env: prod}}
  b: {type: smartsight, customer_id: 1, auth: {api_key: k}, labels: &b {<<: *a, env: dev}}
  c: {type: smartsight, customer_id: 1, auth: {api_key: k}, labels: *b}
queries: [{name: q, source: c, metrics: [x]}]
"""
    assert configured(text).queries[0].labels[-1] == ("env", "dev")


@pytest.mark.parametrize(
    "body",
    [
        'source: "x\\ny"',
        'source: a, dimensions: ["le", "a\\nb", "a\\nb"]',
        'source: a, filters: {cdn: "a\\n|b"}',
        'source: a, endpoint: "a\\nb"',
        'source: a, "un\\nknown": 5',
        'source: i, filters: {content_type: "li\\nve"}',
        'source: a, options: {"a\\rb": }',
    ],
)
def test_an_error_is_one_line_whatever_it_quotes(errors, body):
    assert all(len(line.splitlines()) == 1 for line in errors(f"{TWO}  - {{name: q, metrics: [x], {body}}}\n"))


SECRETS = """\
sources:
  env: {type: smartsight, customer_id: 1, auth: {api_key: "${CANARY_KEY}"}}
  inline: {type: smartsight, customer_id: 1, auth: {api_key: CANARY-inline}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: "x${CANARY_KEY}y"}}
  default: {type: ibm_video, auth: {client_id: c, client_secret: "${NONE:-CANARY-default}"}}
queries:
  - {name: q, source: [env, inline], metrics: [latency]}
  - {name: i, source: [ibm, default], metrics: [total_views]}
"""


def test_no_repr_shows_a_secret(configured):
    config = configured(SECRETS, CANARY_KEY="CANARY-env")
    shown = [repr(config), str(config), *map(repr, config.queries)]
    for source in config.sources.values():
        shown += [repr(source), repr(source.settings), str(source.settings), repr(source.settings.auth)]
        shown += [repr(source.provider), repr(source.provider.credentials), source.settings.model_dump_json()]
    assert "CANARY" not in "".join(shown)


def test_the_secret_itself_is_there(configured):
    sources = configured(SECRETS, CANARY_KEY="CANARY-env").sources
    assert sources["env"].provider.credentials.key.read() == "CANARY-env"
    assert sources["inline"].provider.credentials.key.read() == "CANARY-inline"
    assert sources["ibm"].provider.credentials.secret.read() == "xCANARY-envy"
    assert sources["default"].provider.credentials.secret.read() == "CANARY-default"


def test_a_password_in_a_url_is_not_shown(configured):
    text = SECRETS.replace("auth: {api_key: C", "http: {proxy_url: 'http://u:CANARY@proxy:1'}, auth: {api_key: C")
    assert "CANARY" not in repr(configured(text, CANARY_KEY="x"))


@pytest.mark.parametrize(
    "auth",
    [
        "CANARY",
        "[CANARY]",
        "{api_key: [CANARY]}",
        "{api_key: {CANARY: x}}",
        "{api_key: 5, api_key_file: CANARY}",
        "{api_key: CANARY, api_key_file: 5}",
        "{api_key: CANARY, api_key: CANARY}",
        "{api_key: CANARY, apikey: CANARY}",
        "{apikey: '${CANARY_KEY}'}",
        "{api_key: 'CANARY${'}",
        "{api_key: 'CANARY${NONE}'}",
        "{api_key: '${CANARY_KEY}${NONE}'}",
        "{api_key: *CANARY}",
        "{api_key: !CANARY x}",
        "{api_key: !it's-CANARY x}",
        "{api_key: @CANARY}",
        "{api_key: %CANARY}",
        "{api_key: 'CANARY}",
        '{api_key: "CANARY\\x"}',
        "{api_key: CANARY: x}",
        "{api_key:CANARY}",
        "{api_key=CANARY}",
        "{{CANARY}: x}",
        "{api_key: CANARY\x07}",
        "{api_key: !!int CANARY}",
        "{api_key: !!binary CANARY}",
    ],
)
def test_no_error_shows_a_secret(auth):
    text = f"sources:\n  mm: {{type: smartsight, customer_id: 1, limit: 5, auth: {auth}}}\nqueries: []\n"
    with pytest.raises(ConfigError) as caught:
        load(text, name="c.yaml", env={"CANARY_KEY": "CANARY-env"})
    shown = f"{caught.value} {caught.value!r}".replace("CANARY_KEY", "")
    assert "CANARY" not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_environment_is_only_what_is_given(errors, monkeypatch):
    monkeypatch.setenv("REAL_ONE", "x")
    (line,) = errors(f"{TWO}  - {{name: q, source: '${{REAL_ONE}}', metrics: [x]}}\n")
    assert "REAL_ONE is not set" in line


def test_the_example_is_right():
    config = load(EXAMPLE, name="config.example.yaml", env=EXAMPLE_ENV)
    assert set(config.sources) == {"mediamelon", "mediamelon-legacy", "ibm"}
    assert len({query.name for query in config.queries}) == len(config.queries) == EXAMPLE.count("- name: ") >= 10


@pytest.mark.parametrize("vendor", PROVIDERS)
def test_the_example_shows_each_endpoint(vendor):
    config = load(EXAMPLE, name="config.example.yaml", env=EXAMPLE_ENV)
    shown = {
        endpoint
        for query in config.queries
        if config.sources[query.source].type == vendor
        for endpoint in query.endpoint.split(",")
    }
    assert shown == set(PROVIDERS[vendor].catalog.endpoints)


@pytest.mark.parametrize("name", EXAMPLE_ENV)
def test_the_example_names_each_variable_that_it_lacks(name):
    env = {key: value for key, value in EXAMPLE_ENV.items() if key != name}
    with pytest.raises(ConfigError, match=rf"^config\.example\.yaml:\d+: sources\.\S+: .*{name} is not set"):
        load(EXAMPLE, name="config.example.yaml", env=env)


def test_the_example_writes_out_every_default_as_it_is():
    without = EXAMPLE.replace(EXAMPLE[EXAMPLE.index("defaults:") : EXAMPLE.index("sources:")], "")
    written = EXAMPLE[EXAMPLE.index("defaults:") : EXAMPLE.index("sources:")]
    assert [key for key in Defaults.model_fields if f" {key}: " not in written] == []
    complete, short = (load(text, name="", env=EXAMPLE_ENV) for text in (EXAMPLE, without))
    assert complete.queries == short.queries


@pytest.mark.parametrize(
    "name", ["smartsight_session_startup_time_seconds", "smartsight_session_startup_time_seconds_count"]
)
def test_a_name_is_a_gauge_or_a_distribution_in_all_queries(name):
    source = "sources:\n  a: {type: smartsight, customer_id: 1, auth: {api_key: k}}\nqueries:\n"
    sessions = "  - {name: s, source: a, endpoint: listsessions, metrics: [latency]}\n"
    gauge = f"  - {{name: g, source: a, metrics: [{{field: latency, name: {name}}}]}}\n"
    with pytest.raises(
        ConfigError, match=r"queries\[1\].metrics\[0\]: the gauge `.*` can't stand beside the histogram"
    ):
        load(source + sessions + gauge, name="config.yaml", env={})
    assert len(load(source + sessions + gauge.replace(name, "another"), name="config.yaml", env={}).queries) == 2


def test_the_name_of_a_source_stands_in_a_path_whatever_it_looks_like():
    text = "sources:\n  My-source.2: {type: smartsight, customer_id: 7, auth: {api_kee: x}}\nqueries: []\n"
    with pytest.raises(ConfigError, match=r"sources\.My-source\.2\.auth\.api_kee: unknown key"):
        load(text, name="config.yaml", env={})
