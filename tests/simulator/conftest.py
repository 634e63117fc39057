from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.smartsight import SmartSight
from exporter.simulator.vendor import Vendor

EVENING = 1_775_764_800  # 2026-04-09 20:00 UTC, the beginning of an hour
NOW = EVENING + 2 * 86400
LOGIN = {
    "grant_type": "password",
    "username": "ops@example.com",
    "password": "pass",
    "client_id": "smartsight-backend",
    "scope": "openid",
}


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def _client(vendor: Vendor) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(vendor.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://vendor") as client:
        yield client


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def smartsight(clock):
    return SmartSight(api_key="right", customer_id=199493832, clock=clock, username="ops@example.com", password="pass")


@pytest.fixture
def ibm(clock):
    return IbmVideo(client_id="exporter", client_secret="s3cret", clock=clock)


@pytest.fixture
async def http(smartsight):
    async with _client(smartsight) as client:
        client.headers["X-API-Key"] = "right"
        yield client


@pytest.fixture
async def keycloak(smartsight):
    """Ask for tokens: gives status and body."""
    async with _client(smartsight) as client:

        async def keycloak(path="/realms/mediamelon/protocol/openid-connect/token", **form):
            answer = await client.post(path, data=form)
            return answer.status_code, answer.json()

        yield keycloak


@pytest.fixture
async def bearer(smartsight, keycloak):
    """A client that has logged in, and no key."""
    _, body = await keycloak(**LOGIN)
    async with _client(smartsight) as client:
        client.headers["Authorization"] = f"Bearer {body['access_token']}"
        yield client


@pytest.fixture
async def ibm_http(ibm):
    async with _client(ibm) as client:
        yield client


@pytest.fixture
def ask(http):
    """Ask ``metricquery``: gives the decoded body of a 200."""

    async def ask(metrics="viewercount", start=EVENING, end=EVENING + 300, **more):
        params = {"period": f"start={start},end={end}", "metrics": metrics, **more}
        answer = await http.get("/mm-apis/metricquery/199493832", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
async def api(ibm_http):
    """Ask IBM's API with a good token: gives status and decoded body."""
    fields = {"grant_type": "client_credentials", "client_id": "exporter", "token_type": "jwt"}
    token = (await ibm_http.post("/oauth2/token", data=fields, auth=("exporter", "s3cret"))).json()["access_token"]
    ibm_http.headers["Authorization"] = token

    async def api(path, **params):
        answer = await ibm_http.get(f"/v1{path}", params=params)
        return answer.status_code, answer.json()

    return api


@pytest.fixture
def rows(api, period):
    """Ask for one page that holds everything: gives its rows' attributes."""

    async def rows(path, seconds=3600, **params):
        status, body = await api(path, **{**period(seconds), "_limit": "10000", **params})
        assert status == 200, body
        assert body["pagination"] == {}
        return [row["attributes"] for row in body["data"]]

    return rows


@pytest.fixture
def period():
    """Give IBM's parameters for a number of seconds from the evening on."""

    def period(seconds=3600):
        moments = (datetime.fromtimestamp(second, UTC).isoformat() for second in (EVENING, EVENING + seconds))
        return dict(zip(("date_time_from", "date_time_to"), moments, strict=True))

    return period
