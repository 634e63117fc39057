"""In virtual time: the loop's clock moves only where everything waits."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.providers.advice import LONGEST, Advice
from exporter.providers.errors import OutOfTime, RateLimited
from exporter.providers.limits import FIRST_GAP, NO_GAP, WIDEST_GAP, Limiter
from exporter.providers.shapes import Limits

ROUNDING = 1e-6
FOREVER = float("inf")
arrivals = st.lists(st.tuples(st.floats(0, 90), st.floats(0, 40)), min_size=1, max_size=40)


def play(virtual, limits, jobs):
    """Let requests arrive after some seconds and take some; give (number, start, end) in order of start, and waits."""
    spans, waits = [], []

    async def main(time):
        limiter = Limiter(limits, clock=time, waited=waits.append)
        begin = time()

        async def one(number, arrival, duration):
            await asyncio.sleep(arrival)
            async with limiter.slot(FOREVER):
                start = time() - begin
                await asyncio.sleep(duration)
                spans.append((number, start, time() - begin))

        await asyncio.gather(*(one(number, *job) for number, job in enumerate(jobs)))

    virtual(main)
    return sorted(spans, key=lambda span: (span[1], span[0])), waits


@given(jobs=arrivals, concurrency=st.integers(1, 5))
@settings(deadline=None)
def test_never_more_at_a_time_than_concurrency(virtual, jobs, concurrency):
    spans, _ = play(virtual, Limits(concurrency=concurrency), jobs)
    assert len(spans) == len(jobs)
    for _, moment, _ in spans:
        assert sum(start <= moment < end for _, start, end in spans) <= concurrency


@given(jobs=arrivals, concurrency=st.integers(1, 5), most=st.integers(1, 6))
@settings(deadline=None)
def test_never_more_than_so_many_starts_in_any_sixty_seconds(virtual, jobs, concurrency, most):
    spans, _ = play(virtual, Limits(concurrency=concurrency, requests_per_minute=most), jobs)
    starts = [start for _, start, _ in spans]
    assert len(starts) == len(jobs)
    for first, later in zip(starts, starts[most:], strict=False):
        assert later - first >= 60 - ROUNDING


@given(
    times=st.lists(st.integers(0, 90), min_size=1, max_size=40, unique=True),
    concurrency=st.integers(1, 5),
    most=st.none() | st.integers(1, 6),
)
@settings(deadline=None)
def test_who_comes_first_starts_first(virtual, times, concurrency, most):
    jobs = [(moment, 3.5) for moment in sorted(times)]
    spans, _ = play(virtual, Limits(concurrency=concurrency, requests_per_minute=most), jobs)
    assert [number for number, _, _ in spans] == list(range(len(jobs)))


def test_a_burst_up_to_the_limit_starts_at_once_and_the_next_a_minute_after_the_first(virtual):
    spans, waits = play(virtual, Limits(concurrency=10, requests_per_minute=3), [(5, 0)] * 7)
    assert [start for _, start, _ in spans] == pytest.approx([5, 5, 5, 65, 65, 65, 125])
    assert waits == pytest.approx([60, 60, 60, 120])


def test_the_minute_slides_with_the_requests_and_is_no_calendar_s(virtual):
    spans, _ = play(virtual, Limits(requests_per_minute=2), [(0, 0), (50, 0), (51, 0), (52, 0)])
    assert [start for _, start, _ in spans] == pytest.approx([0, 50, 60, 110])


def test_an_idle_limiter_lets_through_at_once_and_reports_no_wait(virtual):
    spans, waits = play(virtual, Limits(concurrency=1, requests_per_minute=1), [(0, 5), (60, 5), (120, 5)])
    assert [start for _, start, _ in spans] == pytest.approx([0, 60, 120])
    assert sum(waits) == pytest.approx(0)


def test_waiting_for_a_slot_is_reported_too(virtual):
    _, waits = play(virtual, Limits(concurrency=1), [(0, 30), (10, 5), (20, 5)])
    assert waits == pytest.approx([20, 15])


@pytest.mark.parametrize("leave", [1.0, 61.0, 200.0])
def test_who_gives_up_waiting_leaves_the_others_their_turn(virtual, leave):
    started = []

    async def main(time):
        limiter = Limiter(Limits(concurrency=2, requests_per_minute=1), clock=time)
        begin = time()

        async def one(name):
            async with limiter.slot(FOREVER):
                started.append((name, time() - begin))

        tasks = [asyncio.create_task(one(name)) for name in "abcd"]
        asyncio.get_running_loop().call_later(leave, tasks[1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual(main)
    names = "acd" if leave < 60 else "abcd"
    assert started == [(name, pytest.approx(60 * place)) for place, name in enumerate(names)]


def test_a_slot_is_free_again_when_its_request_fails(virtual):
    async def main(time):
        limiter = Limiter(Limits(concurrency=1), clock=time)
        for _ in range(3):
            with pytest.raises(ValueError, match="broken"):
                async with limiter.slot(FOREVER):
                    raise ValueError("broken")

    virtual(main)


# --- What the vendor asks for -----------------------------------------------------------------------------------------


def admitted(virtual, *steps, limits=None):
    """Play steps against one limiter, each begun at its second; give for each when it got in, or its error."""
    found = {}

    async def main(time):
        limiter = Limiter(limits or Limits(), clock=time)
        begin = time()

        async def step(number, at, act):
            await asyncio.sleep(at)
            if isinstance(act, tuple):
                return limiter.heed(*act)
            try:
                async with limiter.slot(begin + act):
                    found[number] = time() - begin
            except RateLimited as error:
                found[number] = (time() - begin, str(error), error.wait)

        await asyncio.gather(*(step(number, *each) for number, each in enumerate(steps)))

    virtual(main)
    return [found[number] for number in sorted(found)]


@pytest.mark.usefixtures("repeats")
@given(
    pauses=st.lists(st.tuples(st.floats(0, 200), st.floats(0.1, 100)), max_size=5),
    arrivals=st.lists(st.floats(0, 300), min_size=1, max_size=20),
    most=st.none() | st.integers(1, 5),
)
def test_during_a_pause_nobody_is_admitted(virtual, pauses, arrivals, most):
    steps = [(at, (200, Advice(wait))) for at, wait in pauses] + [(at, FOREVER) for at in arrivals]
    for moment in admitted(virtual, *steps, limits=Limits(requests_per_minute=most)):
        assert not any(at + ROUNDING < moment < at + wait - ROUNDING for at, wait in pauses)


def test_a_pause_that_begins_while_one_waits_holds_it_too(virtual):
    limits = Limits(requests_per_minute=1)
    assert admitted(virtual, (0, FOREVER), (1, FOREVER), (30, (503, Advice(100))), limits=limits) == [0, 130]


def test_a_shorter_pause_does_not_end_a_longer_one(virtual):
    assert admitted(virtual, (0, (503, Advice(100))), (1, (429, Advice(5))), (2, FOREVER)) == [100]


def test_a_success_meanwhile_does_not_end_a_pause(virtual):
    assert admitted(virtual, (0, (503, Advice(100))), (1, (200, Advice())), (2, FOREVER)) == [100]


@pytest.mark.parametrize("pause", [59.0, LONGEST])
def test_a_pause_beyond_the_tick_is_an_error_at_once(virtual, pause):
    [(moment, text, wait)] = admitted(virtual, (0, (429, Advice(pause))), (5, 50))
    assert (moment, wait) == (5, pytest.approx(pause - 5))
    assert "no request for another" in text


def test_a_pause_up_to_the_tick_is_waited_for(virtual):
    assert admitted(virtual, (0, (429, Advice(50))), (5, 50)) == [50]


def test_a_pause_beyond_the_tick_is_an_error_at_once_behind_one_that_may_wait_for_it_too(virtual):
    hourly, minutely = admitted(virtual, (0, (429, Advice(3000))), (1, 3600), (2, 60))
    assert hourly == 3000
    assert minutely[0] == 2


def test_a_pause_beyond_the_tick_is_an_error_at_once_for_those_who_wait_for_a_slot(virtual):
    ended = []

    async def main(time):
        limiter = Limiter(Limits(concurrency=1), clock=time)
        begin = time()

        async def slow():
            async with limiter.slot(FOREVER):
                await asyncio.sleep(80)

        async def behind():
            await asyncio.sleep(1)
            with pytest.raises(RateLimited):
                async with limiter.slot(begin + 60):
                    pass
            ended.append(time() - begin)

        asyncio.get_running_loop().call_later(0.5, limiter.heed, 429, Advice(3000))
        await asyncio.gather(slow(), behind())

    virtual(main)
    assert ended == [1]


@pytest.mark.usefixtures("repeats")
def test_a_429_without_advice_slows_down_and_answers_speed_up_again_until_full_speed(virtual):
    gaps = []

    async def main(time):
        limiter = Limiter(Limits(concurrency=10), clock=time)

        async def ask(status):
            async with limiter.slot(FOREVER):
                start = time()
            limiter.heed(status, Advice())
            return start

        last = await ask(429)
        for _ in range(50):
            start = await ask(200)
            gaps.append(start - last)
            last = start

    virtual(main)
    assert gaps[0] == pytest.approx(FIRST_GAP)
    slow = [gap for gap in gaps if gap > 0]
    assert slow == gaps[: len(slow)]
    assert all(later == pytest.approx(0.8 * before) for before, later in itertools.pairwise(slow))
    assert slow[-1] > NO_GAP
    assert len(slow) < 20
    assert gaps[-1] == 0


@pytest.mark.usefixtures("repeats")
def test_more_429s_slow_down_more_and_have_a_limit(virtual):
    async def main(time):
        limiter = Limiter(Limits(), clock=time)
        last, gaps = None, []
        for _ in range(12):
            async with limiter.slot(FOREVER):
                gaps.append(None if last is None else time() - last)
                last = time()
            limiter.heed(429, Advice())
        assert gaps[1:] == pytest.approx([1, 2, 4, 8, 16, 32, *[WIDEST_GAP] * 5])

    virtual(main)


@pytest.mark.usefixtures("repeats")
@pytest.mark.parametrize("status", [400, 404, 500, 503, 302])
def test_other_answers_neither_slow_down_nor_speed_up(virtual, status):
    quick = admitted(virtual, (0, FOREVER), (0, (status, Advice())), (1, FOREVER))
    slow = admitted(virtual, (0, FOREVER), (0, (429, Advice())), *[(0, (status, Advice()))] * 50, (0.1, FOREVER))
    assert quick == [0, 1]
    assert slow == [0, 1]


def test_a_429_with_advice_slows_nobody_down_afterwards(virtual):
    steps = [(0, FOREVER), (0, (429, Advice(10))), (11, FOREVER), (11, FOREVER)]
    assert admitted(virtual, *steps) == [0, 11, 11]


@pytest.mark.usefixtures("repeats")
@given(
    arrivals=st.lists(st.integers(0, 1200), min_size=1, max_size=15, unique=True),
    said=st.lists(st.tuples(st.floats(0, 120), st.sampled_from([200, 429, 503]), st.none() | st.floats(0.1, 60))),
    most=st.none() | st.integers(1, 4),
)
def test_whatever_the_vendor_says_everybody_comes_in_order_and_in_the_end(virtual, arrivals, said, most):
    arrivals = [tenths / 10 for tenths in sorted(arrivals)]
    steps = [(at, FOREVER) for at in arrivals] + [(at, (status, Advice(wait))) for at, status, wait in said]
    moments = admitted(virtual, *steps, limits=Limits(requests_per_minute=most))
    assert len(moments) == len(arrivals)
    assert moments == sorted(moments)
    assert all(moment >= arrival - ROUNDING for moment, arrival in zip(moments, arrivals, strict=True))
    if most:
        assert all(later - first >= 60 - ROUNDING for first, later in zip(moments, moments[most:], strict=False))


@pytest.mark.parametrize("cancelled", [0, 1, 2, 3])
def test_who_gives_up_during_a_pause_harms_nobody(virtual, cancelled):
    started, waits = [], []

    async def main(time):
        limiter = Limiter(Limits(concurrency=2), clock=time, waited=waits.append)
        limiter.heed(503, Advice(30))
        begin = time()

        async def one(name):
            async with limiter.slot(FOREVER):
                started.append((name, time() - begin))

        tasks = [asyncio.create_task(one(name)) for name in range(4)]
        await asyncio.sleep(10)
        tasks[cancelled].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual(main)
    assert started == [(name, 30) for name in range(4) if name != cancelled]
    assert waits == [30, 30, 30]


def test_two_limiters_share_nothing(virtual):
    async def main(time):
        one, other = Limiter(Limits(requests_per_minute=1), clock=time), Limiter(Limits(), clock=time)
        one.heed(429, Advice(1000))
        one.heed(429, Advice())
        for _ in range(20):
            async with other.slot(time()):
                pass
        with pytest.raises(RateLimited):
            async with one.slot(time()):
                pass

    virtual(main)


def test_who_must_end_before_a_slot_is_free_fails_then(virtual):
    async def main(time):
        limiter, begin = Limiter(Limits(concurrency=1), clock=time), time()

        async def hold():
            async with limiter.slot(FOREVER):
                await asyncio.sleep(90)

        holding = asyncio.create_task(hold())
        await asyncio.sleep(1)
        with pytest.raises(OutOfTime):
            async with limiter.slot(FOREVER, end=begin + 20):
                pytest.fail("it has no slot")
        assert time() - begin == pytest.approx(20)
        await holding
        async with limiter.slot(FOREVER):
            assert time() - begin == pytest.approx(90)

    virtual(main)


def test_another_limiter_of_the_same_vendor_goes_on_where_the_first_was(virtual):
    async def main(time):
        old, new = (Limiter(Limits(requests_per_minute=1), clock=time) for _ in range(2))
        begin = time()
        async with old.slot(FOREVER):
            old.heed(429, Advice(90))
        new.inherit(old)
        async with new.slot(FOREVER):
            assert time() - begin == pytest.approx(90)
        async with new.slot(FOREVER):
            assert time() - begin == pytest.approx(150)

    virtual(main)
