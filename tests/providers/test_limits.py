"""In virtual time: the loop's clock moves only where everything waits."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.providers.limits import Limiter
from exporter.providers.shapes import Limits

ROUNDING = 1e-6
FOREVER = float("inf")
arrivals = st.lists(st.tuples(st.floats(0, 90), st.floats(0, 40)), min_size=1, max_size=40)


def play(virtual, limits, jobs):
    """Let requests arrive after some seconds and take some; give (number, start, end) in order of start, and waits."""
    spans, waits = [], []

    async def main(time):
        limiter = Limiter(limits, clock=time, sleep=asyncio.sleep, waited=waits.append)
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
        limiter = Limiter(Limits(concurrency=2, requests_per_minute=1), clock=time, sleep=asyncio.sleep)
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
