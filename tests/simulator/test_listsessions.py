import pytest

from exporter.simulator import sessions
from exporter.simulator.places import DIMENSIONS, SUSPECTS
from exporter.simulator.smartsight_metrics import METRICS

EVENING = 1_775_764_800
PATH = "/mm-apis/listsessions/199493832"
FIELDS = "latency,starttime,endtime,assetname,watchtime,sessionid,sourcetype,viewstatus,bufferingratio,playdur,cdn"
GOOD = {"period": f"start={EVENING},end={EVENING + 300}", "metrics": FIELDS, "aggby": "sessionid"}


@pytest.fixture
def listed(http):
    """Ask ``listsessions``: gives the decoded body of a 200."""

    async def listed(start=EVENING, end=EVENING + 300, **more):
        params = {**GOOD, "period": f"start={start},end={end}", **more}
        answer = await http.get(PATH, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return listed


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("period", ["", "start=2,end=1"]),
        ("aggby", [None, "", "country", "sessionid,country", "timestamp"]),
        ("metrics", ["", "nonsense", "starttime,latency", "p95_latency", "latency,latency", "timestamp"]),
        ("filter", ["country=US", "[nonsense=1]"]),
        ("qoefilter", ["", "latency", "nonsense>1", "p95_latency>1", "watchtime>1"]),
        ("orderby", ["nonsense", "p95_latency"]),
        ("order", ["up"]),
        ("sessiontype", ["all"]),
        ("allstatus", ["true"]),
        ("limit", ["0"]),
        ("offset", ["-1"]),
        ("granularity", ["minute"]),
        ("concurrency", ["1"]),
        ("planlevel", ["2735"]),
    ],
)
async def test_wrong_parameters_are_refused(http, parameter, values):
    for value in values:
        params = {name: each for name, each in {**GOOD, parameter: value}.items() if each is not None}
        answer = await http.get(PATH, params=params)
        assert answer.status_code == 422, value
        assert answer.json()["detail"][0]["loc"] == ["query", parameter]


async def test_a_key_and_the_right_customer_are_needed(http):
    assert (await http.get(PATH.replace("199493832", "1"), params=GOOD)).status_code == 403
    del http.headers["X-API-Key"]
    assert (await http.get(PATH, params=GOOD)).status_code == 401


async def test_a_row_is_a_session_and_has_what_was_asked(listed):
    body = await listed()
    rows = body["response"]
    assert 200 < len(rows) == body["totalrecords"] == body["totalcount"] < 1000
    assert len({row["sessionid"] for row in rows}) == len(rows)
    assert all(row.keys() == {*FIELDS.split(","), "totalpages"} for row in rows)
    assert await listed() == body
    for row in rows:
        assert EVENING <= row["endtime"] < EVENING + 300
        assert row["viewstatus"] == "ENDED"
        assert row["starttime"] + row["watchtime"] <= row["endtime"]
        assert row["playdur"] <= row["watchtime"]
    assert sum(row["playdur"] for row in rows) > 0.8 * sum(row["watchtime"] for row in rows), "both are seconds"


async def test_every_metric_and_dimension_can_be_asked(listed):
    for name in (*METRICS, *DIMENSIONS):
        assert all(name in row for row in (await listed(metrics=name, limit="3"))["response"])


async def test_paging_gives_every_session_once(listed):
    query = {"orderby": "latency", "allstatus": "1"}
    whole = (await listed(**query, limit="5000"))["response"]
    found = []
    for offset in range(0, len(whole) + 200, 200):
        found += (await listed(**query, limit="200", offset=str(offset)))["response"]
    assert [row["sessionid"] for row in found] == [row["sessionid"] for row in whole]
    column = [row["latency"] for row in whole if row["latency"] is not None]
    assert column == sorted(column, reverse=True)
    assert None in {row["latency"] for row in whole}


async def test_the_default_limit_is_a_thousand(listed):
    body = await listed(allstatus="1")
    assert len(body["response"]) == 1000 < body["totalrecords"]


async def test_an_ended_session_belongs_to_one_period_only(listed):
    halves = [await listed(EVENING, EVENING + 150), await listed(EVENING + 150, EVENING + 300)]
    ids = [row["sessionid"] for half in halves for row in half["response"]]
    assert sorted(ids) == sorted(row["sessionid"] for row in (await listed())["response"])


async def test_the_types_and_states_of_sessions(listed):
    started = (await listed(sessiontype="started", allstatus="1"))["response"]
    assert {row["viewstatus"] for row in started} == {"ENDED", "RUNNING", "LOADED"}
    assert all(EVENING <= row["starttime"] < EVENING + 300 for row in started)
    assert all((row["endtime"] is None) == (row["viewstatus"] != "ENDED") for row in started)
    assert all(row["latency"] is None for row in started if row["viewstatus"] == "LOADED")
    over = (await listed(sessiontype="started"))["response"]
    assert {row["sessionid"] for row in over} == {row["sessionid"] for row in started if row["viewstatus"] == "ENDED"}
    ended = {row["sessionid"] for row in (await listed())["response"]}
    alive = (await listed(allstatus="1", limit="5000"))["response"]
    assert {row["sessionid"] for row in alive if row["viewstatus"] == "ENDED"} == ended


async def test_filters(listed):
    rows = (await listed(metrics="latency,country,cdn,bufferingratio,sessionid"))["response"]
    kept = (await listed(filter="[country=US|Canada][cdn=Akamai]", qoefilter="latency>1.5 AND bufferingratio<1"))[
        "response"
    ]
    wanted = [
        row["sessionid"]
        for row in rows
        if row["country"] in {"US", "Canada"} and row["cdn"] == "Akamai"
        if row["latency"] is not None and row["latency"] > 1.5
        if row["bufferingratio"] is not None and row["bufferingratio"] < 1
    ]
    assert [row["sessionid"] for row in kept] == wanted != []
    (one,) = (await listed(filter=f"[sessionid={wanted[0]}]"))["response"]
    assert one["sessionid"] == wanted[0]


async def test_sessions_have_the_means_of_the_sums(ask, listed):
    end = EVENING + 3600
    (sums,) = (await ask("latency,failurerate,bufferingratio", end=end))["response"]
    more = {"metrics": "latency,failurerate,bufferingratio,attempts", "sessiontype": "started", "allstatus": "1"}
    rows = (await listed(end=end, limit="9999", **more))["response"]
    assert mean(rows, "latency") == pytest.approx(sums["latency"], rel=0.1)
    assert mean(rows, "bufferingratio") == pytest.approx(sums["bufferingratio"], rel=0.2)
    assert mean(rows, "failurerate") == pytest.approx(sums["failurerate"], rel=0.3)
    assert len(rows) == pytest.approx((await ask("attempts", end=end))["response"][0]["attempts"] / 10, rel=0.05)


def mean(rows, name):
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) / len(values)


async def test_the_sessions_of_the_bad_cdn_are_bad(listed):
    incident = {"start": EVENING + 600, "end": EVENING + 960, "sessiontype": "started", "allstatus": "1"}
    rows = (await listed(**incident, limit="5000"))["response"]
    bad = SUSPECTS[EVENING // 1800 % 4]
    slow, quick = ([row for row in rows if (row["cdn"] == bad) is wanted] for wanted in (True, False))
    assert mean(slow, "latency") > 2 * mean(quick, "latency")
    assert mean(slow, "bufferingratio") > 5 * mean(quick, "bufferingratio")


def test_a_long_period_has_the_sessions_of_few_minutes():
    month = sessions.listed(EVENING - 30 * 86400, EVENING, started=False, every=False)
    assert 1000 < len(month) < 30000


async def test_the_future_is_empty(listed, clock):
    clock.now = EVENING - 1.0
    assert (await listed(allstatus="1"))["response"] == []
