from exporter.history.series import series
from exporter.model import Bucket, Column, Family, Line, Metric, Series, Table, Window

PLAYS, LATENCY = Family("plays", "Plays."), Metric("latency", Family("latency", "Start.", "histogram"), 1, (0.5,))
SHARED = (("source", "mm"), ("query", "q"))
HOUR = Window(7200, 10_800)


def test_a_sample_has_the_time_of_its_buckets_end_and_the_labels_of_a_poll():
    table = Table(SHARED, ("cdn",), [("a",), ("b",)], (Column(PLAYS, (Line("plays"),), [1, 2.5]),), {})
    assert list(series(Bucket(HOUR, table))) == [
        Series((("__name__", "plays"), *SHARED, ("cdn", "a")), ((10_800_000, 1),)),
        Series((("__name__", "plays"), *SHARED, ("cdn", "b")), ((10_800_000, 2.5),)),
    ]


def test_what_has_no_value_is_no_sample():
    table = Table(SHARED, ("cdn",), [("a",), ("b",)], (Column(PLAYS, (Line("plays"),), [None, 0]),), {})
    assert [dict(each.labels)["cdn"] for each in series(Bucket(HOUR, table))] == ["b"]


def test_a_distribution_is_a_series_for_each_of_its_lines():
    table = Table(SHARED, (), [()], (Column(LATENCY.family, LATENCY.lines, [3, 4, 2.5, 4]),), {})
    found = [(dict(each.labels), each.points[0][1]) for each in series(Bucket(HOUR, table))]
    assert [(labels["__name__"], labels.get("le"), value) for labels, value in found] == [
        ("latency_bucket", "0.5", 3),
        ("latency_bucket", "+Inf", 4),
        ("latency_sum", None, 2.5),
        ("latency_count", None, 4),
    ]


def test_an_empty_bucket_has_no_series():
    assert list(series(Bucket(HOUR, Table(SHARED, (), [], (Column(PLAYS, (Line("plays"),), []),), {})))) == []
