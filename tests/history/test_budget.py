import pytest

from exporter.history.budget import Budget, Counting
from exporter.providers.errors import ServerError


def spend(budget, requests):
    for _ in range(requests):
        budget.spend()


def test_an_hour_has_so_many_requests_and_no_more():
    now = [0.0]
    budget = Budget(3, lambda: now[0])
    spend(budget, 2)
    now[0] = 1800.0
    assert budget.left == 1
    spend(budget, 4)
    assert budget.left == 0
    now[0] = 3600.0
    assert budget.left == 0, "four are of this hour, though only one was left"
    now[0] = 5400.0
    assert budget.left == 3


async def test_a_request_that_fails_costs_as_much_and_only_the_free_ones_nothing():
    class Down:
        async def get(self, *_):
            raise ServerError("down")

    budget = Budget(3, lambda: 0.0)
    source = Counting(Down(), budget)
    source.begin(1)
    lefts = []
    for _ in range(4):
        with pytest.raises(ServerError):
            await source.get(None, None, None)
        lefts.append(budget.left)
    assert lefts == [3, 2, 1, 0]
