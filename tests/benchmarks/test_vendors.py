import gzip
import json

import httpx
import pytest
from truth import Dataset, dice, rows
from vendors import FAULTS, HEALTHY, KEY, REVOKED_EARLY, SECRET, TOKEN_FAULTS, Ibm, SmartSight, at_once

from exporter.model import Window

CDN = Dataset("cdn", ("cdn",), ("viewercount",), 20, 26, 7, empty=0)
DEVICE = Dataset("/total-views/device", ("device",), ("total_views",), 20, 26, 7, points=True, empty=0)
WINDOW = Window(1_000_000, 1_000_010)


@pytest.fixture
async def smartsight():
    async with SmartSight("mm", [CDN], dice("any")).running() as vendor:
        yield vendor


@pytest.fixture
async def ibm():
    async with Ibm("ibm", [DEVICE], dice("any")).running() as vendor:
        yield vendor


async def metrics(vendor, offset, window=WINDOW):
    period = f"start={window.start},end={window.end}"
    params = {"period": period, "metrics": "viewercount", "aggby": "cdn", "offset": offset}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(f"{vendor.url}/mm-apis/metricquery/7", params=params, headers={"X-API-Key": KEY})


def firsts():
    return range(0, len(rows(CDN, WINDOW)), CDN.page)


async def test_a_window_is_answered_once_all_its_pages_have_left(smartsight):
    for first in firsts():
        assert not smartsight.answers
        assert (await metrics(smartsight, first)).json()["totalrecords"] == len(rows(CDN, WINDOW))
    assert [key for key, moments in smartsight.answers.items() if len(moments) == 1] == [("cdn", WINDOW)]


async def test_a_window_of_which_a_page_failed_is_not_answered(smartsight):
    async with smartsight.troubled("last page fails"):
        codes = [(await metrics(smartsight, first)).status_code for first in firsts()]
    assert codes == [*[200] * (len(codes) - 1), 500]
    assert not smartsight.answers


@pytest.mark.parametrize("fault", sorted(name for name, (_, send) in FAULTS.items() if send is at_once))
async def test_only_the_truth_counts_as_answered(smartsight, fault):
    page = smartsight.page
    pages = []
    smartsight.page = lambda asked: pages.append(page(asked)) or pages[-1]
    async with smartsight.troubled(fault):
        for first in firsts():
            try:
                await metrics(smartsight, first)
            except httpx.HTTPError:
                continue
    make, _ = FAULTS[fault]
    for each in pages:
        reply = make(each)
        body = reply.body
        for _ in range(reply.headers.get("Content-Encoding", "").count("gzip") if reply.true else 0):
            body = gzip.decompress(body)
        if reply.true:
            assert json.dumps(json.loads(body)["response"]) == json.dumps(json.loads(each.body())["response"])
    assert bool(smartsight.answers) == all(make(each).true for each in pages)


async def test_a_refused_connection_comes_back_on_the_same_port(smartsight):
    url = smartsight.url
    async with smartsight.troubled("refused"):
        with pytest.raises(httpx.ConnectError):
            await metrics(smartsight, 0)
    assert (await metrics(smartsight, 0)).is_success
    assert smartsight.url == url


async def test_a_wrong_key_is_refused_and_nothing_noted(smartsight):
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{smartsight.url}/mm-apis/metricquery/7")).status_code == 401
    assert not smartsight.hits


async def login(vendor):
    form = {"client_id": "a-client", "grant_type": "client_credentials", "token_type": "jwt"}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{vendor.url}/oauth2/token", data=form, auth=("a-client", SECRET))


async def views(vendor, token):
    params = {"date_time_from": "1970-01-12T13:46:40+00:00", "date_time_to": "1970-01-12T13:46:50+00:00", "_page": 1}
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{vendor.url}/v1/total-views/device"
        return await client.get(url, params=params, headers={"Authorization": token})


async def test_ibm_answers_with_a_token_until_a_fault_of_the_login_revokes_it(ibm):
    token = (await login(ibm)).json()["access_token"]
    answer = (await views(ibm, token)).json()
    assert len(answer["data"]) == DEVICE.page
    assert answer["pagination"]["next"]["href"].startswith("/total-views/device?_page=2")
    async with ibm.troubled("token: 503"):
        assert (await login(ibm)).status_code == 503
    assert (await views(ibm, token)).status_code == 401
    assert {HEALTHY, "token: 503"} == set(ibm.hits)


def test_every_fault_of_a_login_revokes_the_tokens():
    assert all(name.startswith("token") for name in [*TOKEN_FAULTS, REVOKED_EARLY])
