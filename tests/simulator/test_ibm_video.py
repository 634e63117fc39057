import pytest

from exporter.simulator.audience import CONTENTS

TOKEN = {"grant_type": "client_credentials", "client_id": "exporter", "token_type": "jwt"}
SECRET = ("exporter", "s3cret")


@pytest.mark.parametrize(
    ("fields", "secret", "refusal"),
    [
        ({"client_id": "other"}, SECRET, (400, "invalid_client")),
        ({}, ("exporter", "wrong"), (400, "invalid_client")),
        ({}, None, (400, "invalid_client")),
        ({"token_type": "bearer"}, SECRET, (400, "invalid_request")),
        ({"token_type": None}, SECRET, (400, "invalid_request")),
        ({"grant_type": None}, SECRET, (400, "invalid_request")),
        ({"client_secret": "s3cret"}, SECRET, (400, "invalid_request")),
        ({"grant_type": "password"}, SECRET, (501, "unsupported_grant_type")),
    ],
)
async def test_a_wrong_token_request_is_refused(ibm, ibm_http, fields, secret, refusal):
    form = {name: value for name, value in {**TOKEN, **fields}.items() if value is not None}
    answer = await ibm_http.post("/oauth2/token", data=form, auth=secret)
    assert (answer.status_code, answer.json()["error"]) == refusal
    assert ibm.tokens_issued == 0


async def test_token_parameters_belong_into_the_form(ibm_http):
    in_query = await ibm_http.post("/oauth2/token", params=TOKEN, auth=SECRET)
    as_json = await ibm_http.post("/oauth2/token", json=TOKEN, auth=SECRET)
    assert (in_query.status_code, as_json.status_code) == (400, 400)


async def test_a_token_is_issued(ibm, ibm_http):
    body = (await ibm_http.post("/oauth2/token", data=TOKEN, auth=SECRET)).json()
    assert body.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert body["access_token"].startswith("eyJ")
    assert body["access_token"].count(".") == 2
    assert body["expires_in"] == 86400
    assert ibm.tokens_issued == 1
    assert ibm.answers[-1].params == TOKEN


async def test_only_a_bare_and_living_token_is_accepted(ibm, ibm_http, clock, api, period):
    good = ibm_http.headers["Authorization"]
    assert (await api("/total-views/summary", **period()))[0] == 200
    for wrong in (f"Bearer {good}", "wrong", ""):
        ibm_http.headers["Authorization"] = wrong
        assert (await api("/total-views/summary", **period()))[0] == 401
    ibm_http.headers["Authorization"] = good
    clock.now += 86400
    assert (await api("/total-views/summary", **period()))[0] == 401
    clock.now -= 1
    assert (await api("/total-views/summary", **period()))[0] == 200
    ibm.tokens.clear()
    assert (await api("/total-views/summary", **period()))[0] == 401


@pytest.mark.parametrize("path", ["/nothing", "/total-views/live", "/total-views/vod/device", "/total-views/city"])
async def test_an_unknown_path_is_not_found(api, period, path):
    status, body = await api(path, **period())
    assert (status, body["errors"][0]["status"]) == (404, 404)


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/total-views/summary", "content_id", "238589"),
        ("/total-views/live/summary", "content_id", "238589,x"),
        ("/total-views/live/summary", "content_id", ""),
        ("/total-views/summary", "granularity", "minute"),
        ("/total-views/summary", "nonsense", "1"),
        ("/total-views/summary", "_page", "0"),
        ("/total-views/summary", "_limit", "10001"),
        ("/total-views/summary", "_limit", "0"),
        ("/total-views/summary", "date_time_from", "2026-04-09T20:00:00"),
        ("/total-views/summary", "date_time_from", "2026-04-09 20:00:00Z"),
        ("/total-views/summary", "date_time_from", "2026-13-09T20:00:00Z"),
        ("/total-views/summary", "date_time_from", "1775764800"),
        ("/total-views/summary", "date_time_to", "2026-04-09T20:00:00Z"),
        ("/total-views/summary", "date_time_to", ""),
        ("/peak-viewer-numbers", "granularity", "week"),
        ("/peak-viewer-numbers", "content_id", "238589"),
    ],
)
async def test_a_wrong_parameter_is_refused(api, period, path, parameter, value):
    granularity = {"granularity": "minute"} if "peak" in path else {}
    status, body = await api(path, **{**period(), **granularity, parameter: value})
    (error,) = body["errors"]
    assert (status, error["status"], error["title"]) == (400, 400, "Bad Request")
    assert error["source"] == {"pointer": f"/{parameter}"}


async def test_granularity_and_period_are_required(api, period):
    _, body = await api("/peak-viewer-numbers/live", **period())
    assert body["errors"][0]["source"] == {"pointer": "/granularity"}
    _, body = await api("/total-views/summary")
    assert body["errors"][0]["source"] == {"pointer": "/date_time_from"}


@pytest.mark.parametrize(
    "dimension", ["hour", "day", "month", "location", "country", "region", "device", "view-source"]
)
@pytest.mark.parametrize("kind", ["", "/live", "/recorded"])
async def test_a_breakdown_adds_up_to_the_summary(rows, kind, dimension):
    (summary,) = await rows(f"/total-views{kind}/summary", 7200)
    parts = await rows(f"/total-views{kind}/{dimension}", 7200)
    assert sum(part["value"] for part in parts) == summary["value"] > 0
    assert {part["dimension_type"] for part in parts} == {dimension}


async def test_live_and_recorded_and_their_contents_add_up(rows):
    values = [(await rows(f"/total-views{kind}/summary"))[0]["value"] for kind in ("", "/live", "/recorded")]
    assert values[0] == values[1] + values[2]
    ids = [number for number, content in CONTENTS.items() if content.kind == "live"]
    each = [(await rows("/total-views/live/summary", content_id=str(number)))[0]["value"] for number in ids]
    both = await rows("/total-views/live/summary", content_id="77569623,238589")
    assert sum(each) == values[1]
    assert both[0]["value"] == each[0] + each[1]


async def test_distinct_persons_are_fewer_than_views(rows):
    names = ("authenticated-viewers", "unique-devices", "total-views")
    numbers = [(await rows(f"/{name}/summary"))[0]["value"] for name in names]
    assert 0 < numbers[0] < numbers[1] < numbers[2]


async def test_points_are_arrays_for_locations_only(rows):
    assert ["US", "California"] in [row["point"] for row in await rows("/total-views/location")]
    assert "US" in [row["point"] for row in await rows("/total-views/live/country")]
    assert (await rows("/total-views/hour"))[0]["point"] == "2026-04-09T20:00:00+00:00"


async def test_ids_are_numbers_and_strings(rows):
    ids = [row["content_id"] for row in await rows("/peak-viewer-numbers", 60, granularity="minute")]
    assert [int(number) for number in ids] == list(CONTENTS)
    assert {type(number) for number in ids} == {int, str}


async def test_the_peak_of_an_hour_is_that_of_its_minutes(rows):
    asked = {"content_id": "238589"}
    minutes = await rows("/peak-viewer-numbers/live", granularity="minute", **asked)
    (hour,) = await rows("/peak-viewer-numbers/live", granularity="hour", **asked)
    assert len(minutes) == 60
    assert hour["value"] == max(minute["value"] for minute in minutes)


async def test_paging_gives_every_row_once(api, rows, period):
    found, page, path = [], 1, "/peak-viewer-numbers/live"
    while page:
        _, body = await api(path, **period(), granularity="minute", _page=str(page), _limit="50")
        found += [row["attributes"] for row in body["data"]]
        link = body["pagination"]["next"]
        assert link in (None, {"href": f"{path}?_page={page + 1}&_limit=50"})
        page = page + 1 if link else 0
    assert found == await rows(path, granularity="minute")
    assert len(found) == 180


async def test_the_default_limit_is_ten_and_beyond_the_end_is_nothing(api, period):
    _, body = await api("/peak-viewer-numbers", **period(), granularity="minute")
    assert (len(body["data"]), body["pagination"]["count"]) == (10, 420)
    assert body["pagination"]["prev"] is None
    _, body = await api("/peak-viewer-numbers", **period(), granularity="minute", _page="99")
    assert (body["data"], body["pagination"]["next"]) == ([], None)
