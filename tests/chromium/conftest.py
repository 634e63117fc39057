"""The running exporter and its vendor in this process, and a real Chromium that looks at it."""

import asyncio
import contextlib
import json
import shutil
import time

import pytest
from playwright.async_api import async_playwright
from starlette.responses import JSONResponse

from exporter import daemon
from exporter.config import load
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight
from exporter.web.listen import bind

PATIENCE = 30
"""Seconds after which what a test waits for is taken to never come."""


class Vendor:
    """A simulated vendor whose answers a test replaces: ``answers`` are by the requests' ``aggby``."""

    def __init__(self):
        self.smartsight = SmartSight(api_key="a-key", customer_id=7, clock=time.time)
        self.smartsight.intercept = self._intercept
        self.answers = {}

    async def _intercept(self, request):
        return self.answers.get(request.query_params.get("aggby", ""))

    def fail(self, dimension="", detail="Service overloaded", status=400):
        self.answers[dimension] = JSONResponse({"detail": detail}, status)

    def give(self, rows, dimension=""):
        self.answers[dimension] = JSONResponse({"response": rows, "totalrecords": len(rows)})

    def recover(self, dimension=""):
        del self.answers[dimension]


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
async def start(vendor):
    """Start the exporter with queries, each polled once a second, and give its URL once each was polled."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*queries, source="mm"):
            url = await stack.enter_async_context(serve(vendor.smartsight.app))
            settings = {"type": "smartsight", "base_url": url, "customer_id": 7, "auth": {"api_key": "a-key"}}
            config = load(
                json.dumps(
                    {
                        "defaults": {"interval": "1s"},
                        "sources": {source: settings},
                        "queries": [{"source": source, "metrics": ["views"], **query} for query in queries],
                    }
                ),
                name="config.yaml",
                env={},
            )
            bound = stack.enter_context(bind("127.0.0.1:0"))
            house = await stack.enter_async_context(
                daemon.running(lambda: config, config, [bound], daemon.Options(lifecycle=True))
            )
            async with asyncio.timeout(PATIENCE):
                while not house.state.ready:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.05)
            return daemon.address(bound)

        yield start


class Complaints(list):
    """What a page's console, its errors and its policy complained of, and requests to other hosts."""

    def listen(self, page):
        page.on("console", lambda message: self.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("dialog", lambda dialog: self.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._elsewhere(request.url))

    def _elsewhere(self, url):
        if not url.startswith("http://127.0.0.1:"):
            self.append(f"asks another host: {url}")


@pytest.fixture
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
def complaints():
    return Complaints()


@pytest.fixture
async def look(browser, complaints):
    """Open a page; the keywords are those of a browser's context (colour scheme, viewport, scripts)."""

    async def look(url, **more):
        context = await browser.new_context(**more)
        context.set_default_timeout(PATIENCE * 1000)
        page = await context.new_page()
        complaints.listen(page)
        await page.goto(url)
        return page

    return look
