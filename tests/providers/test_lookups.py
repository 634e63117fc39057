import asyncio

import pytest

from exporter.model import Lookup
from exporter.providers.errors import AuthError, NetworkError, ServerError, VendorError
from exporter.providers.lookups import Lookups

PLAN = Lookup("planlevel", "planlevel", "/planLevelByCustId/7")
OTHER = Lookup("other", "other", "/other")
INTERVAL = 60.0


class House:
    """Lookups with a clock that a test moves, and a vendor that gives or raises one thing after the other."""

    def __init__(self, *script):
        self.now, self.script, self.asked = 0.0, list(script), 0
        self.lookups = Lookups(lambda: self.now)

    async def _ask(self):
        self.asked += 1
        found = self.script.pop(0)
        await asyncio.sleep(0)
        if isinstance(found, BaseException):
            raise found
        return found

    async def fact(self, lookup=PLAN, interval=INTERVAL):
        return await self.lookups.fact(lookup, self._ask, interval)

    async def several(self, count):
        return await asyncio.gather(*(self.fact() for _ in range(count)), return_exceptions=True)


async def test_a_fact_is_asked_for_once():
    house = House("2735")
    assert await house.several(5) == ["2735"] * 5
    house.now += 10**9
    assert await house.fact() == "2735"
    assert house.asked == 1


async def test_a_fact_that_is_doubted_is_asked_for_again_and_once_an_hour_where_it_is_confirmed():
    house = House("2735", "2735", "2735", "8")
    for asked, passed in ((1, 0), (2, 60), (2, 60), (2, 3480), (2, 60), (3, 0)):
        house.now += passed
        assert (await house.fact(), house.asked) == ("2735", asked)
        house.lookups.forget()
    house.now += 3600
    house.lookups.forget()
    assert (await house.fact(), house.asked) == ("8", 4)


async def test_a_fact_that_has_changed_is_no_confirmed_one():
    house = House("2735", "7", "8")
    for found in ("2735", "7", "8"):
        assert await house.fact() == found
        house.lookups.forget()


async def test_each_fact_is_asked_for_itself():
    house = House("2735", "x")
    assert (await house.fact(), await house.fact(OTHER), await house.fact()) == ("2735", "x", "2735")
    assert house.asked == 2


async def test_a_failure_is_shared_by_all_that_wait_for_it_and_the_next_asks_again():
    house = House(NetworkError("down", 7.0), "2735")
    found = await house.several(5)
    assert [(type(error), str(error), error.wait) for error in found] == [(NetworkError, "down", 7.0)] * 5
    assert len({id(error) for error in found}) == 5
    assert house.asked == 1
    assert await house.fact() == "2735"


@pytest.mark.parametrize("error", [NetworkError("down"), ServerError("HTTP 500")])
async def test_what_passes_is_asked_for_again_at_once(error):
    house = House(error, error, "2735")
    for _ in range(2):
        with pytest.raises(VendorError):
            await house.fact()
    assert await house.fact() == "2735"
    assert house.asked == 3


async def test_a_refusal_rests_for_an_interval():
    house = House(AuthError("HTTP 403"), "2735")
    for now in (0.0, 1.0, 30.0, 59.0):
        house.now = now
        with pytest.raises(AuthError, match="403"):
            await house.fact()
    assert house.asked == 1
    house.now = 59.6  # ticks are not punctual to the millisecond
    assert await house.fact() == "2735"


async def test_a_refusal_that_is_over_leaves_no_trace():
    house = House(AuthError("HTTP 403"), "2735", "2736")
    with pytest.raises(AuthError):
        await house.fact()
    house.now = INTERVAL
    await house.fact()
    house.lookups.forget()
    assert await house.fact() == "2736"


async def test_what_is_forgotten_is_asked_for_again_once():
    house = House("2735", "2736")
    await house.fact()
    house.lookups.forget()
    assert await house.several(3) == ["2736"] * 3
    assert house.asked == 2


async def test_who_gives_up_leaves_the_others_to_ask_themselves():
    house, asking = House(), asyncio.Event()

    async def never():
        asking.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(house.lookups.fact(PLAN, never, INTERVAL))
    await asking.wait()
    house.script = ["2735"]
    second = asyncio.create_task(house.fact())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "2735"


async def test_a_fault_of_the_asker_s_own_is_not_remembered():
    house = House(KeyError("a bug"), "2735")
    with pytest.raises(KeyError):
        await house.fact()
    assert await house.fact() == "2735"


async def test_a_refused_fact_does_not_withhold_another():
    house = House(AuthError("HTTP 403"), "x")
    with pytest.raises(AuthError):
        await house.fact()
    assert await house.fact(OTHER) == "x"
