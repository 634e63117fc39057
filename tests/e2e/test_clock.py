"""The wall clock of a real process stepped by libfaketime; the steady clocks stay as they are."""

import asyncio
import subprocess
import time

import pytest
from starlette.responses import JSONResponse

PREFIX = "video_analytics_exporter_"
OF = '{query="plays",source="mm"}'
HOUR = 3600


class Wall:
    """The wall clock of the processes that are started from now on: seconds off the machine's."""

    def __init__(self, path):
        self._path = path
        self.step(0)

    def step(self, seconds):
        """Set how far off the clock is; whoever reads it meanwhile finds the old or the new."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._path)


@pytest.fixture
def wall(tmp_path, monkeypatch):
    command = ["faketime", "-m", "now", "printenv", "LD_PRELOAD"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    wall = Wall(tmp_path / "wall")
    monkeypatch.setenv("LD_PRELOAD", library)
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(tmp_path / "wall"))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    # Its repair of old glibc's waits makes every hand-over between threads take up to a second.
    monkeypatch.setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0")
    return wall


class Vendor:
    """Answers each request with how many came; knows whether two were ever open at once."""

    def __init__(self):
        self.asked = self.open = self.most = 0
        self.fails = False

    async def __call__(self, _):
        self.asked += 1
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0.05)
        self.open -= 1
        return JSONResponse({"totalrecords": 1, "response": [{"viewercount": self.asked}]}, 500 if self.fails else 200)


@pytest.fixture
def vendor(vendors):
    vendors.smartsight.intercept = Vendor()
    return vendors.smartsight.intercept


def config(vendors, **defaults):
    query = {"name": "plays", "source": "mm", "metrics": ["viewercount"]}
    return {"defaults": {"interval": "1s", **defaults}, "sources": vendors.sources(), "queries": [query]}


def plays(exporter):
    return exporter.series().get('smartsight_plays{source="mm",query="plays"}')


def window_end(exporter):
    return float(exporter.series().get(f"{PREFIX}query_window_end_timestamp_seconds{OF}", 0))


@pytest.mark.real("faketime")
@pytest.mark.parametrize("direction", [1, -1])
def test_an_hour_neither_stops_the_polls_nor_floods_the_vendor(vendors, vendor, run, wall, until, direction):
    exporter = run(config(vendors))
    until(lambda: vendor.asked >= 3, "it polls")
    before = window_end(exporter)
    began, asked = time.monotonic(), vendor.asked
    for shift in (direction * HOUR, 0):
        wall.step(shift)
        until(lambda to=before + shift: abs(window_end(exporter) - to) < HOUR / 2, "it asks for what is now the period")
        more = vendor.asked + 4
        until(lambda more=more: vendor.asked >= more, "it polls on")
        until(lambda more=more: int(plays(exporter) or 0) >= more - 1, "what it asked for is served")
    # Of each interval one request; one more for each of the two steps, and for the ends.
    assert vendor.asked - asked <= time.monotonic() - began + 4
    assert vendor.most == 1
    assert exporter.series()[f"{PREFIX}query_success{OF}"] == "1.0"
    assert not exporter.lines("level=error")


@pytest.mark.real("faketime")
def test_a_long_interval_is_not_stopped_for_an_hour_by_a_step_back(vendors, vendor, run, wall, until):
    """Its wait had been for a moment that is now an hour away."""
    exporter = run(config(vendors, interval="4s"))
    until(lambda: plays(exporter), "it polls")
    asked = vendor.asked
    wall.step(-HOUR)
    until(lambda: vendor.asked >= asked + 3, "it polls on, within intervals and not within the hour")


@pytest.mark.real("faketime")
def test_an_answer_s_age_is_not_that_of_the_wall_clock(vendors, vendor, run, wall, until):
    exporter = run(config(vendors, max_age="30m"))
    until(lambda: plays(exporter), "it polls")
    vendor.fails = True
    failures = f'{PREFIX}query_failures_total{{query="plays",reason="server_error",source="mm"}}'
    until(lambda: failures in exporter.series(), "it fails")
    last = plays(exporter)
    wall.step(HOUR)
    count = float(exporter.series()[failures])
    until(lambda: float(exporter.series()[failures]) > count, "it has seen the new time")
    assert plays(exporter) == last
    wall.step(-HOUR)
    assert plays(exporter) == last


@pytest.mark.real("faketime")
def test_a_step_back_does_not_lengthen_the_life_of_an_answer(vendors, vendor, run, wall, until):
    exporter = run(config(vendors, max_age="3s"))
    until(lambda: plays(exporter), "it polls")
    vendor.fails = True
    wall.step(-HOUR)
    until(lambda: plays(exporter) is None, "it vanishes by the steady clock")
    assert exporter.series()[f"{PREFIX}query_success{OF}"] == "0.0"
