import gzip
import math
import re
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import Exposition, Format, Renderer
from exporter.gzipped import Piece, file, inflate
from exporter.model import Column, Exemplar, Family, Line, Metric, Snapshot, Table, Window
from exporter.normalise import Tabulator
from exporter.store import Store

PARSE = {Format.TEXT: parse_text, Format.OPENMETRICS: parse_openmetrics}
RENDER = {Format.TEXT: generate_latest, Format.OPENMETRICS: openmetrics.generate_latest}
WINDOW = Window(0, 300)

NASTY = [
    'say "hi"',
    "back\\slash",
    "\\",
    "\\n",
    "line\nfeed",
    "\r\n",
    "100 %",
    "%s%b%%",
    "%",
    "a,b=c}{ # EOF",
    "😀",
    "\u2028\u2029\x85",
    "".join(map(chr, range(1, 32))) + "\x7f",
    "\x00",
    "\ud800",
    "\ufeff\uffff\U0010ffff",
    " ",
    "é",
    "e\u0301",
]

texts = st.sampled_from(NASTY) | st.text(st.characters() | st.sampled_from('"\\\n%\0\ud83d'), max_size=8)
helps = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n%'), max_size=12).map(
    "Help of {}".format
)
numbers = (
    st.integers()
    | st.integers(-(2**1023), 2**1023)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-0.0, 5e-324, 1e22, 2**53 + 1, 2**64, 10**308])
    | st.none()
)
FIELDS = ("a", "b", "c_total")


@st.composite
def asked(draw):
    """Queries that feed the same families, with the rows that their vendor sends."""
    found = []
    for index in range(draw(st.integers(1, 3))):
        fields = draw(st.lists(st.sampled_from(FIELDS), min_size=1, unique=True))
        metrics = [Metric(field, Family(f"smartsight_{field}", draw(helps))) for field in fields]
        dimensions = draw(st.sampled_from([(), ("cdn",), ("cdn", "country-code")]))
        row = st.fixed_dictionaries({**dict.fromkeys(dimensions, texts), **dict.fromkeys(fields, numbers)})
        label = (("environment", draw(texts.filter(encodable))),) if draw(st.booleans()) else ()
        found.append((f"q{index}", metrics, dimensions, label, draw(st.lists(row, max_size=6))))
    return found


def encodable(text):
    return not re.search("[\ud800-\udfff]", text)


def shown(text):
    """A label value as it is exposed: what UTF-8 can't spell, and NUL, is replaced."""
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text) or "unknown"


def referee(queries):
    """The same samples as prometheus_client's own gauges, in the way of a custom collector."""
    families = {}
    for name, metrics, dimensions, label, rows in queries:
        own = {"source": "mm", "query": name, **dict(label)}
        unique = {}
        for row in rows:
            unique.setdefault(tuple(shown(row[dimension]) for dimension in dimensions), row)
        names = [dimension.replace("-", "_") for dimension in dimensions]
        for metric in metrics:
            for key, row in unique.items():
                if row[metric.field] is not None:
                    labels = own | dict(zip(names, key, strict=True))
                    fresh = GaugeMetricFamily(metric.family.name, metric.family.help)
                    family = families.setdefault(metric.family.name, fresh)
                    family.add_sample(metric.family.name, labels, row[metric.field])
    return [families[name] for name in sorted(families)]


class Fixed:
    def __init__(self, families):
        self.families = families

    def collect(self):
        return self.families


def rendered_by_referee(families, form):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(families))
    return RENDER[form](registry)


def parsed(text, form):
    """Families and samples as Prometheus sees them: values are floats, and the sign of zero is one."""
    return [
        (
            family.name,
            family.type,
            family.documentation,
            {
                (sample.name, frozenset(sample.labels.items())): (float(sample.value), math.copysign(1, sample.value))
                for sample in family.samples
            },
            len(family.samples),
        )
        for family in PARSE[form](text)
    ]


def snapshot(query, table, taken=0.0, renderer=None):
    return Snapshot(query, (renderer or Renderer()).render(table), WINDOW, taken)


def exposed(make_query, queries):
    store = Store([], lambda: 0.0)
    for name, metrics, dimensions, label, rows in queries:
        query = make_query(dimensions=dimensions, name=name, labels=label)
        query = dataclass_replace(query, metrics=tuple(metrics), order_by=metrics[0].field)
        tabulator = Tabulator(query)
        tabulator.add(rows, query.fields)
        store.swap(snapshot(query, tabulator.table()))
    return Exposition(store)


def dataclass_replace(query, **changes):
    return type(query)(**{name: getattr(query, name) for name in type(query).__dataclass_fields__} | changes)


def end(form):
    return "# EOF\n" if form is Format.OPENMETRICS else ""


# --- The referee: prometheus-client -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", Format)
@given(queries=asked())
def test_prometheus_client_reads_what_it_would_have_written_itself(make_query, form, queries):
    body = exposed(make_query, queries).body(form)
    expected = parsed(rendered_by_referee(referee(queries), form).decode(), form)
    plain = inflate(body)
    assert parsed(plain.decode() + end(form), form) == expected
    zipped = b"".join(file(body))
    assert gzip.decompress(zipped) == plain
    # Chromium and httpx read the first member only: there must be no other.
    single = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert single.decompress(zipped) == plain
    assert single.eof
    assert single.unused_data == b""


@pytest.mark.parametrize("form", Format)
@given(text=helps)
def test_help_texts_are_spelled_as_prometheus_client_spells_them(make_query, form, text):
    queries = [("q", [Metric("a", Family("smartsight_a", text))], (), (), [{"a": 1}])]
    ours, theirs = inflate(exposed(make_query, queries).body(form)), rendered_by_referee(referee(queries), form)
    assert ours.split(b"\n")[:2] == theirs.split(b"\n")[:2]


def test_the_media_types_are_those_of_prometheus_client():
    assert Format.TEXT.value == CONTENT_TYPE_PLAIN_0_0_4
    assert Format.OPENMETRICS.value == openmetrics.CONTENT_TYPE_LATEST


# --- The referee: promtool --------------------------------------------------------------------------------------------


@pytest.fixture
def nasty(make_query):
    """An exposition with every nasty label value, in two families, one of them without a value for each second row."""
    metrics = [
        Metric("a", Family("smartsight_playback_score", 'A "quoted" \\ text\nof 100 %.')),
        Metric("b", Family("ibm_video_views", "Views.")),
    ]
    rows = [{"cdn": text, "a": index / 7, "b": 10**30 if index % 2 else None} for index, text in enumerate(NASTY)]
    return exposed(make_query, [("q", metrics, ("cdn",), (("environment", '100 %\n"\\'),), rows)])


@pytest.mark.real("promtool")
def test_promtool_finds_no_fault_with_nasty_labels(nasty):
    command = ["promtool", "check", "metrics"]
    check = subprocess.run(command, input=inflate(nasty.body(Format.TEXT)), capture_output=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


@pytest.mark.real("promtool")
def test_the_parser_of_prometheus_finds_all_series_with_nasty_labels(nasty, tmp_path):
    # It takes a history, so each line needs a time. None of the values above ends a line.
    stamped = re.sub(rb"(?m)^([^#\n].*)$", rb"\1 1700000000", inflate(nasty.body(Format.OPENMETRICS)))
    (tmp_path / "body").write_bytes(stamped + b"# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", tmp_path / "body", tmp_path / "data"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    number = made.stdout.splitlines()[1].split()[-2]  # the column NUM SERIES, before SIZE
    assert int(number) == len({shown(text) for text in NASTY}) + len(NASTY) // 2


# --- Lines ------------------------------------------------------------------------------------------------------------


def table(rows, *columns, labels=(("source", "mm"), ("query", "q")), names=("cdn",), family="smartsight_plays"):
    families = (Family(family if index == 0 else f"{family}_{index}", "Help.") for index in range(len(columns)))
    gauges = (Column(each, (Line("plays"),), values) for each, values in zip(families, columns, strict=True))
    return Table(labels, names, rows, tuple(gauges), {})


def lines(chunk):
    return inflate(chunk.lines).decode()


def test_labels_stand_in_the_order_source_query_own_labels_dimensions():
    labels = (("source", "mm"), ("query", "q"), ("z", "1"), ("a", "2"))
    (chunk,) = Renderer().render(table([("x", "y")], [1], labels=labels, names=("dim", "b")))
    assert lines(chunk) == 'smartsight_plays{source="mm",query="q",z="1",a="2",dim="x",b="y"} 1\n'


def test_a_query_without_dimensions_is_one_series():
    (chunk,) = Renderer().render(table([()], [1.5], names=()))
    assert lines(chunk) == 'smartsight_plays{source="mm",query="q"} 1.5\n'


def distribution(rows, values, bounds=(0.5, 2), exemplars=None):
    metric = Metric("latency", Family("smartsight_session_startup_time_seconds", "Help.", "histogram"), 1, bounds)
    column = Column(metric.family, metric.lines, values, exemplars or {})
    return Table((("source", "mm"), ("query", "q")), ("cdn",), rows, (column,), {})


def test_a_distribution_has_its_buckets_sum_and_count_row_by_row():
    (chunk,) = Renderer().render(distribution([("a",), ("b%",)], [1, 2, 3, 7.5, 3, 0, 0, 1, 9, 1]))
    assert chunk.series == 10
    assert chunk.with_exemplars is None
    name = "smartsight_session_startup_time_seconds"
    assert lines(chunk).splitlines() == [
        f'{name}_{suffix}{{source="mm",query="q",cdn="{cdn}"{le}}} {value}'
        for cdn, values in (("a", (1, 2, 3, 7.5, 3)), ("b%", (0, 0, 1, 9, 1)))
        for (suffix, le), value in zip(
            [
                *(("bucket", f',le="{bound}"') for bound in ("0.5", "2.0", "+Inf")),
                ("sum", ""),
                ("count", ""),
            ],
            values,
            strict=True,
        )
    ]


def test_an_exemplar_stands_behind_its_bucket_and_in_openmetrics_alone():
    values, exemplars = [1, 2, 3, 7.5, 3], {1: Exemplar('say "100 %"', 1.5), 2: Exemplar("slow", 30)}
    (chunk,) = Renderer().render(distribution([("a",)], values, exemplars=exemplars))
    (plain,) = Renderer().render(distribution([("a",)], values))
    assert lines(chunk) == lines(plain)
    marked = inflate(chunk.with_exemplars).decode().splitlines()
    ends = ["", r' # {sessionid="say \"100 %\""} 1.5', ' # {sessionid="slow"} 30', "", ""]
    assert marked == [line + end for line, end in zip(lines(plain).splitlines(), ends, strict=True)]


@pytest.mark.parametrize("form", Format)
def test_the_type_of_a_distribution_is_histogram(make_query, form):
    store = Store([], lambda: 0.0)
    store.swap(snapshot(make_query(), distribution([("a",)], [1, 2, 3, 7.5, 3], exemplars={2: Exemplar("slow", 30)})))
    body = inflate(Exposition(store).body(form)).decode() + end(form)
    [family] = PARSE[form](body)
    assert (family.type, len(family.samples)) == ("histogram", 5)
    shown = [sample.exemplar for sample in family.samples if sample.exemplar]
    assert [exemplar.labels for exemplar in shown] == [{"sessionid": "slow"}] * (form is Format.OPENMETRICS)


def test_a_family_without_samples_is_not_there(make_query):
    chunks = Renderer().render(table([("a",), ("b",)], [None, None], [1, None]))
    assert [(chunk.family.name, chunk.series) for chunk in chunks] == [("smartsight_plays_1", 1)]
    assert Renderer().render(table([], [])) == ()
    assert exposed(make_query, [("q", [Metric("a", Family("a", "h"))], (), (), [])]).body(Format.TEXT) == Piece()


def test_no_timestamps_no_null_and_no_boolean():
    (chunk,) = Renderer().render(table([("a",), ("b",), ("c",)], [None, 1e300, 2**70]))
    assert [line.split("} ")[1] for line in lines(chunk).splitlines()] == ["1e300", str(2**70)]


def test_several_queries_feed_a_family_that_stands_once(make_query):
    metrics = [Metric("a", Family("smartsight_a", "First.")), Metric("b", Family("smartsight_b", "B."))]
    other = [Metric("a", Family("smartsight_a", "Second."))]
    queries = [("q1", metrics, (), (), [{"a": 1, "b": 2}]), ("q2", other, (), (), [{"a": 3}])]
    assert inflate(exposed(make_query, queries).body(Format.TEXT)).decode().splitlines() == [
        "# HELP smartsight_a First.",
        "# TYPE smartsight_a gauge",
        'smartsight_a{source="mm",query="q1"} 1',
        'smartsight_a{source="mm",query="q2"} 3',
        "# HELP smartsight_b B.",
        "# TYPE smartsight_b gauge",
        'smartsight_b{source="mm",query="q1"} 2',
    ]


# --- How often work is done -------------------------------------------------------------------------------------------

ROWS = [("a",), ("b",)]


def test_an_unchanged_table_is_not_rendered_again():
    renderer = Renderer()
    before = renderer.render(table(ROWS, [1, 2], [3.5, None]))
    assert renderer.rendered == 2
    after = renderer.render(table(list(ROWS), (1, 2), (3.5, None)))
    assert renderer.rendered == 2
    assert all(new is old for new, old in zip(after, before, strict=True))


def test_only_families_that_changed_are_rendered():
    renderer = Renderer()
    before = renderer.render(table(ROWS, [1, 2], [3, 4]))
    after = renderer.render(table(ROWS, [1, 2], [3, 5]))
    assert renderer.rendered == 3
    assert after[0] is before[0]
    assert lines(after[1]).splitlines()[1].endswith(" 5")


@pytest.mark.parametrize(
    ("before", "after"), [([0.0, 1], [-0.0, 1]), ([1, None], [None, 1]), ([1, 2], [2, 1]), ([None, None], [0, None])]
)
def test_a_change_however_small_is_rendered(before, after):
    renderer = Renderer()
    renderer.render(table(ROWS, before))
    (chunk,) = renderer.render(table(ROWS, after))
    (fresh,) = Renderer().render(table(ROWS, after))
    assert chunk == fresh


@pytest.mark.parametrize(
    "change",
    [{"exemplars": {1: Exemplar("other", 1.5)}}, {"exemplars": {2: Exemplar("one", 1.5)}}, {}, {"bounds": (0.5, 5)}],
    ids=["exemplar", "its bucket", "no exemplar", "buckets"],
)
def test_a_change_of_a_distribution_is_rendered_even_if_the_numbers_are_the_same(change):
    values, before = [1, 2, 3, 7.5, 3], {"exemplars": {1: Exemplar("one", 1.5)}} if "bounds" not in change else {}
    renderer = Renderer()
    renderer.render(distribution([("a",)], values, **before))
    after = distribution([("a",)], values, **change)
    assert renderer.render(after) == Renderer().render(after)


tables = st.lists(texts.map(shown), unique=True, max_size=4).flatmap(
    lambda keys: st.lists(st.lists(numbers, min_size=len(keys), max_size=len(keys)), min_size=1, max_size=3).map(
        lambda columns: table([(key,) for key in keys], *columns)
    )
)


@given(st.lists(tables, min_size=2, max_size=5))
def test_a_renderer_with_a_past_gives_what_a_new_one_gives(series):
    renderer = Renderer()
    for one in series:
        assert renderer.render(one) == Renderer().render(one)


@pytest.mark.parametrize(
    "change",
    [{"labels": (("source", "mm"), ("query", "q"), ("environment", "prod"))}, {"names": ("country",)}],
    ids=str,
)
def test_a_change_of_the_labels_is_rendered_even_if_the_rows_are_the_same(change):
    renderer = Renderer()
    renderer.render(table(ROWS, [1, 2]))
    assert renderer.render(table(ROWS, [1, 2], **change)) == Renderer().render(table(ROWS, [1, 2], **change))


@pytest.mark.parametrize("form", Format)
def test_a_body_is_joined_once_a_change_and_swaps_are_seen(make_query, form):
    clock = Clock()
    query = make_query(dimensions=("cdn",), max_age=300)
    store = Store([query], clock)
    exposition = Exposition(store)
    assert inflate(exposition.body(form)) == b""
    store.swap(snapshot(query, table(ROWS, [1, 2])))
    first = exposition.body(form)
    assert exposition.body(form) is first
    store.swap(snapshot(query, table([("c",)], [3])))
    assert b'cdn="c"' in inflate(exposition.body(form))
    assert b'cdn="a"' not in inflate(exposition.body(form))
    clock.now = 300
    assert exposition.body(form) == Piece()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now
