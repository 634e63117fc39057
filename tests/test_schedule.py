import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import load
from exporter.plan import plan
from exporter.schedule import GridTrigger, Schedule
from exporter.window import MOST_SPREAD, offset

PATIENCE = 10
moments = st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given its zone
intervals = st.integers(1, 7 * 86400)
offsets = st.floats(0, 10)
MICRO = timedelta(microseconds=1)


def jobs(*intervals):
    source = {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}
    queries = [
        {"name": f"q{number}", "source": "mm", "metrics": ["views"], "interval": interval}
        for number, interval in enumerate(intervals)
    ]
    return plan(load(json.dumps({"sources": {"mm": source}, "queries": queries}), name="", env={}))


@contextlib.contextmanager
def running(poll, skipped, *planned):
    schedule = Schedule(poll, skipped)
    schedule.start(planned)
    try:
        yield schedule
    finally:
        schedule.stop()


# --- The grid -------------------------------------------------------------------------------------------------------


def distance(moment, interval, offset):
    """Give how far, in seconds, a moment is from the nearest point of the grid."""
    past = (moment - datetime.fromtimestamp(0, UTC) - timedelta(seconds=offset)) % timedelta(seconds=interval)
    return min(past, timedelta(seconds=interval) - past).total_seconds()


@given(now=moments, interval=intervals, offset=offsets)
def test_the_next_point_is_after_now_on_the_grid_and_no_more_than_an_interval_away(now, interval, offset):
    following = GridTrigger(interval, offset).get_next_fire_time(None, now)
    assert now < following <= now + timedelta(seconds=interval) + MICRO
    assert distance(following, interval, offset) <= 2e-6


@given(now=moments, interval=intervals, offset=offsets)
def test_from_point_to_point_it_is_one_interval(now, interval, offset):
    trigger = GridTrigger(interval, offset)
    point = trigger.get_next_fire_time(None, now)
    for _ in range(5):
        following = trigger.get_next_fire_time(point, point)
        assert abs(following - point - timedelta(seconds=interval)) <= 2 * MICRO
        point = following


@given(now=moments, interval=intervals, offset=offsets, late=st.timedeltas(timedelta(0), timedelta(days=9)))
def test_a_late_tick_is_not_made_up_for(now, interval, offset, late):
    trigger = GridTrigger(interval, offset)
    point = trigger.get_next_fire_time(None, now)
    following = trigger.get_next_fire_time(point, point + late)
    assert point + late < following <= point + late + timedelta(seconds=interval) + MICRO


@given(now=moments, interval=intervals, offset=offsets, back=st.timedeltas(timedelta(0), timedelta(days=9)))
def test_a_clock_that_stepped_back_costs_no_tick(now, interval, offset, back):
    following = GridTrigger(interval, offset).get_next_fire_time(now + back, now)
    assert now < following <= now + timedelta(seconds=interval) + MICRO
    assert distance(following, interval, offset) <= 2e-6


@given(name=st.text(min_size=1), interval=intervals)
def test_a_query_s_offset_is_within_the_first_tenth_of_its_interval_and_at_most_ten_seconds(name, interval):
    assert 0 <= offset(name, interval) < min(interval / 10, MOST_SPREAD)
    assert offset(name, interval) == offset(name, interval)


# --- The schedule ---------------------------------------------------------------------------------------------------


async def test_every_job_runs_at_once_whatever_its_interval():
    seen, all_seen = [], asyncio.Event()
    planned = jobs("7d", "1h", "1m", 1000)

    async def poll(job):
        seen.append(job.query.name)
        if len(seen) == len(planned):
            all_seen.set()

    with running(poll, pytest.fail, *planned):
        await asyncio.wait_for(all_seen.wait(), PATIENCE)
    assert sorted(seen) == ["q0", "q1", "q2", "q3"]


async def test_after_the_first_run_a_job_waits_for_its_grid_and_offset():
    done = asyncio.Event()
    [job] = jobs("1h")

    async def poll(_):
        done.set()

    with running(poll, pytest.fail, job) as schedule:
        began = time.time()
        await asyncio.wait_for(done.wait(), PATIENCE)
        [(key, at)] = schedule.next_polls().items()
    assert key == ("mm", "q0")
    assert (at - job.offset + 60) % 3600 == pytest.approx(60, abs=1e-5)
    assert began < at <= time.time() + 3600
    assert 0 <= job.offset <= 10


async def test_runs_follow_each_other_on_the_grid_and_none_is_early():
    at, planned, enough = [], [], asyncio.Event()
    [job] = jobs(1)

    async def poll(_):
        at.append(time.time())
        planned.extend(schedule.next_polls().values())
        if len(at) == 3:
            enough.set()

    with running(poll, pytest.fail, job) as schedule:
        await asyncio.wait_for(enough.wait(), PATIENCE)
    assert all(moment >= point for moment, point in zip(at[1:], planned, strict=False))
    assert all((point - job.offset + 0.5) % 1 == pytest.approx(0.5, abs=1e-5) for point in planned)


async def test_a_poll_is_awaited_to_its_end_and_a_tick_meanwhile_is_skipped_and_told():
    started, skipped, release = [], asyncio.Event(), asyncio.Event()
    [slow] = jobs(1)

    async def poll(job):
        started.append(job)
        await release.wait()

    told = []

    def skip(job):
        told.append(job)
        skipped.set()

    with running(poll, skip, slow):
        await asyncio.wait_for(skipped.wait(), PATIENCE)
        assert started == [slow]
        assert told[0] is slow
        release.set()


async def test_a_slow_job_does_not_hold_up_the_others():
    others, twice = [], asyncio.Event()
    slow, quick = jobs(1, 1)

    async def poll(job):
        if job is slow:
            await asyncio.Event().wait()
        others.append(job)
        if len(others) == 2:
            twice.set()

    with running(poll, lambda _: None, slow, quick):
        await asyncio.wait_for(twice.wait(), PATIENCE)
    assert others == [quick, quick]


async def test_stop_cancels_what_runs_and_starts_nothing_more():
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def poll(_):
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with running(poll, lambda _: None, *jobs("1m")) as schedule:
        await asyncio.wait_for(started.wait(), PATIENCE)
        assert schedule.running
        schedule.stop()
        await asyncio.wait_for(cancelled.wait(), PATIENCE)
        assert not schedule.running
        schedule.stop()


async def test_before_the_start_nothing_is_planned_and_nothing_runs():
    schedule = Schedule(None, None)
    assert not schedule.running
    assert schedule.next_polls() == {}
    schedule.stop()
