import contextlib
import sqlite3
import stat

import pytest

from exporter.history.openmetrics import text
from exporter.history.spool import Spool, SpoolError
from exporter.model import Bucket, Column, Family, Line, Metric, Request, Table, Window

PLAYS, VIEWS = Family("plays", 'Plays "now".'), Family("views", "Views.")
LATENCY = Metric("latency", Family("latency", "Start.", "histogram"), 1, (0.5,))
HOUR = 3600
REQUEST = Request("metricquery", "/metricquery", (("period", "1"), ("offset", "0")))


def bucket(number, *columns, rows=(("a",), ("b",))):
    """The bucket of an hour; each column is a family and its values."""
    table = Table(
        (("query", "q"),),
        ("cdn",),
        list(rows),
        tuple(Column(family, (Line("x"),), values) for family, values in columns),
        {},
    )
    return Bucket(Window(number * HOUR, (number + 1) * HOUR), table)


def piece(number):
    return Window(number * HOUR, (number + 1) * HOUR)


def written(spool):
    return b"".join(text(spool.blocks())).decode()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "x.backfill"


@pytest.fixture
def spool(path):
    with Spool(path, "identity", 5.0) as spool:
        yield spool


def test_a_family_is_one_block_and_a_series_within_it_in_the_order_of_its_times(spool):
    for number in (1, 0):
        cells = [number, 0.5], [None, 10**30]
        spool.finish("q", piece(number), [bucket(number, (VIEWS, cells[0]), (PLAYS, cells[1]))])
    assert written(spool) == (
        '# HELP plays Plays \\"now\\".\n# TYPE plays gauge\n'
        'plays{query="q",cdn="b"} 1e+30 3600\nplays{query="q",cdn="b"} 1e+30 7200\n'
        "# HELP views Views.\n# TYPE views gauge\n"
        'views{query="q",cdn="a"} 0 3600\nviews{query="q",cdn="a"} 1 7200\n'
        'views{query="q",cdn="b"} 0.5 3600\nviews{query="q",cdn="b"} 0.5 7200\n'
        "# EOF\n"
    )


def test_the_lines_of_a_distribution_stay_together_at_each_time(spool):
    for number in (1, 0):
        table = Table((("query", "q"),), (), [()], (Column(LATENCY.family, LATENCY.lines, [1, 2, 0.5, 2]),), {})
        spool.finish("q", piece(number), [Bucket(piece(number), table)])
    assert written(spool).splitlines()[2:-1] == [
        line
        for at in (3600, 7200)
        for line in (
            f'latency_bucket{{query="q",le="0.5"}} 1 {at}',
            f'latency_bucket{{query="q",le="+Inf"}} 2 {at}',
            f'latency_sum{{query="q"}} 0.5 {at}',
            f'latency_count{{query="q"}} 2 {at}',
        )
    ]


def test_what_is_done_survives_and_what_is_not_does_not(path):
    with Spool(path, "identity", 5.0) as spool:
        assert (spool.resumed, spool.began) == (False, 5.0)
        spool.finish("q", piece(3), [bucket(3, (PLAYS, [1, 2]))])
        spool.keep("q", piece(4), REQUEST, b"answer")
    with Spool(path, "identity", 99.0) as spool:
        assert (spool.resumed, spool.began) == (True, 5.0)
        assert spool.is_done("q", piece(3))
        assert not spool.is_done("q", piece(4))
        assert not spool.is_done("other", piece(3))
        assert spool.count_done("q") == 1
        assert written(spool).count("plays{") == 2


def test_samples_that_break_off_leave_nothing(spool):
    def buckets():
        yield bucket(0, (PLAYS, [1, 2]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spool.finish("q", piece(0), buckets())
    assert not spool.is_done("q", piece(0))
    assert written(spool) == "# EOF\n"
    spool.finish("q", piece(0), [bucket(0, (PLAYS, [1, 2]))])
    assert written(spool).count("plays{") == 2


def test_an_answer_is_kept_until_its_piece_is_done_and_then_gone_from_the_disk(path):
    body = b"viewer-0001@example.com" * 3
    with Spool(path, "identity", 5.0) as spool:
        spool.keep("q", piece(0), REQUEST, body)
        spool.keep("q", piece(1), REQUEST, b"other")
    with Spool(path, "identity", 5.0) as spool:
        assert spool.answer("q", piece(0), REQUEST) == body
        assert spool.answer("q", piece(0), Request("metricquery", "/metricquery", (("period", "2"),))) is None
        spool.finish("q", piece(0))
        assert spool.answer("q", piece(0), REQUEST) is None
        assert spool.answer("q", piece(1), REQUEST) == b"other"
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM answer").fetchone() == (1,)
        assert db.execute("PRAGMA secure_delete").fetchone() is not None


def test_nobody_else_may_read_it_for_answers_name_persons(spool, path):
    spool.keep("q", piece(0), REQUEST, b"viewer-0001@example.com")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_of_another_backfill_is_refused_and_left_as_it_is(path):
    with Spool(path, "one", 5.0) as spool:
        spool.finish("q", piece(0))
    with pytest.raises(SpoolError, match="is of another backfill"):
        Spool(path, "two", 5.0)
    with Spool(path, "one", 5.0) as spool:
        assert spool.is_done("q", piece(0))


def test_a_file_that_is_in_use_is_refused(spool, path):
    assert not spool.resumed
    with pytest.raises(SpoolError, match="another backfill is at work on it"):
        Spool(path, "identity", 5.0)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_no_state_is_refused_and_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SpoolError, match=r"x\.backfill: is no state .*; delete the file to begin anew"):
        Spool(path, "identity", 5.0)
    assert path.read_bytes() == content


USES = {
    "is_done": lambda spool: spool.is_done("q", piece(0)),
    "count_done": lambda spool: spool.count_done("q"),
    "finish": lambda spool: spool.finish("q", piece(1), [bucket(1, (PLAYS, [1, 2]))]),
    "answer": lambda spool: spool.answer("q", piece(9), REQUEST),
    "keep": lambda spool: spool.keep("q", piece(9), REQUEST, b"other"),
    "blocks": written,
}


@pytest.mark.parametrize("use", USES)
def test_damage_that_is_found_late_is_told_in_the_same_way(path, use):
    with Spool(path, "identity", 5.0) as spool:
        spool.finish("q", piece(0), [bucket(0, (PLAYS, [1, 2]))])
        spool.keep("q", piece(9), REQUEST, b"answer")
    with contextlib.closing(sqlite3.connect(path)) as db:
        pages = db.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0 AND tbl_name != 'run'").fetchall()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    for (page,) in pages:
        content[(page - 1) * size : page * size] = b"x" * size
    path.write_bytes(content)
    with Spool(path, "identity", 5.0) as spool, pytest.raises(SpoolError, match="delete the file to begin anew"):
        USES[use](spool)


def test_an_answer_that_is_damaged_is_told_in_the_same_way(path):
    with Spool(path, "identity", 5.0) as spool:
        spool.keep("q", piece(0), REQUEST, b"answer")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE answer SET body = x'00'")
    with Spool(path, "identity", 5.0) as spool, pytest.raises(SpoolError, match="delete the file to begin anew"):
        spool.answer("q", piece(0), REQUEST)


def test_a_file_that_can_not_be_removed_is_told(spool, path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "unlink", refused)
    with pytest.raises(SpoolError, match=r"x\.backfill: the state can't be kept: Permission denied"):
        spool.remove()


def test_a_place_that_can_not_be_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=r"can't be kept: (File exists|Not a directory)"):
        Spool(tmp_path / "file" / "x.backfill", "identity", 5.0)


def test_nothing_is_left_once_all_is_done(spool, path):
    spool.finish("q", piece(0), [bucket(0, (PLAYS, [1, 2]))])
    spool.remove()
    assert list(path.parent.iterdir()) == []


def test_the_file_is_written_out_sample_by_sample(spool):
    spool.finish("q", piece(0), [bucket(0, (PLAYS, [1, 2]), (VIEWS, [3, 4]))])
    lines = text(spool.blocks())
    assert next(lines).startswith(b"# HELP plays")
    assert next(lines) == b'plays{query="q",cdn="a"} 1 3600\n'
