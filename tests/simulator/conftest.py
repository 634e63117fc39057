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
    return SmartSight(api_key="right", customer_id=199493832, clock=clock)


@pytest.fixture
def ibm(clock):
    return IbmVideo(client_id="exporter", client_secret="s3cret", clock=clock)


@pytest.fixture
async def http(smartsight):
    async with _client(smartsight) as client:
        client.headers["X-API-Key"] = "right"
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
def period():
    """Give IBM's parameters for a number of seconds from the evening on."""

    def period(seconds=3600):
        moments = (datetime.fromtimestamp(second, UTC).isoformat() for second in (EVENING, EVENING + seconds))
        return dict(zip(("date_time_from", "date_time_to"), moments, strict=True))

    return period
