import asyncio
import contextlib
import json
import selectors
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import load
from exporter.plan import Group, plan
from exporter.schedule import GridTrigger, Schedule
from exporter.window import MOST_SPREAD, offset

PATIENCE = 30
moments = st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given its zone
intervals = st.integers(1, 7 * 86400)
offsets = st.floats(0, 10)
MICRO = timedelta(microseconds=1)


def jobs(*intervals):
    source = {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}
    queries = [
        {"name": f"q{number}", "source": "mm", "metrics": ["views"], "interval": interval, "window": 300 + number}
        for number, interval in enumerate(intervals)
    ]
    config = load(json.dumps({"sources": {"mm": source}, "queries": queries}), name="", env={})
    return [Group.of(job) for job in plan(config).jobs]


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
        seen.append(job.asked.name)
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


async def test_between_two_polls_that_begin_at_one_moment_the_loop_has_a_turn():
    turns, began, all_begun = 0, [], asyncio.Event()
    planned = jobs(*["1h"] * 20)

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def poll(_):
        began.append(turns)
        if len(began) == len(planned):
            all_begun.set()

    other = asyncio.create_task(turn())
    with running(poll, pytest.fail, *planned):
        await asyncio.wait_for(all_begun.wait(), PATIENCE)
    other.cancel()
    assert len(set(began)) == len(planned)


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


# --- Another configuration --------------------------------------------------------------------------------------------


class Polls:
    """Polls that wait to be let go; what began, what ended and what was cut off."""

    def __init__(self):
        self.began, self.ended, self.cut = [], [], []
        self.release = asyncio.Event()

    async def __call__(self, job):
        self.began.append(job.asked.name)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cut.append(job.asked.name)
            raise
        self.ended.append(job.asked.name)

    async def wait(self, what, names):
        async with asyncio.timeout(PATIENCE):
            while sorted(getattr(self, what)) != sorted(names):  # noqa: ASYNC110 - the scheduler brings it about
                await asyncio.sleep(0.001)


async def test_a_waiting_job_starts_at_its_next_tick_and_the_others_at_once():
    polls = Polls()
    first, second, third = jobs("1h", "1h", "1h")
    schedule = Schedule(polls, pytest.fail)
    schedule.start([first, second, third], [second])
    try:
        await polls.wait("began", ["q0", "q2"])
        at = schedule.next_polls()[second.asked.key]
        assert at == pytest.approx(second.next_tick(time.time()), abs=1e-3)
    finally:
        schedule.stop()


async def test_an_update_leaves_what_is_the_same_as_it_is_and_starts_and_ends_the_rest():
    polls = Polls()
    stays, changes, goes = jobs("1h", "1h", "1h")
    with running(polls, pytest.fail, stays, changes, goes) as schedule:
        await polls.wait("began", ["q0", "q1", "q2"])
        at = schedule.next_polls()
        again, changed = jobs("1h", "2h")
        assert again is not stays
        schedule.update([again, changed])
        await polls.wait("cut", ["q1", "q2"])
        await polls.wait("began", ["q0", "q1", "q2", "q1"])
        assert schedule.next_polls()[stays.asked.key] == at[stays.asked.key]
        assert schedule.next_polls().keys() == {stays.asked.key, changed.asked.key}
        polls.release.set()
        await polls.wait("ended", ["q0", "q1"])


async def test_a_query_whose_poll_was_cut_off_with_its_old_group_is_polled_at_once():
    source = {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}
    queries = [{"name": name, "source": "mm", "metrics": [name], "interval": "1h"} for name in ("a", "b")]
    [old], [new] = (
        plan(load(json.dumps({"sources": {"mm": source}, "queries": some}), name="", env={})).groups
        for some in (queries, queries[:1])
    )
    began = []

    async def poll(group):
        began.append(group)
        await asyncio.Event().wait()

    with running(poll, pytest.fail, old) as schedule:
        async with asyncio.timeout(PATIENCE):
            while not began:  # noqa: ASYNC110 - APScheduler begins
                await asyncio.sleep(0.001)
            schedule.update([new], [new])
            while new not in began:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)


async def test_a_job_that_goes_before_it_has_begun_never_begins():
    polls = Polls()
    polls.release.set()
    one, other = jobs("1h", "1h")
    with running(polls, pytest.fail, one) as schedule:
        schedule.update([other])
        await polls.wait("ended", ["q1"])
        assert polls.began == ["q1"]


async def test_a_tick_of_a_job_that_is_gone_by_then_polls_nothing():
    polls = Polls()
    with running(polls, pytest.fail, *jobs("1h")) as schedule:
        [number] = schedule._groups
        schedule.update([])
        await schedule._run(number)
    assert polls.began == []


async def test_an_update_to_nothing_and_back():
    polls = Polls()
    polls.release.set()
    planned = jobs("1h", "1h")
    with running(polls, pytest.fail, *planned) as schedule:
        await polls.wait("ended", ["q0", "q1"])
        schedule.update([])
        assert schedule.next_polls() == {}
        assert schedule.running
        schedule.update(planned, planned)
        assert len(schedule.next_polls()) == 2
        assert len(polls.began) == 2


async def test_what_is_cut_off_is_no_error_in_the_log(caplog):
    polls = Polls()
    with running(polls, pytest.fail, *jobs("1h")) as schedule:
        await polls.wait("began", ["q0"])
        schedule.update([])
        await polls.wait("cut", ["q0"])
    assert caplog.records == []


# --- The wall clock steps ---------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
BASE = 1_775_764_800.0


class Selector(selectors.SelectSelector):
    """Waits for nothing: where a loop would wait for a timer, its time moves on instead."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if not ready:
            self.now += timeout
        return ready


class World(asyncio.SelectorEventLoop):
    """A loop whose time costs nothing, and a wall clock that can be stepped against it."""

    def __init__(self):
        self._virtual = Selector()
        self.shift = 0.0
        super().__init__(self._virtual)

    def time(self):
        return self._virtual.now

    def wall(self):
        return BASE + self.time() + self.shift


@contextlib.contextmanager
def simulated():
    """Have the schedule and APScheduler live in a world of its own."""
    world = World()

    class Wall(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(world.wall(), tz)

    with (
        pytest.MonkeyPatch.context() as patch,
        asyncio.Runner(loop_factory=lambda: world) as runner,
    ):
        patch.setattr("exporter.schedule.datetime", Wall)
        patch.setattr("exporter.schedule.time", SimpleNamespace(time=world.wall))
        patch.setattr("apscheduler.schedulers.base.datetime", Wall)
        yield world, runner


STEPS = st.sampled_from([3600.0, -3600.0, 1800.5, -59.0, 7200.0, -7200.0, 0.6, -0.6, 86400.0, -86400.0])
SLACK = 2.5
"""Seconds: a look at the clock, and what a poll takes."""


def polled(intervals, steps, length, takes=0.5):
    """Run jobs through steps of the wall clock; the moments of the loop's time at which each was polled."""
    with simulated() as (world, runner):
        planned = jobs(*intervals)
        began, running = {job.asked.name: [] for job in planned}, set()

        async def poll(job):
            name = job.asked.name
            assert name not in running, "a poll overlaps itself"
            running.add(name)
            began[name].append(world.time())
            await asyncio.sleep(takes)
            running.remove(name)

        async def main():
            schedule = Schedule(poll, lambda _: None)
            schedule.start(planned)
            for after, shift in steps:
                await asyncio.sleep(after)
                world.shift += shift
            await asyncio.sleep(length)
            assert schedule.running
            schedule.stop()
            await asyncio.sleep(1)

        runner.run(main())
        return began


@settings(max_examples=12)
@given(steps=st.lists(st.tuples(st.floats(0, 400), STEPS), max_size=4), takes=st.sampled_from([0.0, 0.5, 20.0]))
def test_whatever_the_wall_clock_does_polls_go_on_within_an_interval_and_are_no_flood(steps, takes):
    intervals, length = (20, 60, 120), 300
    total = sum(after for after, _ in steps) + length
    for interval, moments in zip(intervals, polled(intervals, steps, length, takes).values(), strict=True):
        gaps = [later - earlier for earlier, later in zip(moments, [*moments[1:], total], strict=True)]
        # Where the clock steps back by less than an interval, the grid comes so much later: never as much as another.
        assert max(gaps) <= 2 * interval + SLACK + takes
        assert len(moments) <= 2 + total / interval + len(steps)


@pytest.mark.parametrize("shift", [3600.0, -3600.0])
def test_an_hour_back_or_forth_costs_at_most_one_poll_more_of_each_query(shift):
    intervals = (60,) * 20
    still = polled(intervals, [(90, 0.0)], 300)
    stepped = polled(intervals, [(90, shift)], 300)
    for name, moments in stepped.items():
        assert len(still[name]) <= len(moments) <= len(still[name]) + 1


def test_what_a_sleep_of_the_machine_made_late_is_spread_by_the_offsets():
    moments = polled((600,) * 20, [(15, 3300.0)], 60)  # no tick comes before the next look at the clock
    after = [moment for found in moments.values() for moment in found if moment > 15]
    assert len(after) == 20
    assert max(after) - min(after) > 3
    assert len({round(moment, 3) for moment in after}) > 10


@pytest.mark.parametrize("step", [-HOUR, HOUR, -10 * HOUR, timedelta(seconds=-30), timedelta(0)])
async def test_after_a_step_each_job_is_due_within_its_interval(step):
    planned = jobs(1, 60, "1h", "1d")
    schedule = Schedule(Polls(), lambda _: None)
    schedule.start(planned, planned)
    try:
        now = datetime.now(UTC) + step
        schedule._realign(now)
        for job in planned:
            at = schedule.next_polls()[job.asked.key] - now.timestamp()
            assert 0 <= at <= job.asked.interval + 1e-3
    finally:
        schedule.stop()


async def test_without_a_step_nothing_is_moved(monkeypatch):
    looks, real, moved = [], time.time, []
    monkeypatch.setattr("exporter.schedule.LOOK_AGAIN", 0.001)
    monkeypatch.setattr("exporter.schedule.time", SimpleNamespace(time=lambda: looks.append(1) or real()))
    monkeypatch.setattr("exporter.schedule.STEP", 60.0)  # a busy machine is no step
    monkeypatch.setattr(Schedule, "_realign", lambda _, now: moved.append(now))
    polls = Polls()
    with running(polls, pytest.fail, *jobs("1h")):
        async with asyncio.timeout(PATIENCE):
            while len(looks) < 20:  # noqa: ASYNC110 - looks come by themselves
                await asyncio.sleep(0.001)
    assert moved == []


async def test_who_no_longer_watches_the_clock_is_not_alive():
    with running(Polls(), pytest.fail, *jobs("1h")) as schedule:
        assert schedule.running
        schedule._watch.cancel()
        await asyncio.gather(schedule._watch, return_exceptions=True)
        assert not schedule.running
