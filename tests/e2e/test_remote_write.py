"""What a real Prometheus makes of samples that come twice, changed, late or too late."""

import time

import pytest

from exporter.config.remote_write import RemoteWrite
from exporter.history.receiver import Receiver
from exporter.history.remote_write import Sender
from exporter.model import Series

MINUTE, DAY = 60, 86_400


class Prometheus:
    """A sender to a real receiver, and what is stored there since half an hour ago."""

    def __init__(self, receiver):
        self._receiver = receiver
        self.begin = int(time.time()) // MINUTE * MINUTE - 30 * MINUTE
        settings = RemoteWrite(url=f"{receiver.url}/api/v1/write")
        self.sender = Sender(Receiver(settings, now=time.time))

    async def send(self, *points):
        """Send points of one CDN, given as minutes and value."""
        return await self.sender.send([self.series("a", *points)])

    def series(self, cdn, *points):
        at = [((self.begin + round(minute * MINUTE)) * 1000, value) for minute, value in points]
        return Series((("__name__", "plays"), ("cdn", cdn)), tuple(at))

    @property
    def stored(self):
        found = self._receiver.points("plays", self.begin - 5 * MINUTE, self.begin + 60 * MINUTE)
        return {(at - self.begin) // MINUTE: value for (_, at), value in found.items()}

    @property
    def values(self):
        return sorted(self._receiver.points("plays", self.begin - 5 * MINUTE, self.begin + 60 * MINUTE).values())


@pytest.fixture
async def prometheus(receiver):
    prometheus = Prometheus(receiver)
    yield prometheus
    await prometheus.sender.aclose()


@pytest.mark.real("prometheus")
async def test_the_same_bucket_twice_is_the_same_sample(prometheus):
    for _ in range(2):
        assert await prometheus.send((0, 1), (1, 2), (2, 3)) is None
    assert await prometheus.send((1, 2)) is None
    assert prometheus.stored == {0: 1, 1: 2, 2: 3}


@pytest.mark.real("prometheus")
async def test_late_buckets_are_taken_and_those_that_have_changed_are_not(prometheus):
    assert await prometheus.send((0, 1), (5, 6)) is None
    assert await prometheus.send((3, 4)) is None
    await prometheus.send((3, 400))
    refusal = await prometheus.send((5, 600))
    assert (refusal.status, refusal.cause) == (400, "taken")
    assert prometheus.stored == {0: 1, 3: 4, 5: 6}


@pytest.mark.real("prometheus")
async def test_a_changed_bucket_costs_no_other_series_its_sample(prometheus):
    await prometheus.send((0, 1))
    cdns = {"a": 2, "b": 3, "c": 4, "d": 5}
    refusal = await prometheus.sender.send([prometheus.series(cdn, (0, value)) for cdn, value in cdns.items()])
    assert (refusal.status, refusal.cause) == (400, "taken")
    assert prometheus.values == [1, 3, 4, 5]


@pytest.mark.real("prometheus")
@pytest.mark.parametrize("receiver", ["0s"], indirect=True)
async def test_a_prometheus_without_the_window_is_known_by_its_answer(prometheus):
    assert await prometheus.send((5, 6)) is None
    refusal = await prometheus.send((3, 4))
    assert (refusal.status, refusal.said, refusal.cause) == (400, "out of order sample", "late")
    assert "out_of_order_time_window" in str(refusal)
    refusal = await prometheus.send((-3 * DAY // MINUTE, 1))
    assert (refusal.status, refusal.cause) == (400, "late")


@pytest.mark.real("prometheus")
async def test_what_is_beyond_the_window_is_no_reason_to_try_for_ever(prometheus):
    assert await prometheus.send((5, 6)) is None
    refusal = await prometheus.send((-3 * DAY // MINUTE, 1))
    assert (refusal.said, refusal.cause) == ("too old sample", "late")
