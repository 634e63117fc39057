"""Every value's fate, from the vendor's bytes to the bytes of a scrape (contract section 4, README)."""

import asyncio
import json
import math
import subprocess
from collections import Counter

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.store import Store
from exporter.telemetry import Telemetry

SOURCES = {
    "mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}},
    "ibm": {"type": "ibm_video", "auth": {"client_id": "id", "client_secret": "secret"}},
}
QUERIES = {
    "metrics": ("mm", {"metrics": ["views", "latency", "bufferingratio"], "dimensions": ["cdn", "country"]}),
    "sessions": (
        "mm",
        {
            "endpoint": "listsessions",
            "metrics": ["latency"],
            "dimensions": ["cdn"],
            "exemplars": True,
            "allow_personal_data": True,
        },
    ),
    "counted": ("ibm", {"metrics": ["total_views"], "dimensions": ["location"]}),
    "buckets": ("ibm", {"metrics": ["total_views"], "options": {"bucket": "day"}}),
    "seconds": ("ibm", {"metrics": ["viewer_seconds", "peak_viewers"], "dimensions": ["content_id"]}),
    "views": (
        "ibm",
        {
            "metrics": ["view_segments", "view_sessions", "watched_seconds", "active_view_segments"],
            "dimensions": ["country", "device"],
        },
    ),
    "viewers": ("ibm", {"metrics": ["viewers", "videos_watched"]}),
}
PARSE = {Format.TEXT: parse_text, Format.OPENMETRICS: parse_openmetrics}


class House:
    """A poller in front of a vendor that answers with the same bytes, and has no second page."""

    def __init__(self, name, **options):
        source, query = QUERIES[name]
        query = {"name": "q", "source": source, **query, **options}
        config = load(json.dumps({"sources": SOURCES, "queries": [query]}), name="", env={})
        [self.group] = plan(config).groups
        self.store = Store(config.queries, lambda: 0.0)
        self.telemetry = Telemetry(lambda: 0.0)
        self.outcomes = []
        self.poller = Poller({source: self}, self.store, self.ended, now=lambda: 1_775_764_830.5, clock=lambda: 0.0)

    def ended(self, outcome):
        self.outcomes.append(outcome)
        self.telemetry.polled(outcome)

    async def get(self, _, __, read):
        body, self.body = self.body, b'{"response": [], "data": []}'
        return await read(body)

    def poll(self, body):
        self.body = body
        asyncio.run(self.poller.poll(self.group))
        return self.outcomes[-1]

    def scrape(self, form=Format.TEXT):
        body = inflate(Exposition(self.store).body(form))
        own = self.telemetry.render(form)  # in OpenMetrics it ends the body
        return (body + own).decode()

    @property
    def lines(self):
        return [line for line in self.scrape().splitlines() if line.startswith(("smartsight_", "ibm_video_"))]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """Write no lines; threads would take most of the time, and nothing goes on beside these polls."""

    def drop(*_):
        raise structlog.DropEvent

    async def beside(_, __, work, *args, **kwargs):
        return work(*args, **kwargs)

    monkeypatch.setattr("exporter.poll.log", structlog.wrap_logger(None, processors=[drop]))
    monkeypatch.setattr(Poller, "_apart", beside)


# --- The table --------------------------------------------------------------------------------------------------------

MISSING, JUNK = object(), object()
DEEP = "[" * 20 + "]" * 20

METRICS = [
    ("7", "7"),
    ("0", "0"),
    ("-7", "-7"),
    ("12.5", "12.5"),
    ("-0.0", "-0.0"),
    ("1e-320", "1e-320"),
    ("1E3", "1000.0"),
    ("9007199254740993", "9007199254740993"),
    ("9223372036854775808", "9223372036854775808"),
    ("18446744073709551616", "18446744073709551616"),
    (f"1{'0' * 300}", f"1{'0' * 300}"),
    ("true", "1"),
    ("false", "0"),
    ('"12.5"', "12.5"),
    ('"1e3"', "1000.0"),
    ('" 7 "', "7"),
    ('"+5"', "5"),
    ('"-5"', "-5"),
    ('"007"', "7"),
    ('".5"', "0.5"),
    ('"9007199254740993"', "9007199254740993"),
    *((text, MISSING) for text in ("null", '""', '" "', '"\\t\\n"')),
    *((text, MISSING) for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", f"1{'0' * 400}")),
    *((f'"{text}"', MISSING) for text in ("NaN", "nan", "inf", "-inf", "Infinity", "+INF", "1e999", "9" * 400)),
    *((f'"{text}"', JUNK) for text in ("0x10", "1_000", "1,000", "1 000", "١٢", "\\uff11", "5%", "7s", "true", "null")),
    *((f'"{text}"', JUNK) for text in ("n/a", "-", "e5", "1e", "++5", "\\u0000", "\\ud800", "x" * 10_000)),
    *((text, JUNK) for text in ("[]", "[7]", "{}", '{"value": 7}', DEEP, f'{{"a": {DEEP}}}')),
]


@pytest.mark.parametrize("on_missing", ["absent", "zero"])
@pytest.mark.parametrize(("written", "shown"), METRICS, ids=lambda each: each[:24] if isinstance(each, str) else "")
def test_what_becomes_of_a_metric(written, shown, on_missing):
    house = House("metrics", metrics=["views", "attempts"], dimensions=["cdn"], on_missing=on_missing)
    outcome = house.poll(f'{{"response": [{{"cdn": "a", "views": {written}, "attempts": 1}}]}}'.encode())
    assert outcome.reason == ""
    expected = {MISSING: "0" if on_missing == "zero" else None, JUNK: None}.get(shown, shown)
    labels = '{source="mm",query="q",cdn="a"}'
    assert house.lines == [
        f"smartsight_attempts{labels} 1",
        *([f"smartsight_views{labels} {expected}"] if expected is not None else []),
    ]
    assert outcome.dropped == ({"invalid": 1} if shown is JUNK else {})


@pytest.mark.parametrize(
    ("written", "shown"),
    [("50", "0.5"), ("1.1", "0.011"), ('"1.1"', "0.011"), ("1e-320", "1e-322"), ("true", "0.01"), ("-0.0", "-0.0")],
)
def test_what_becomes_of_a_metric_in_per_cent(written, shown):
    house = House("metrics", metrics=["bufferingratio"], dimensions=[])
    house.poll(f'{{"response": [{{"bufferingratio": {written}}}]}}'.encode())
    [line] = house.lines
    assert float(line.rpartition(" ")[2]) == float(shown)
    assert math.copysign(1, float(line.rpartition(" ")[2])) == math.copysign(1, float(shown))


DIMENSIONS = [
    ('"Akamai"', "Akamai"),
    ('" Akamai "', " Akamai "),
    ('" "', " "),
    ("7", "7"),
    ("7.0", "7.0"),
    ("12.5", "12.5"),
    ("1e22", "1e+22"),
    ("9007199254740993", "9007199254740993"),
    ("true", "true"),
    ("false", "false"),
    ('"NaN"', "NaN"),
    ("null", "unknown"),
    ('""', "unknown"),
    ("NaN", "unknown"),
    ("Infinity", "unknown"),
    (f"1{'0' * 400}", "unknown"),
    ('"a\\nb"', "a\\nb"),
    ('"a\\\\b"', "a\\\\b"),
    ('"say \\"hi\\""', 'say \\"hi\\"'),
    ('"\\u0000"', "\ufffd"),
    ('"\\ud800"', "\ufffd"),
    ('"\\ud83d\\ude00"', "😀"),
    (f'"{"x" * 1024}"', "x" * 1024),
    *((text, JUNK) for text in ("[]", '["a"]', "{}", '{"a": 1}', DEEP, f'"{"x" * 1025}"', f'"{"😀" * 1025}"')),
]


@pytest.mark.parametrize(("written", "shown"), DIMENSIONS, ids=lambda each: each[:24] if isinstance(each, str) else "")
def test_what_becomes_of_a_dimension(written, shown):
    house = House("metrics", metrics=["views"], dimensions=["cdn"])
    outcome = house.poll(f'{{"response": [{{"cdn": {written}, "views": 1}}, {{"cdn": "z", "views": 2}}]}}'.encode())
    assert outcome.reason == ""
    expected = [] if shown is JUNK else [f'smartsight_views{{source="mm",query="q",cdn="{shown}"}} 1']
    assert house.lines == [*expected, 'smartsight_views{source="mm",query="q",cdn="z"} 2']
    assert outcome.dropped == ({"invalid": 1} if shown is JUNK else {})


@pytest.mark.parametrize("written", ["null", "7", '"text"', "[]", '[{"cdn": "b", "views": 2}]', "true", "NaN", DEEP])
def test_a_row_that_is_no_object_is_left_out_and_counted(written):
    house = House("metrics", metrics=["views"], dimensions=["cdn"])
    outcome = house.poll(f'{{"response": [{written}, {{"cdn": "a", "views": 1}}]}}'.encode())
    assert (outcome.reason, outcome.dropped) == ("", {"invalid": 1})
    assert house.lines == ['smartsight_views{source="mm",query="q",cdn="a"} 1']


@pytest.mark.parametrize(
    ("first", "second"),
    [('"7"', "7"), ('""', "null"), ('"unknown"', "null"), ('"true"', "true"), ('"\\ud800"', '"\\ufffd"')],
)
def test_values_that_are_shown_alike_are_duplicates_and_the_first_is_kept(first, second):
    house = House("metrics", metrics=["views"], dimensions=["cdn"])
    rows = f'{{"response": [{{"cdn": {first}, "views": 1}}, {{"cdn": {second}, "views": 2}}]}}'
    outcome = house.poll(rows.encode())
    assert outcome.dropped == {"duplicate": 1}
    assert [line[-1] for line in house.lines] == ["1"]


# --- Any value whatsoever ---------------------------------------------------------------------------------------------

UNUSUAL = [
    "1e999",
    "NaN",
    "x",
    "7",
    "",
    " ",
    "\0",
    "\ud800",
    'a"b\\c\n',
    "%s%",
    "# EOF",
    "2026-04-09T20:00:00Z",
    "9999",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.sampled_from([2**53 + 1, 2**63, 10**307, -(10**307), 10**400, -(10**400), 1e308, -1e308, 1e-320, -0.0])
    | st.floats()
    | st.sampled_from(UNUSUAL)
    | st.text(st.characters() | st.sampled_from('"\\\n%\0\ud83d'), max_size=5)
)
values = st.recursive(
    scalars,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(["a", "family", ""]), each, max_size=2),
    max_leaves=6,
)
NAMES = {
    "mm": ["cdn", "country", "views", "latency", "bufferingratio", "sessionid"],
    "ibm": [
        *("point", "value", "content_id", "content_type", "time", "country", "city", "view_id", "view_session_id"),
        *("started_at", "finished_at", "device_info", "viewer_identifier", "videos_watched"),
    ],
}


def answers(source):
    row = values | st.dictionaries(st.sampled_from(NAMES[source]), values, max_size=8)
    if source == "mm":
        return st.fixed_dictionaries({"response": st.lists(row, max_size=6)}, optional={"totalrecords": values})
    return st.fixed_dictionaries(
        {"data": st.lists(values | st.fixed_dictionaries({"attributes": row}), max_size=6)},
        optional={"pagination": values},
    )


def check(house):
    """Hold a scrape against prometheus_client's own parsers; each series stands once."""
    for form, parse in PARSE.items():
        names = Counter()
        for family in parse(house.scrape(form)):
            for sample in family.samples:
                names[sample.name, tuple(sorted(sample.labels.items()))] += 1
                if sample.name.startswith(("smartsight_", "ibm_video_")):
                    assert math.isfinite(sample.value)
        assert max(names.values()) == 1


@pytest.mark.parametrize("name", QUERIES)
@given(data=st.data())
@settings(max_examples=60)
def test_any_value_in_any_row_gives_a_scrape_that_can_be_read(name, data):
    house = House(name, on_missing=data.draw(st.sampled_from(["absent", "zero"])))
    answer = data.draw(answers(QUERIES[name][0]))
    outcome = house.poll(json.dumps(answer).encode())
    assert outcome.reason in ("", "bad_response"), outcome.error
    check(house)


@pytest.mark.parametrize("name", ["metrics", "counted", "views", "viewers"])
@given(answer=values)
def test_any_answer_whatsoever_is_rows_or_a_bad_response(name, answer):
    house = House(name)
    outcome = house.poll(json.dumps(answer).encode())
    assert outcome.reason in ("", "bad_response"), outcome.error
    check(house)


@pytest.mark.parametrize("name", ["seconds", "sessions"])
def test_a_sum_beyond_all_floats_is_no_bug(name):
    numbers = [10**308, 10**308, 0.5]
    if name == "seconds":
        rows = [
            {"attributes": {"content_type": "live", "content_id": 1, "time": f"{number}", "value": value}}
            for number, value in enumerate(numbers)
        ]
        body = {"data": rows}
    else:
        body = {
            "response": [
                {"sessionid": f"s{number}", "cdn": "a", "latency": value} for number, value in enumerate(numbers)
            ]
        }
    assert House(name).poll(json.dumps(body).encode()).reason != "bug"


def test_a_total_beyond_all_floats_breaks_no_poll():
    house = House("metrics", metrics=["views"], dimensions=["cdn"], max_series=1)
    rows = [{"cdn": f"c{number}", "views": 1} for number in range(1000)]
    outcome = house.poll(json.dumps({"totalrecords": 10**400, "response": rows}).encode())
    assert outcome.reason in ("", "bad_response")


@pytest.mark.real("promtool")
@pytest.mark.parametrize("name", QUERIES)
def test_promtool_reads_what_became_of_the_worst(name):
    worst = [json.loads(written) for written, _ in [*METRICS, *DIMENSIONS]]
    source = QUERIES[name][0]
    rows = [
        {field: worst[(number + step) % len(worst)] for step, field in enumerate(NAMES[source])}
        for number in range(len(worst))
    ]
    body = {"response": rows} if source == "mm" else {"data": [{"attributes": row} for row in rows]}
    house = House(name)
    assert house.poll(json.dumps(body).encode()).reason == ""
    check(house)
    data = inflate(Exposition(house.store).body(Format.TEXT))
    assert data
    subprocess.run(["promtool", "check", "metrics"], input=data, check=True, capture_output=True)
