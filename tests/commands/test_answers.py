import io
import json

import pytest
from rich.console import Console

from exporter.commands import answers
from exporter.commands.asking import Answer
from exporter.exposition import Renderer
from exporter.model import Column, Exemplar, Outcome, Snapshot, Table, Window
from exporter.normalise import Tabulator

WINDOW = Window(1_775_764_500, 1_775_764_800)


@pytest.fixture
def answer(configured):
    """Make an answer of a query's body and the vendor's rows."""

    def answer(body, *rows):
        config = configured(f"name: q, source: mm, {body}")
        (query,) = config.queries
        tabulator = Tabulator(query)
        tabulator.add(rows, query.fields)
        table = tabulator.table()
        snapshot = Snapshot(query, Renderer().render(table), WINDOW, 0.0)
        outcome = Outcome(query, WINDOW, 0.0, 0.0, series=snapshot.series, dropped=table.dropped)
        return Answer(query, config.sources["mm"].provider.catalog, outcome, snapshot)

    return answer


def lines(*found):
    out = io.StringIO()
    answers.show(found, Console(file=out, force_terminal=False))
    return out.getvalue().splitlines()


ROWS = (
    {"cdn": "Fastly", "latency": 3.6498, "bufferingratio": 1.25, "views": 12},
    {"cdn": 'A "b"\n', "latency": None, "bufferingratio": 22, "views": 7},
    {"cdn": "Akamai", "latency": 12, "bufferingratio": 0.01, "views": 100_000},
)
BODY = "metrics: [latency, bufferingratio, views, mystat], dimensions: [cdn]"


def test_a_column_for_each_label_and_family_in_its_unit(answer):
    assert lines(answer(f"{BODY}, order_by: views", *ROWS)) == [
        "q of mm, env=prod: 2026-04-09 19:55:00 to 2026-04-09 20:00:00 UTC, 3 rows, 8 series",
        "cdn      startup_time (seconds)  buffering (ratio)   views  mystat",
        "Akamai                    12.00             0.0001  100000       -",
        "Fastly                     3.65             0.0125      12       -",
        'A "b"\\n                       -             0.2200       7       -',
        "",
    ]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("", ["Akamai", "Fastly", 'A "b"\n']),
        ("order: asc", ["Fastly", "Akamai", 'A "b"\n']),
        ("order_by: bufferingratio", ['A "b"\n', "Fastly", "Akamai"]),
        ("order_by: bufferingratio, order: asc", ["Akamai", "Fastly", 'A "b"\n']),
        ("order_by: unasked", ["Akamai", "Fastly", 'A "b"\n']),
    ],
)
def test_rows_are_in_order_and_those_without_a_value_last(answer, order, first):
    found = answers.rows_of(answer(f"{BODY}, {order}", *ROWS))
    assert [labels for (labels,) in found] == first


def test_rows_that_were_dropped_are_told(answer):
    assert lines(answer(BODY, *ROWS, ROWS[0], 5))[0].endswith("8 series, 1 dropped as duplicate, 1 dropped as invalid")


def test_an_answer_without_rows_still_has_its_heads(answer):
    title, heads, _ = lines(answer(BODY))
    assert title.endswith("0 rows, 0 series")
    assert heads.split() == ["cdn", "startup_time", "(seconds)", "buffering", "(ratio)", "views", "mystat"]


def test_a_name_of_ones_own_stays_whole(answer):
    found = answer("metrics: [{field: latency, name: delay_ms, scale: 1000}]", {"latency": 2})
    assert lines(found)[1:3] == ["delay_ms", "    2000"]


def test_json_has_labels_window_and_exact_values(answer):
    (found,) = json.loads(answers.as_json([answer(BODY, *ROWS)]))
    assert (found["source"], found["query"], found["labels"]) == ("mm", "q", {"env": "prod"})
    assert found["window"] == {"start": WINDOW.start, "end": WINDOW.end}
    assert found["rows"][0] == {
        "labels": {"cdn": "Akamai"},
        "values": {
            "smartsight_startup_time_seconds": 12,
            "smartsight_buffering_ratio": 0.0001,
            "smartsight_views": 100_000,
        },
    }


def test_openmetrics_is_what_metrics_shows(answer):
    text = answers.as_openmetrics([answer("metrics: [views], dimensions: [cdn]", *ROWS)])
    assert text.splitlines()[1:] == [
        "# TYPE smartsight_views gauge",
        'smartsight_views{source="mm",query="q",env="prod",cdn="Fastly"} 12',
        'smartsight_views{source="mm",query="q",env="prod",cdn="A \\"b\\"\\n"} 7',
        'smartsight_views{source="mm",query="q",env="prod",cdn="Akamai"} 100000',
        "# EOF",
    ]
    assert text.endswith("# EOF\n")


@pytest.fixture
def sessions(configured):
    """An answer of distributions: 0.5 and 3 seconds at one CDN, with an exemplar, and nothing at another."""
    config = configured(
        "name: q, source: mm, endpoint: listsessions, metrics: [latency], dimensions: [cdn], buckets: {latency: [1, 2]}"
    )
    (query,) = config.queries
    latency, count = query.metrics
    cells = [1, 1, 2, 3.5, 2, 0, 0, 0, 0, 0]
    columns = (
        Column(latency.family, latency.lines, cells, {0: Exemplar("s1", 0.5)}),
        Column(count.family, count.lines, [2, 0]),
    )
    table = Table(query.labels, ("cdn",), [("Akamai",), ("Fastly",)], columns, {})
    snapshot = Snapshot(query, Renderer().render(table), WINDOW, 0.0)
    outcome = Outcome(query, WINDOW, 0.0, 0.0, series=snapshot.series)
    return Answer(query, config.sources["mm"].provider.catalog, outcome, snapshot)


def test_a_distribution_is_its_count_and_mean(sessions):
    assert lines(sessions)[1:4] == [
        "cdn     session_startup_time count  session_startup_time mean (seconds)  sessions",
        "Akamai                           2                                1.750         2",
        "Fastly                           0                                    -         0",
    ]


def test_a_distribution_in_json_has_its_buckets(sessions):
    (found,) = json.loads(answers.as_json([sessions]))
    assert found["rows"][0]["values"]["smartsight_session_startup_time_seconds"] == {
        "count": 2,
        "sum": 3.5,
        "buckets": {"1.0": 1, "2.0": 1, "+Inf": 2},
    }


def test_exemplars_are_in_openmetrics(sessions):
    assert '# {sessionid="s1"} 0.5' in answers.as_openmetrics([sessions])
