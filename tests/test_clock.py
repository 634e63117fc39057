import importlib
import time

import pytest

from exporter import clock


def test_it_goes_on_and_never_back():
    moments = [clock.steady() for _ in range(1000)]
    assert moments == sorted(moments)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has this clock")
def test_on_linux_it_is_the_clock_that_counts_a_sleep_of_the_machine():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clock.steady() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_step_of_the_wall_clock_does_not_move_it(monkeypatch):
    before = clock.steady()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.steady() >= before


def test_elsewhere_it_is_the_clock_that_never_steps(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    try:
        assert importlib.reload(clock).SLEEPLESS == time.CLOCK_MONOTONIC
        assert clock.steady() > 0
    finally:
        monkeypatch.undo()
        importlib.reload(clock)
