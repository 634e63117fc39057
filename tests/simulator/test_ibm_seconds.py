from datetime import datetime

import pytest

from exporter.simulator.audience import CONTENTS
from exporter.simulator.viewing import overlapping

EVENING = 1_775_764_800
END = EVENING + 300
TIMES = ("started_at", "finished_at")


def within(view):
    """Give the seconds of a view that lie in the window; an unfinished one is taken to last."""
    begin, end = (datetime.fromisoformat(view[name]).timestamp() if view[name] else END for name in TIMES)
    return max(0, min(end, END) - max(begin, EVENING))


@pytest.mark.parametrize("granularity", ["minute", "hour", "day", "month"])
async def test_viewer_seconds_are_the_parts_of_the_views(rows, granularity):
    found = await rows("/viewer-seconds", 300, granularity=granularity)
    for content_id in CONTENTS:
        watched = sum(row["value"] for row in found if row["content_id"] == content_id)
        exact = sum(segment.within(EVENING, END) for segment, _ in overlapping((content_id,), EVENING, END, 1))
        assert watched == exact > 0
    told = sum(within(view) for view in await rows("/views", 300))
    assert sum(row["value"] for row in found) == pytest.approx(told, rel=0.02)


async def test_viewer_seconds_by_type_channel_and_content(rows, api, period):
    everything = await rows("/viewer-seconds", granularity="hour")
    assert [row.keys() for row in everything] == [{"content_type", "content_id", "time", "value"}] * len(CONTENTS)
    recorded = await rows("/viewer-seconds/recorded", granularity="hour")
    channels = await rows("/viewer-seconds/recorded/channel", granularity="hour", channel_id="77569623,238589,24116370")
    assert sorted(channels, key=str) == sorted(recorded, key=str)
    assert [row for row in everything if row["content_type"] == "recorded"] == recorded
    assert [row["time"] for row in await rows("/viewer-seconds")] == ["2026-04-01T00:00:00+00:00"] * len(CONTENTS)
    _, body = await api("/viewer-seconds/live/summary", **period(), content_id="238589")
    (value,) = [row["value"] for row in everything if row["content_id"] == 238589]
    attributes = {"content_type": "live", "media_id": 238589, "value": value}
    assert body == {"data": [{"type": "ViewerSecondSummary", "attributes": attributes}], "pagination": {}}
    assert await rows("/viewer-seconds/live/summary", content_id="1") == []


async def test_the_peak_summary_is_the_highest_peak(api, rows, period):
    minutes = await rows("/peak-viewer-numbers/live", granularity="minute", content_id="238589")
    _, body = await api("/peak-viewer-numbers/live/summary", **period(), content_id="238589")
    (row,) = body["data"]
    assert row["type"] == "PeakSummary"
    assert row["attributes"].keys() == {"content_type", "media_id", "timestamp", "value"}
    assert row["attributes"]["value"] == max(minute["value"] for minute in minutes)
    highest = [minute["time"] for minute in minutes if minute["value"] == row["attributes"]["value"]]
    assert row["attributes"]["timestamp"] in highest
    assert await rows("/peak-viewer-numbers/live/summary", content_id="1") == []


async def test_as_many_watch_at_a_time_as_the_peaks_say(rows):
    peaks = await rows("/peak-viewer-numbers", granularity="hour")
    seconds = await rows("/viewer-seconds", granularity="hour")
    assert sum(row["value"] for row in seconds) / 3600 == pytest.approx(sum(row["value"] for row in peaks), rel=0.2)


async def test_a_long_period_is_close_to_the_sum_of_its_days(rows, ibm, clock):
    clock.now += 30 * 86400
    ibm.tokens = dict.fromkeys(ibm.tokens, clock.now + 1)
    long = await rows("/viewer-seconds", 7 * 86400, granularity="month")
    day = await rows("/viewer-seconds", 86400, granularity="month")
    assert sum(row["value"] for row in long) == pytest.approx(7 * sum(row["value"] for row in day), rel=0.1)


async def test_the_future_is_empty(rows, clock):
    clock.now = float(EVENING - 1)
    for path in ("/viewers", "/viewer-seconds"):
        assert await rows(path) == []
    (summary,) = await rows("/viewer-seconds/live/summary", content_id="238589")
    assert summary["value"] == 0
    assert await rows("/peak-viewer-numbers/live/summary", content_id="238589") == []
