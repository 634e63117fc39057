import pytest

EVENING = 1_775_764_800
ID = "199493832"
PERIOD = f"start={EVENING},end={EVENING + 300}"
LEGACY = ("qbrData/vod", "session", "error")
ASKED = {"planlevel": "2735", "period": PERIOD}
PARAMETERS = {
    "metricquery": {**ASKED, "metrics": "latency"},
    **{path: {**ASKED, "metrics": "latency"} for path in LEGACY},
    "smartQuery": {**ASKED, "queryname": "contentpaths"},
    "getAIAlerts": ASKED,
}


@pytest.fixture
def told(bearer):
    """Ask an endpoint with a token: gives the decoded body of a 200."""

    async def told(path, **more):
        answer = await bearer.get(f"/mm-apis/{path}/{ID}", params={**PARAMETERS[path], **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return told


@pytest.mark.parametrize("path", PARAMETERS)
async def test_a_token_is_needed_and_can_be_revoked(bearer, smartsight, path):
    where, params = f"/mm-apis/{path}/{ID}", PARAMETERS[path]
    assert (await bearer.get(where, params=params)).status_code == 200
    assert (await bearer.get(f"/mm-apis/{path}/1", params=params)).status_code == 403
    smartsight.tokens.clear()
    assert (await bearer.get(where, params=params)).status_code == 401
    for wrong in ("right", "", "Bearer", "Bearer ", "Basic right"):
        assert (await bearer.get(where, params=params, headers={"Authorization": wrong})).status_code == 401


@pytest.mark.parametrize("path", sorted(PARAMETERS.keys() - {"metricquery"}))
async def test_a_key_alone_is_refused(http, path):
    assert (await http.get(f"/mm-apis/{path}/{ID}", params=PARAMETERS[path])).status_code == 401


async def test_a_token_alone_lists_no_sessions(bearer):
    params = {"period": PERIOD, "metrics": "latency", "aggby": "sessionid"}
    assert (await bearer.get(f"/mm-apis/listsessions/{ID}", params=params)).status_code == 401


@pytest.mark.parametrize("path", PARAMETERS)
async def test_the_plan_level_is_required_and_must_be_right(bearer, smartsight, path):
    where, params = f"/mm-apis/{path}/{ID}", PARAMETERS[path]
    for level in (None, "", "gold", "-1"):
        answer = await bearer.get(where, params={**params, "planlevel": level})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "planlevel"])
    assert (await bearer.get(where, params={**params, "planlevel": "1"})).status_code == 403
    smartsight.plan_level = 1
    assert (await bearer.get(where, params={**params, "planlevel": "1"})).status_code == 200


async def test_the_plan_level_can_be_looked_up(bearer, http, smartsight):
    path = f"/planLevelByCustId/{ID}"
    assert (await bearer.get(path)).json() == 2735
    smartsight.plan_level_answer = {"planLevel": "2735"}
    assert (await bearer.get(path)).json() == {"planLevel": "2735"}
    assert (await http.get(path)).status_code == 401
    assert (await bearer.get("/planLevelByCustId/1")).status_code == 403


@pytest.mark.parametrize(
    ("path", "parameter", "values"),
    [
        *((path, "period", ["", "start=2,end=1"]) for path in PARAMETERS),
        *((path, "limit", ["0", "x"]) for path in PARAMETERS),
        *((path, "nonsense", ["1"]) for path in PARAMETERS),
        *((path, "metrics", ["", "nonsense", "cdn"]) for path in LEGACY),
        *((path, "agg", ["median"]) for path in LEGACY),
        *((path, "count", ["many"]) for path in LEGACY),
        *((path, "dimension", ["", "nonsense"]) for path in LEGACY),
        *((path, "granularity", ["week"]) for path in (*LEGACY, "smartQuery")),
        *((path, "filter", ["country=US", "[nonsense=1]"]) for path in (*LEGACY, "smartQuery")),
        *((path, "qoefilter", ["latency>3"]) for path in LEGACY),
        *((path, "sessiontype", ["ended"]) for path in LEGACY),
        *((path, "allstatus", ["0"]) for path in LEGACY),
        *((path, "concurrency", ["0"]) for path in LEGACY),
        *((path, "businesserror", ["true"]) for path in LEGACY),
        *((path, "queryId", ["4bfc69b5-1320-4a44-a8d6-1fe1f397fb94"]) for path in ("session", "getAIAlerts")),
        *((path, "queryId", ["", "seven"]) for path in ("error", "smartQuery")),
        ("session", "aggby", ["errorcode"]),
        ("smartQuery", "queryname", ["", "nonsense"]),
        ("smartQuery", "querycache", ["true", "1"]),
        ("smartQuery", "metrics", ["latency"]),
        ("getAIAlerts", "orderby", ["nonsense", ""]),
        ("getAIAlerts", "order", ["up"]),
        ("getAIAlerts", "filter", ["[cdn=Akamai]"]),
    ],
)
async def test_wrong_parameters_are_refused(bearer, path, parameter, values):
    for value in values:
        answer = await bearer.get(f"/mm-apis/{path}/{ID}", params={**PARAMETERS[path], parameter: value})
        assert answer.status_code == 422, value
        assert answer.json()["detail"][0]["loc"] == ["query", parameter]


@pytest.mark.parametrize("path", [*LEGACY, "metricquery"])
async def test_the_elders_tell_what_metricquery_tells(told, ask, path):
    query = {"metrics": "viewercount,latency", "aggby": "country,cdn", "orderby": "latency", "limit": "7"}
    assert await told(path, **query) == await ask(**query)


@pytest.mark.parametrize("path", LEGACY)
async def test_the_documents_own_example_is_answered(told, path):
    metrics = "qualityofexperience,bufferingratio,latency,failurerate,playdur,cdn"
    legacy = {"agg": "avg", "count": "0", "granularity": "hour"}
    body = await told(path, metrics=metrics, dimension="cdn", aggby="cdn", filter="", **legacy)
    assert {row["cdn"] for row in body["response"]} >= {"Akamai", "Fastly"}


async def test_errors_by_code_add_up(told):
    (whole,) = (await told("error", metrics="errors,fatalerrors,viewercount"))["response"]
    rows = (await told("error", metrics="errors,fatalerrors,viewercount", aggby="errorcode"))["response"]
    assert {row["errorcode"] for row in rows} == {2004, 4001, 3016, "MEDIA_ERR_NETWORK"}
    for name in ("errors", "fatalerrors"):
        assert sum(row[name] for row in rows) == whole[name] > 0
    assert all(row["fatalerrors"] <= row["errors"] for row in rows)
    assert sum(row["viewercount"] for row in rows) < whole["viewercount"]


async def test_errors_by_code_and_dimension_over_time(told):
    query = {"metrics": "errors", "aggby": "timestamp,errorcode,cdn", "granularity": "minute"}
    rows = (await told("error", **query, orderby="errorcode"))["response"]
    assert rows[0].keys() == {"errors", "errorcode", "cdn", "timestamp", "totalpages"}
    only = (await told("error", **query, filter="[errorcode=2004|4001][cdn=Fastly]"))["response"]
    wanted = [row for row in rows if row["errorcode"] in {2004, 4001} and row["cdn"] == "Fastly"]
    assert sum(row["errors"] for row in only) == sum(row["errors"] for row in wanted) > 0
    (whole,) = (await told("error", metrics="errors", filter="[errorcode=2004|4001][cdn=Fastly]"))["response"]
    assert whole["errors"] == pytest.approx(sum(row["errors"] for row in only), abs=5)  # split anew, and rounded


async def test_content_paths_and_subscribers(told, ask):
    tracked = {"querycache": "False", "queryId": "4bfc69b5-1320-4a44-a8d6-1fe1f397fb94", "granularity": "hour"}
    paths = (await told("smartQuery", **tracked))["response"]
    assert paths[0].keys() == {"assetname", "nextasset", "viewercount", "totalpages"}
    assert all(row["assetname"] != row["nextasset"] for row in paths)
    few = (await told("smartQuery", filter="[assetname=Orbit]", limit="4", offset="1"))["response"]
    assert {row["assetname"] for row in few} == {"Orbit"}
    assert len(few) == 4
    tags = (await told("smartQuery", queryname="subscriberinsight"))["response"]
    (whole,) = (await ask("viewercount,playdur"))["response"]
    for name in ("viewercount", "playdur"):
        assert sum(row[name] for row in tags) == whole[name]


async def test_an_alert_begins_with_each_incident(told, clock):
    query = {"period": f"start={EVENING},end={EVENING + 7200}", "orderby": "starttime", "order": "asc"}
    body = await told("getAIAlerts", **query)
    assert body.keys() == {"response"}
    rows = body["response"]
    assert [row["starttime"] - EVENING for row in rows] == [600, 2400, 4200, 6000]
    assert {row["dimensionvalue"] for row in rows} == {"Akamai", "CloudFront", "Fastly", "Cloudflare"}
    assert len({row["alertid"] for row in rows}) == 4
    assert {(row["status"], row["endtime"] - row["starttime"]) for row in rows} == {("resolved", 360)}
    pages = [(await told("getAIAlerts", **query, limit="3", offset=offset))["response"] for offset in ("0", "3", "6")]
    assert pages == [rows[:3], rows[3:], []]
    clock.now = EVENING + 700  # the log-in was later: the token is good then, too
    (row,) = (await told("getAIAlerts", period=f"start={EVENING + 660},end={EVENING + 7200}", planlevel="2735"))[
        "response"
    ]
    assert (row["status"], row["endtime"]) == ("active", None)
    assert await told("getAIAlerts", period=f"start={EVENING + 720},end={EVENING + 7200}") == {"response": []}
