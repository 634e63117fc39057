import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from exporter.commands.progress import Progress, in_words


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def wanted(name, pieces, parts=1):
    return SimpleNamespace(name=name, pieces=pieces, past=SimpleNamespace(parts=("part",) * parts))


def test_without_a_terminal_it_is_a_line_now_and_then_with_what_is_left(clock):
    out = io.StringIO()
    each = wanted("q", 100)
    with Progress(Console(file=out, force_terminal=False), clock) as progress:
        progress.begin([each], {"q": 40})
        for _ in range(30):
            clock.now += 1
            progress.done(each, 5)
    assert out.getvalue().splitlines() == [
        "60 requests to make, 40 were made before",
        "50 of 100 requests, 50 samples, about 50s left",
        "60 of 100 requests, 100 samples, about 40s left",
        "70 of 100 requests, 150 samples, about 30s left",
    ]


def test_a_piece_of_several_parts_is_several_requests(clock):
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=False), clock) as progress:
        progress.begin([wanted("q", 10, parts=6), wanted("r", 1)], {"q": 0, "r": 0})
    assert out.getvalue() == "61 requests to make\n"


def test_at_a_terminal_it_is_a_bar(clock):
    out = io.StringIO()
    each = wanted("q", 4)
    with Progress(Console(file=out, force_terminal=True, width=80), clock) as progress:
        progress.begin([each], {"q": 1})
        progress.done(each, 5)
    assert "2/4" in out.getvalue()
    assert progress.samples == 5


@pytest.mark.parametrize("terminal", [False, True])
def test_a_receiver_that_is_away_is_told_once_until_it_is_back(clock, terminal):
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=terminal, width=80), clock) as progress:
        for decided in (False, False, True, False):
            progress.tried("503", decided=decided)
    assert out.getvalue().count("the receiver takes nothing (503); waiting for it") == 2


@pytest.mark.parametrize(
    ("length", "written"),
    [(0, "0s"), (59.6, "1m 00s"), (61, "1m 01s"), (3599, "59m 59s"), (7500, "2h 05m"), (360_000, "100h 00m")],
)
def test_a_length_of_time_can_be_grasped(length, written):
    assert in_words(length) == written
