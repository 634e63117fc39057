"""`query --settle`: how long buckets change, and the delay that follows from it."""

import io

import msgspec
import pytest
from rich.console import Console

from exporter.commands import asking, settling

LAST = "the last change was seen 4m after a bucket's end"
NOW, MINUTE = 1_700_000_040, 60


class Vendor:
    """Buckets of a minute whose values are half of what they become ``settles`` seconds after their end."""

    def __init__(self, world, settles):
        self._world, self._settles, self.asked = world, settles, 0

    async def get(self, request, _, read):
        self.asked += 1
        start, end = (int(part.split("=")[1]) for part in dict(request.params)["period"].split(","))
        rows = [
            {"timestamp": at, "views": 100 if self._world.now - at - MINUTE >= self._settles else 50}
            for at in range(start, end, MINUTE)
        ]
        return await read(msgspec.json.encode({"totalrecords": len(rows), "response": rows}))


class World:
    def __init__(self):
        self.now = float(NOW)

    async def sleep(self, seconds):
        self.now += seconds


async def measured(configured, settles, more=""):
    world = World()
    vendor = Vendor(world, settles)
    (job,) = asking.jobs(configured(f"name: q, source: mm, metrics: [views]{more}"), "q", [])
    found = await settling.measure(job, vendor, now=lambda: world.now, sleep=world.sleep)
    assert vendor.asked == settling.READINGS
    return found


@pytest.mark.parametrize(
    ("settles", "more", "verdict"),
    [
        (200, "", f"`delay: 2m` is too short: {LAST}; `delay: 4m` is enough"),
        (200, ", delay: 5m", f"`delay: 5m` is enough: {LAST}"),
        (120, "", "`delay: 2m` is enough: the last change was seen 2m after a bucket's end"),
        (0, "", "no bucket changed, from 1m after its end on"),
        (3600, "", "no bucket changed, from 1m after its end on"),
        (890, "", "buckets still changed 15m after their end; give the query a longer `settle`"),
    ],
)
async def test_the_verdict_is_what_the_vendor_needs(configured, settles, more, verdict):
    assert (await measured(configured, settles, more)).verdict == verdict


async def test_what_was_seen_is_printed(configured):
    out = io.StringIO()
    settling.show([await measured(configured, 200)], Console(file=out))
    lines = out.getvalue().splitlines()
    assert lines[0] == "q of mm: buckets of 1m, read 5 times"
    assert lines[1].split("  ")[0].strip() == "read again"
    assert [line.split()[-2:] for line in lines if line.strip().startswith("4m after")] == [["4", "50.0%"]]
    assert [line.split()[-2:] for line in lines if line.strip().startswith("5m after")] == [["0", "0.0%"]]
    assert lines[-1] == f"q: `delay: 2m` is too short: {LAST}; `delay: 4m` is enough"


async def test_a_query_without_buckets_is_told(configured):
    config = configured("name: q, source: ibm, metrics: [active_view_segments]")
    with pytest.raises(asking.AskError, match="`q`: `active_view_segments` is a number of now, and has no past"):
        await asking.settle(config, asking.jobs(config, "q", []))
