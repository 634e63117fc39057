from exporter.model import Outcome, Window
from exporter.web.past import KEPT, Ended, Past


def ended(query, at, reason=""):
    return Outcome(query, Window(0, 60), at, 0.5, 3, reason=reason)


def test_only_the_last_polls_are_kept_the_oldest_first(make_query):
    past, query = Past(), make_query()
    for at in range(KEPT + 7):
        past.note(ended(query, at))
    assert [poll.at for poll in past.polls(query.key)] == list(range(7, KEPT + 7))
    assert past.polls(query.key)[-1] == Ended(KEPT + 6, 0.5, "", 3)


def test_failures_are_counted_as_long_as_they_are_remembered(make_query):
    past, query = Past(), make_query()
    for at in range(3 * KEPT):
        past.note(ended(query, at, "" if at % 7 else "timeout"))
        polls = past.polls(query.key)
        assert past.counts(query.key) == (len(polls), sum(bool(poll.reason) for poll in polls))


def test_the_last_success_is_known_for_longer_than_the_polls_are(make_query):
    past, query = Past(), make_query()
    assert past.last_success(query.key) is None
    past.note(ended(query, 1.0))
    for at in range(2, KEPT + 9):
        past.note(ended(query, at, "timeout"))
    assert past.last_success(query.key) == 1.0


def test_what_was_stored_before_a_restart_is_known(make_query):
    past, query = Past(), make_query()
    past.restore(ended(query, 90.0, "timeout"), 30.0)
    assert past.last_success(query.key) == 30.0
    assert [poll.reason for poll in past.polls(query.key)] == ["timeout"]


def test_queries_that_are_not_kept_are_forgotten(make_query):
    past, one, two = Past(), make_query(name="one"), make_query(name="two")
    for query in (one, two):
        past.note(ended(query, 1.0))
    past.keep({two.key})
    assert (past.polls(one.key), past.counts(one.key), past.last_success(one.key)) == ((), (0, 0), None)
    assert (len(past.polls(two.key)), past.last_success(two.key)) == (1, 1.0)
