"""An hour of buckets with a vendor outage, two exporter kills and a Prometheus restart: nothing is missing after it.

The exporter's hour is a dozen seconds long: libfaketime lets all clocks of its process run faster.
"""

import datetime as dt
import json
import signal
import subprocess
import time
import zlib

import pytest
from starlette.responses import JSONResponse

SPEED = 300
MINUTE, HOUR = 60, 3600
CDNS = ("Akamai", "CloudFront")
SETTLES = 100
"""Seconds after the end of a bucket until which the vendor's values are too small."""


class Clock:
    """An hour ago at first, and faster than the machine's."""

    def __init__(self):
        self._real = time.monotonic()
        self.base = int(time.time() - 1.1 * HOUR) // MINUTE * MINUTE

    def __call__(self):
        return self.base + (time.monotonic() - self._real) * SPEED


class Vendor:
    """Plays by CDN and minute, which are whole only some time after the minute's end."""

    def __init__(self, clock):
        self._clock = clock
        self.down = False
        self.failed = 0

    async def __call__(self, request):
        if self.down:
            self.failed += 1
            return JSONResponse({"detail": "down"}, 503)
        asked = request.query_params
        start, end = (int(part.split("=")[1]) for part in asked["period"].split(","))
        rows = [{"cdn": cdn, "viewercount": 1} for cdn in CDNS]
        if asked.get("granularity") == "minute":
            rows = [
                {"cdn": cdn, "timestamp": at, "viewercount": self.value(cdn, at, self._clock() - at - MINUTE)}
                for at in range(start, end, MINUTE)
                for cdn in CDNS
            ]
        return JSONResponse({"totalrecords": len(rows), "response": rows})

    @staticmethod
    def value(cdn, start, age=HOUR):
        final = 100 + zlib.crc32(f"{cdn}{start}".encode()) % 10_000
        return final if age >= SETTLES else final // 2


@pytest.fixture
def fast(monkeypatch):
    """Start processes with a clock from now on."""
    command = ["faketime", "-m", "now", "printenv", "LD_PRELOAD"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def fast(start, clock, *arguments):
        moment = dt.datetime.fromtimestamp(clock()).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - as it reads it
        with monkeypatch.context() as context:
            context.setenv("LD_PRELOAD", library)
            context.setenv("FAKETIME", f"@{moment} x{SPEED}")
            context.setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0")
            return start(*arguments)

    return fast


def config(vendors, receiver):
    plays = {"name": "plays", "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"], "history": True}
    return {
        "defaults": {"timeout": "1h"},
        "sources": vendors.sources(),
        "queries": [plays],
        "remote_write": {"url": f"{receiver.url}/api/v1/write", "remote_timeout": "1h"},
    }


@pytest.mark.real("faketime")
@pytest.mark.real("prometheus")
def test_every_bucket_is_in_prometheus(tmp_path, vendors, start, fast, receiver, until):
    clock = Clock()
    vendor = vendors.smartsight.intercept = Vendor(clock)
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config(vendors, receiver)))

    def exporter():
        return fast(start, clock, "run", f"--config.file={path}", f"--storage.path={tmp_path / 'state'}")

    def stored():
        return receiver.points('smartsight_plays{query="plays"}', clock.base - HOUR, clock.base + 9 * HOUR)

    def newest():
        return max((time for _, time in stored()), default=0)

    def minutes_pass(minutes):
        then = clock() + minutes * MINUTE
        until(lambda: clock() >= then, f"{minutes} minutes")

    def goes_on(minutes):
        then = newest() + minutes * MINUTE
        until(lambda: newest() >= then, f"another {minutes} buckets")

    def kill(running):
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()

    first = exporter()
    begin = min(time for _, time in until(stored, "the first bucket"))
    goes_on(8)
    vendor.down = True
    until(lambda: vendor.failed, "the outage is felt")
    minutes_pass(5)
    kill(first)
    second = exporter()
    minutes_pass(5)
    vendor.down = False
    goes_on(15)
    receiver.stop()
    minutes_pass(6)
    receiver.start()
    goes_on(10)
    kill(second)
    minutes_pass(3)
    exporter()
    end = max(begin + HOUR, newest() + 5 * MINUTE)
    until(lambda: newest() >= end, "the last bucket")
    found = {at: value for at, value in stored().items() if at[1] <= end}
    times = range(begin, end + 1, MINUTE)
    assert found == {(cdn, time): vendor.value(cdn, time - MINUTE) for cdn in CDNS for time in times}
