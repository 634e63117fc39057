"""``/-/reload`` as HTTP sees it; what a reload does stands in the daemon's tests."""

import asyncio

import pytest

from exporter.web.app import app

PATH = "/-/reload"


@pytest.fixture
def client_with(served, shown, client_of):
    return lambda reload: client_of(app(served.metrics, "/metrics", shown.state, reload))


class Reload:
    """Counts reloads, and gives faults."""

    def __init__(self, *faults):
        self.faults, self.count = faults, 0

    async def __call__(self):
        self.count += 1
        return self.faults


async def test_a_good_file_is_200(client_with):
    reload = Reload()
    async with client_with(reload) as client:
        response = await client.post(PATH)
    assert (response.status_code, response.text, reload.count) == (200, "", 1)


async def test_a_bad_file_is_500_with_every_fault_on_a_line_of_its_own(client_with):
    faults = ["config.yaml:1: <b>one</b>", "config.yaml:2: zwei \N{BULLET} drei"]
    async with client_with(Reload(*faults)) as client:
        response = await client.post(PATH)
    assert response.status_code == 500
    assert response.text.splitlines() == faults
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


async def test_without_the_flag_it_is_403_and_says_which_one(client_with):
    async with client_with(None) as client:
        response = await client.post(PATH)
    assert response.status_code == 403
    assert "--web.enable-lifecycle" in response.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_405_and_reload_nothing(client_with, method):
    reload = Reload()
    async with client_with(reload) as client:
        response = await client.request(method, PATH)
    assert (response.status_code, reload.count) == (405, 0)
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", ["/-/reload/", "/-/Reload", "/-/reload/x"])
async def test_only_its_own_path_reloads(client_with, path):
    reload = Reload()
    async with client_with(reload) as client:
        await client.post(path)
    assert reload.count == 0


async def test_a_body_and_parameters_are_of_no_interest(client_with):
    reload = Reload()
    async with client_with(reload) as client:
        response = await client.post(f"{PATH}?file=/etc/passwd", content=b"x" * 100_000)
    assert (response.status_code, reload.count) == (200, 1)


async def test_metrics_and_pages_are_served_while_it_reloads(client_with):
    begun, release = asyncio.Event(), asyncio.Event()

    async def reload():
        begun.set()
        await release.wait()
        return ()

    async with client_with(reload) as client:
        reloading = asyncio.create_task(client.post(PATH))
        await asyncio.wait_for(begun.wait(), 10)
        for path in ("/metrics", "/", "/-/healthy", "/-/ready"):
            assert (await client.get(path)).status_code == 200
        assert not reloading.done()
        release.set()
        assert (await reloading).status_code == 200
