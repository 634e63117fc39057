"""Fifty files that a tired person wrote, and the line that helps: where, what is wrong, what to write instead."""

import pytest

RIGHT = """\
defaults:
  interval: 1m
sources:
  mm:
    type: smartsight
    customer_id: 7
    auth:
      api_key: ${KEY}
  ibm:
    type: ibm_video
    auth: {client_id: c, client_secret: s}
queries:
  - name: qoe
    source: mm
    metrics: [latency, viewercount]
    dimensions: [cdn]
  - name: audience
    source: ibm
    metrics: [total_views]
    dimensions: [device]
"""

QUOTE = "put a text that begins with it in quotes"
INDENT = "check the indentation"
DURATION = "is no duration; write it as 30s, 5m, 1h30m or 1d, or as a number of seconds"
CDN = "    dimensions: [cdn]\n"
QOE = "    source: mm\n"
ID = "customer_id: 7"
SETTING = "interval: 1m"
YAML = "is no valid YAML"

FAULTS = [
    # indentation and punctuation
    ("tab", QOE, "\tsource: mm\n", 14, YAML, "indent with spaces, not with tabs"),
    ("tab-in-a-line", "metrics: [latency", "metrics:\t[latency", 15, YAML, "not with tabs"),
    ("indented-less", QOE, "   source: mm\n", 14, YAML, INDENT),
    ("indented-more", QOE, "      source: mm\n", 14, YAML, INDENT),
    ("section-indented", "queries:", "  queries:", 12, "sources.queries", "must be a mapping with `type` and `auth`"),
    (
        "no-blank-after-colon",
        QOE,
        "    source:mm\n",
        15,
        YAML,
        "(it began on line 14); a key needs a colon and a space",
    ),
    ("no-colon", "queries:", "queries", 13, YAML, "(it began on line 12); a key needs a colon"),
    ("no-blank-after-dash", "  - name: qoe", "  -name: qoe", 14, YAML, INDENT),
    ("open-bracket", "viewercount]", "viewercount", 16, YAML, "expected ',' or ']', but got ':' (it began on line 15)"),
    ("open-quote", ID, 'customer_id: "7', 21, YAML, "(it began on line 6); a quote is not closed"),
    ("colon-in-a-text", CDN, "    having: latency: 3\n", 16, YAML, "a text that holds `: ` in quotes"),
    ("greater-than", CDN, "    having: >latency\n", 16, YAML, "a text that begins with > or | in quotes"),
    ("greater-than-and-blank", CDN, "    having: > latency\n", 16, YAML, "a text that begins with > or | in quotes"),
    ("at-sign", ID, "customer_id: @7", 6, YAML, QUOTE),
    ("percent", "${KEY}", "%7abc", 8, YAML, QUOTE),
    ("star", "${KEY}", "*abc", 8, YAML, "put a text that begins with * in quotes"),
    ("backslash", "${KEY}", '"a\\key"', 8, YAML, "put a text that holds a backslash in single quotes"),
    ("template", "${KEY}", "{{ .Values.key }}", 8, "sources.mm.auth.api_key", "begins with { or [ in quotes"),
    ("two-documents", "queries:", "---\nqueries:", 12, YAML, "remove the line `---`"),
    ("anchor-nowhere", "[latency, viewercount]", "*common", 15, YAML, "undefined alias"),
    ("anchor-on-top", "defaults:", "x-common: &c [a]\ndefaults:", 1, "x-common", "allowed: defaults, sources, queries"),
    # keys
    ("twice", QOE, "    source: mm\n    source: mm\n", 15, "queries[0].source", "stands twice"),
    ("section", "defaults:", "default:", 1, "default", "(did you mean `defaults`?)"),
    ("key", QOE, "    sorce: mm\n", 14, "queries[0].sorce", "(did you mean `source`?)"),
    ("key-missing", QOE, "", 13, "queries[0].source", "is missing"),
    ("key-in-camel-case", ID, "customerId: 7", 6, "sources.mm.customerId", "(did you mean `customer_id`?)"),
    ("key-elsewhere", ID, f"{ID}\n    interval: 5m", 7, "sources.mm.interval", "unknown key; allowed: auth, base_url"),
    (
        "key-of-the-other-vendor",
        "{client_id: c",
        "{api_key: k, client_id: c",
        11,
        "sources.ibm.auth.api_key",
        "unknown key",
    ),
    # shapes
    (
        "mapping-for-a-list",
        "  - name: qoe",
        "  qoe: {}\nquerys:\n  - name: qoe",
        14,
        "querys",
        "(did you mean `queries`?)",
    ),
    (
        "queries-by-name",
        RIGHT[RIGHT.index("  - name: qoe") :],
        "  qoe: {}\n",
        12,
        "queries",
        "must be a list with at least one entry; begin each with `- `",
    ),
    (
        "text-for-a-list",
        "[latency, viewercount]",
        "latency, viewercount",
        15,
        "queries[0].metrics",
        "write it as [a, b]",
    ),
    ("no-comma", "[latency, viewercount]", "[latency viewercount]", 15, "queries[0].metrics[0]", "must be one name"),
    ("list-for-filters", CDN, "    filters: [cdn=Akamai]\n", 16, "queries[0].filters", "must be a mapping of keys"),
    ("several-sources", QOE, "    source: mm, ibm\n", 14, "queries[0].source", "several sources are a list: `[a, b]`"),
    ("empty", "name: qoe", "name:", 13, "queries[0].name", "must be a text, and is empty"),
    # values
    ("key-without-quotes", "${KEY}", "12345", 8, "sources.mm.auth.api_key", "must be a text; put it in quotes"),
    ("blank-in-a-duration", SETTING, "interval: 10 s", 2, "defaults.interval", DURATION),
    ("fraction-of-a-duration", SETTING, "interval: 1.5m", 2, "defaults.interval", DURATION),
    ("other-units", SETTING, "interval: 1min", 2, "defaults.interval", DURATION),
    ("no-time", SETTING, "interval: 0", 2, "defaults.interval", "must be more than 0"),
    ("thousands", SETTING, "max_series: 10,000", 2, "defaults.max_series", "must be a whole number"),
    ("size", SETTING, "max_response: 64M", 2, "defaults.max_response", "write it as 64MiB, 10MB"),
    (
        "word",
        SETTING,
        "on_missing: zeros",
        2,
        "defaults.on_missing",
        "must be 'absent' or 'zero' (did you mean `zero`?)",
    ),
    ("variable", "${KEY}", "${KEEY}", 8, "sources.mm.auth.api_key", "the environment variable KEEY is not set"),
    (
        "variable-with-a-hyphen",
        "${KEY}",
        "${MY-KEY}",
        8,
        "sources.mm.auth.api_key",
        "write `${NAME}` or `${NAME:-default}`",
    ),
    ("address", ID, f"{ID}\n    base_url: host.example", 7, "sources.mm.base_url", "begins with http:// or https://"),
    # what belongs together
    ("type", "type: ibm_video", "type: ibm-video", 10, "sources.ibm.type", "(did you mean `ibm_video`?)"),
    ("source", "source: ibm", "source: imb", 18, "queries[1].source", "(did you mean `ibm`?); there are: mm, ibm"),
    (
        "dimension-of-the-other-vendor",
        "[device]",
        "[cdn]",
        19,
        "queries[1].metrics[0]",
        "can't be split by `cdn`; allowed: content_type",
    ),
    ("metric", "[total_views]", "[total_view]", 19, "queries[1].metrics[0]", "(did you mean `total_views`?)"),
    ("login", CDN, "    endpoint: error\n", 16, "queries[0].endpoint", "with an API key, which reaches: metricquery"),
    ("filter", CDN, "    filters: {cdn: a|b}\n", 16, "queries[0].filters.cdn", "several values are a list: `[a, b]`"),
    ("option", CDN, "    options: {limit: 10}\n", 16, "queries[0].options.limit", "use `top` of the query"),
    ("person", "[cdn]", "[ipaddress]", 16, "queries[0].dimensions[0]", "must say `allow_personal_data: true`"),
    ("name", "name: audience", "name: qoe", 17, "queries[1].name", "the name `qoe` stands twice"),
]


def test_the_file_without_a_fault_is_right(configured):
    assert len(configured(RIGHT, KEY="k").queries) == 2


def test_there_are_fifty():
    assert len({name for name, *_ in FAULTS}) == len(FAULTS) >= 50


@pytest.mark.parametrize(
    ("old", "new", "line", "place", "words"), [pytest.param(*rest, id=name) for name, *rest in FAULTS]
)
def test_the_line_that_helps(errors, old, new, line, place, words):
    assert RIGHT.count(old) >= 1
    found = errors(RIGHT.replace(old, new, 1), KEY="k")
    assert any(text.startswith(f"c.yaml:{line}: {place}") and words in text for text in found), "\n".join(found)
    assert len(found) <= 3, "one fault must not hide among others"
    assert "Traceback" not in "".join(found)
