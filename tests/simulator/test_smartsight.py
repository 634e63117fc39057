import pytest
from starlette.responses import JSONResponse

from exporter.simulator.places import DIMENSIONS
from exporter.simulator.smartsight_metrics import METRICS, SPREAD

EVENING = 1_775_764_800
PATH = "/mm-apis/metricquery/199493832"
GOOD = {"period": f"start={EVENING},end={EVENING + 300}", "metrics": "latency"}
NIGHT = EVENING + 7 * 3600


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer right"}])
async def test_a_wrong_or_missing_key_is_refused(http, headers):
    del http.headers["X-API-Key"]
    answer = await http.get(PATH, params=GOOD, headers=headers)
    assert (answer.status_code, list(answer.json())) == (401, ["detail"])


async def test_a_key_can_be_revoked(http, smartsight):
    assert (await http.get(PATH, params=GOOD)).status_code == 200
    smartsight.api_key = "other"
    assert (await http.get(PATH, params=GOOD)).status_code == 401


async def test_other_customers_paths_and_methods_are_refused(http):
    assert (await http.get("/mm-apis/metricquery/1", params=GOOD)).status_code == 403
    assert (await http.get("/mm-apis/nothing", params=GOOD)).json() == {"detail": "Not Found"}
    assert (await http.post(PATH, params=GOOD)).status_code == 405


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("period", ["", "start=1", "start=2,end=1", "start=1,end=1", "start=1, end=2", "start=1.5,end=2"]),
        ("metrics", ["", "latency,", "nonsense", "p50_latency", "country", "latency,latency"]),
        ("aggby", ["", "nonsense", "country,", "country,country", "Country"]),
        ("filter", ["country=US", "[country=]", "[country=US", "[nonsense=1]", "[country=US] [cdn=x]"]),
        ("qoefilter", ["", "latency", "latency>", "latency>3 OR errors>1", "nonsense>1", "latency>3 AND "]),
        ("orderby", ["nonsense", "country"]),
        ("order", ["", "up"]),
        ("limit", ["0", "-1", "x", ""]),
        ("offset", ["-1", "x"]),
        ("sessiontype", ["all"]),
        ("allstatus", ["true"]),
        ("concurrency", ["2"]),
        ("businesserror", ["1"]),
        ("granularity", ["minute"]),
        ("planlevel", ["2735"]),
    ],
)
async def test_wrong_parameters_are_refused(http, parameter, values):
    for value in values:
        answer = await http.get(PATH, params={**GOOD, parameter: value})
        assert answer.status_code == 422, value
        assert answer.json()["detail"][0]["loc"] == ["query", parameter]


@pytest.mark.parametrize("missing", GOOD)
async def test_a_required_parameter_is_missed(http, missing):
    answer = await http.get(PATH, params={name: value for name, value in GOOD.items() if name != missing})
    assert answer.json()["detail"][0]["loc"] == ["query", missing]


@pytest.mark.parametrize("metric", ["adfillrate", "totaladimpression", "p95_latency", "avg_errors"])
async def test_concurrency_is_not_for_ads_and_aggregates(http, ask, metric):
    refused = await http.get(PATH, params={**GOOD, "metrics": metric, "concurrency": "1"})
    assert refused.status_code == 422
    assert await ask(metric, concurrency="0")
    assert await ask("avg_playtime_by_audience", concurrency="1")


async def test_granularity_must_be_one_of_the_known(http):
    refused = await http.get(PATH, params={**GOOD, "aggby": "timestamp", "granularity": "week"})
    assert refused.status_code == 422


async def test_every_metric_and_statistic_is_answered(ask):
    names = [prefix + name for name in METRICS for prefix in ("", *SPREAD)]
    (row,) = (await ask(",".join(dict.fromkeys(names))))["response"]
    assert all(float(row[name]) >= 0 for name in names)


async def test_the_numbers_fit_together(ask):
    names = "attempts,viewercount,totalstartupfailure,failurerate,adimpression,uniqueviewercount,unique_devices"
    (row,) = (await ask(f"{names},views,latency,avg_latency,median_latency,p95_latency,p99_latency"))["response"]
    assert row["viewercount"] <= row["attempts"]
    assert row["failurerate"] == pytest.approx(row["totalstartupfailure"] / row["attempts"] * 100)
    assert row["uniqueviewercount"] <= row["unique_devices"] <= row["views"]
    assert row["median_latency"] < row["latency"] == row["avg_latency"] < row["p95_latency"] < row["p99_latency"]


@pytest.mark.parametrize("dimension", sorted(DIMENSIONS))
async def test_additive_metrics_add_up(ask, dimension):
    names = ("attempts", "viewercount", "concurviewavg", "playdur", "errors")
    (whole,) = (await ask(",".join(names)))["response"]
    rows = (await ask(",".join(names), aggby=dimension))["response"]
    for name in names:
        assert sum(row[name] for row in rows) == pytest.approx(whole[name])


async def test_paging_gives_every_row_once(ask):
    query = {"aggby": "country,cdn,device", "orderby": "viewercount", "order": "asc"}
    whole = await ask(**query)
    rows = []
    for offset in range(0, whole["totalrecords"] + 7, 7):
        page = await ask(**query, limit="7", offset=str(offset))
        assert page["totalcount"] == len(page["response"]) <= 7
        rows += page["response"]
    assert len(rows) == whole["totalrecords"] > 100
    assert [without_pages(row) for row in rows] == [without_pages(row) for row in whole["response"]]


def without_pages(row):
    return {name: value for name, value in row.items() if name != "totalpages"}


async def test_pagecount_means_two_things(ask):
    assert (await ask(aggby="country"))["pagecount"] == 8
    assert (await ask(aggby="country", limit="3"))["pagecount"] == 3


async def test_rows_are_sorted_and_nulls_come_last(ask):
    query = {"start": NIGHT, "end": NIGHT + 60, "aggby": "country,cdn,device", "orderby": "latency"}
    for order in ("asc", "desc"):
        column = [row["latency"] for row in (await ask("latency", **query, order=order))["response"]]
        numbers = [value for value in column if value is not None]
        assert numbers == sorted(numbers, reverse=order == "desc")
        assert column == numbers + [None] * (len(column) - len(numbers))
        assert len(numbers) < len(column)


async def test_a_dimension_can_be_empty_and_rows_carry_more_than_asked(ask):
    rows = (await ask("latency,cbrsize", aggby="cdn", end=EVENING + 3600))["response"]
    assert "" in {row["cdn"] for row in rows}
    assert rows[0].keys() == {"latency", "cbrsize", "viewercount", "cdn", "totalpages"}
    assert all(isinstance(row["cbrsize"], str) for row in rows)


async def test_a_time_series_of_a_dimension(ask):
    query = {"aggby": "timestamp,country", "granularity": "minute", "orderby": "timestamp", "order": "asc"}
    rows = (await ask(**query, filter="[country=US|Canada][platform=Android]"))["response"]
    expected = [(EVENING + 60 * minute, name) for minute in range(5) for name in ("Canada", "US")]
    assert [(row["timestamp"], row["country"]) for row in rows] == expected


@pytest.mark.parametrize(("hours", "seconds"), [(1, 60), (6, 300), (12, 600), (24, 3600), (240, 86400)])
async def test_auto_chooses_a_granularity(ask, hours, seconds):
    start = EVENING - 10 * 86400
    few = "[country=GB][platform=Android]"  # whose minutes are soon summed up
    query = {"aggby": "timestamp", "granularity": "auto", "order": "asc", "filter": few}
    rows = (await ask(**query, start=start, end=start + hours * 3600))["response"]
    assert rows[1]["timestamp"] - rows[0]["timestamp"] == seconds


async def test_qoefilter_selects_rows(ask):
    query = {"metrics": "latency,bufferingratio", "aggby": "country,device"}
    rows = (await ask(**query))["response"]
    kept = (await ask(**query, qoefilter="latency>1.5 AND bufferingratio<=0.8"))["response"]
    wanted = [row for row in rows if row["latency"] > 1.5 and row["bufferingratio"] <= 0.8]
    assert [without_pages(row) for row in kept] == [without_pages(row) for row in wanted]
    assert 0 < len(kept) < len(rows)


async def test_the_future_is_empty(ask, clock):
    later = int(clock.now) + 3600
    nothing = await ask(start=later, end=later + 300)
    assert nothing == {"totalcount": 0, "pagecount": 0, "totalrecords": 0, "response": []}


async def test_answers_are_remembered(ask, smartsight):
    body = await ask(aggby="cdn")
    (answer,) = smartsight.answers
    assert (answer.path, answer.status, answer.body) == (PATH, 200, body)
    assert answer.params["aggby"] == "cdn"


async def test_a_test_can_interfere(http, smartsight):
    async def overloaded_at_first(_):
        return JSONResponse({"detail": "slow down"}, 429) if not smartsight.answers else None

    smartsight.intercept = overloaded_at_first
    assert [(await http.get(PATH, params=GOOD)).status_code for _ in range(2)] == [429, 200]
    assert [answer.status for answer in smartsight.answers] == [429, 200]
