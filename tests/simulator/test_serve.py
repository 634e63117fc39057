import asyncio
import signal

import httpx
import pytest

from exporter.simulator.serve import serve


async def test_an_app_is_served_and_signals_are_left_alone(smartsight):
    before = signal.getsignal(signal.SIGTERM)
    async with serve(smartsight.app) as url, httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/mm-apis/metricquery/199493832")
        assert signal.getsignal(signal.SIGTERM) is before
    assert answer.status_code == 401
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_it_stops_although_a_request_is_open(smartsight, caplog):
    arrived = asyncio.Event()

    async def never(_):
        arrived.set()
        await asyncio.Event().wait()

    smartsight.intercept = never
    async with httpx.AsyncClient(timeout=60) as client:
        async with asyncio.timeout(5), serve(smartsight.app) as url:
            request = asyncio.create_task(client.get(url))
            await arrived.wait()
        with pytest.raises(httpx.TransportError):
            await request
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
