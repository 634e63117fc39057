import pytest

from exporter.model import ROW_TIME, Turn, Window
from exporter.providers.base import NoHistory

START = 1_775_764_800  # 2026-04-09 20:00 UTC
HOUR = 3600


def asked_for(asked, step, hours=1):
    """The parameters of the request for some hours."""
    past = asked.provider.past(asked.query, step)
    request = asked.provider.request(past.asked, Turn(past.parts[0], Window(START, START + hours * HOUR)))
    return past, dict(request.params)


@pytest.mark.parametrize(
    ("step", "granularity"), [(60, "minute"), (300, "5minute"), (600, "10minute"), (HOUR, "hour"), (86_400, "day")]
)
def test_a_time_series_is_asked_for_by_timestamp_and_granularity(ask, step, granularity):
    asked = ask("smartsight", metrics=["latency", "viewercount"], dimensions=["cdn", "country"])
    _, params = asked_for(asked, step)
    assert params == {
        "period": f"start={START},end={START + HOUR}",
        "metrics": "latency,viewercount",
        "aggby": "cdn,country,timestamp",
        "orderby": "timestamp",
        "order": "asc",
        "limit": "1000",
        "offset": "0",
        "granularity": granularity,
    }


def test_filters_conditions_and_options_stay_and_top_is_taken_here(ask):
    asked = ask(
        "smartsight",
        metrics=["viewercount"],
        dimensions=["cdn"],
        filters={"country": ["US", "Canada"]},
        having="latency>3",
        top=5,
        order="asc",
        options={"sessiontype": "started", "granularity": "day"},
    )
    past, params = asked_for(asked, HOUR)
    assert params["filter"] == "[country=US|Canada]"
    assert params["qoefilter"] == "latency>3"
    assert (params["sessiontype"], params["granularity"]) == ("started", "hour")
    assert (params["limit"], params["orderby"], params["order"]) == ("1000", "timestamp", "asc")
    assert (past.query.top, past.query.order, past.query.dimensions) == (5, "asc", ("cdn",))


@pytest.mark.parametrize("order_by", ["latency", "cdn"])
def test_the_top_by_what_is_not_asked_for_has_no_past(ask, order_by):
    """The vendor sorts by anything; of a time series, what is first in a bucket is seen here."""
    asked = ask("smartsight", metrics=["viewercount"], dimensions=["cdn"], top=5, order_by=order_by)
    with pytest.raises(NoHistory, match=f"`order_by: {order_by}` is no metric of the query"):
        asked.provider.past(asked.query, HOUR)
    without = ask("smartsight", metrics=["viewercount"], dimensions=["cdn"], order_by=order_by)
    assert asked_for(without, HOUR)[1]["orderby"] == "timestamp"


@pytest.mark.parametrize("endpoint", ["qbrdata", "session", "error"])
def test_the_older_endpoints_have_time_series_too(ask, endpoint):
    login = {"auth": {"username": "u", "password": "p"}}
    asked = ask("smartsight", login, metrics=["errors"], dimensions=["cdn"], endpoint=endpoint)
    past, params = asked_for(asked, HOUR)
    assert (params["aggby"], params["granularity"]) == ("cdn,timestamp", "hour")
    assert past.span > HOUR


@pytest.mark.parametrize(
    "query",
    [
        {"metrics": ["latency"], "endpoint": "listsessions"},
        {"endpoint": "alerts"},
        {"metrics": ["viewercount"], "endpoint": "smartquery", "options": {"queryname": "contentpaths"}},
    ],
    ids=lambda query: query["endpoint"],
)
def test_what_has_no_time_series_is_asked_for_bucket_by_bucket(ask, query):
    login = {"auth": {"username": "u", "password": "p"}} if query["endpoint"] != "listsessions" else None
    past, params = asked_for(ask("smartsight", login, **query), HOUR)
    assert past.span == past.step == HOUR
    assert params["period"] == f"start={START},end={START + HOUR}"
    assert "granularity" not in params


@pytest.mark.parametrize(
    ("dimensions", "step", "buckets"),
    [([], HOUR, 168), ([], 60, 1000), ([], 86_400, 7), (["cdn"], 60, 100), (["cdn", "country", "device"], HOUR, 5)],
)
def test_a_request_is_for_a_page_or_a_week(ask, dimensions, step, buckets):
    asked = ask("smartsight", metrics=["viewercount"], dimensions=dimensions)
    assert asked.provider.past(asked.query, step).span == step * buckets


@pytest.mark.parametrize(("step", "written"), [(900, "15m"), (7200, "2h"), (90, "90s"), (2 * 86_400, "2d")])
def test_other_steps_are_refused_with_those_that_there_are(ask, step, written):
    asked = ask("smartsight", metrics=["viewercount"])
    with pytest.raises(NoHistory) as refused:
        asked.provider.past(asked.query, step)
    assert str(refused.value) == f"SmartSight has no buckets of {written}; it has 1m, 5m, 10m, 1h, 1d"


@pytest.mark.parametrize(("sent", "time"), [(START, START), (str(START), START), ("2026-04-09", None), (None, None)])
def test_rows_carry_the_time_of_their_bucket(ask, sent, time):
    asked = ask("smartsight", metrics=["viewercount"])
    past = asked.provider.past(asked.query, HOUR)
    turn = Turn(past.parts[0], Window(START, START + HOUR))
    page = asked.provider.parse(past.asked, turn, {"response": [{"timestamp": sent, "viewercount": 3}, 5]})
    assert page.rows[0][ROW_TIME] == time
    assert page.rows[1] == 5


def test_a_bucket_that_begins_where_the_period_ends_is_of_the_next_one(ask):
    asked = ask("smartsight", metrics=["viewercount"])
    past = asked.provider.past(asked.query, HOUR)
    rows = [{"timestamp": START + hour * HOUR, "viewercount": hour} for hour in range(3)]
    answer = {"totalrecords": 6, "response": rows}
    page = asked.provider.parse(past.asked, Turn(past.parts[0], Window(START, START + 2 * HOUR)), answer)
    assert [row["viewercount"] for row in page.rows] == [0, 1]
    assert page.next == 3
