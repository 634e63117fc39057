from exporter.history.budget import Budget


def test_an_hour_has_so_many_requests_and_no_more():
    now = [0.0]
    budget = Budget(3, lambda: now[0])
    budget.spend(2)
    now[0] = 1800.0
    assert budget.left == 1
    budget.spend(4)
    assert budget.left == 0
    now[0] = 3600.0
    assert budget.left == 0, "four are of this hour, though only one was left"
    now[0] = 5400.0
    assert budget.left == 3
