"""Makes docs/images/status-*.png: the example's queries against simulated vendors, photographed by Chromium.

Run by ``make screenshots``. Polls come every 2 seconds, so that fifty of them do not take an hour; some are made to
fail: a log-in that is refused, and a vendor that is overloaded for a while.
"""

import argparse
import asyncio
import contextlib
import itertools
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, async_playwright
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter import daemon, demo
from exporter.config import load
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight
from exporter.simulator.smartsight_oauth import TOKEN_PATH
from exporter.web.listen import bind
from exporter.web.past import KEPT

IMAGES = Path(__file__).parent / "images"
QUERY = "query?source=mediamelon&name=startup_by_country_and_device"
DESK, PHONE = (1280, 1150), (390, 844)
PICTURES = (
    ("status-light", "", DESK, "light"),
    ("status-dark", "", DESK, "dark"),
    ("status-phone", "", PHONE, "light"),
    ("query-light", QUERY, DESK, "light"),
    ("query-dark", QUERY, DESK, "dark"),
    ("query-phone", QUERY, PHONE, "dark"),
)
QUICK = {"interval: 1m ": "interval: 2s ", "requests_per_minute: 120 ": "requests_per_minute: 600 "}
SLOW = 0.004
"""Seconds that a simulated answer takes more than the one before, up to ten times that."""


class Overloaded:
    """Lets a vendor answer more or less slowly, and not at all to some requests for countries."""

    def __init__(self) -> None:
        self._count = itertools.count()

    async def __call__(self, request: Request) -> Response | None:
        """Give the answer, or leave it to the vendor."""
        by_device = "device" in request.query_params.get("aggby", "")
        number = next(self._count) if by_device else 0
        await asyncio.sleep(SLOW * (number * 7 % 10))
        if number in range(16, 22):
            return JSONResponse({"detail": "Service overloaded, try again later"}, 503)
        return None


@contextlib.asynccontextmanager
async def running(listening: str) -> AsyncIterator[daemon.House]:
    """Run the exporter against simulated vendors, one of which refuses a password."""
    env = demo.CREDENTIALS
    smartsight = SmartSight(
        api_key=env["SMARTSIGHT_API_KEY"],
        customer_id=env["SMARTSIGHT_CUSTOMER_ID"],
        username=env["SMARTSIGHT_USERNAME"],
        password="another",  # noqa: S106 - so that the log-in is refused
        clock=time.time,
    )
    ibm = IbmVideo(client_id=env["IBM_CLIENT_ID"], client_secret=env["IBM_CLIENT_SECRET"], clock=time.time)
    smartsight.intercept = Overloaded()
    text = demo.example()
    for slow, quick in QUICK.items():
        text = text.replace(slow, quick)
    async with serve(smartsight.app) as smartsight_url, serve(ibm.app) as ibm_url:
        urls = {
            "SMARTSIGHT_URL": smartsight_url,
            "SMARTSIGHT_TOKEN_URL": smartsight_url + TOKEN_PATH,
            "IBM_URL": f"{ibm_url}/v1",
            "IBM_TOKEN_URL": f"{ibm_url}/oauth2/token",
        }
        config = load(text, name="config.example.yaml", env={**env, **urls})
        with bind(listening) as bound:
            async with daemon.running(lambda: config, config, [bound], daemon.Options()) as house:
                yield house


async def photograph(browser: Browser, url: str) -> None:
    """Take all pictures of a running exporter."""
    for name, path, (width, height), scheme in PICTURES:
        page = await browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            device_scale_factor=2 if width == PHONE[0] else 1,
        )
        await page.goto(f"{url}/{path}")
        await page.screenshot(path=IMAGES / f"{name}.png")
        await page.close()


async def main(listening: str, polls: int) -> None:
    """Run until there are enough polls, and take the pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not on PATH; on Debian and Ubuntu: apt install chromium")
    async with running(listening) as house, async_playwright() as playwright:
        key = ("mediamelon", "startup_by_country_and_device")
        while len(house.state.past.polls(key)) < polls:  # noqa: ASYNC110 - nobody tells of them
            await asyncio.sleep(1)
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        await photograph(browser, f"http://{listening}")
        await browser.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--listen", default="127.0.0.1:10319")
    arguments.add_argument("--polls", type=int, default=KEPT)
    given = arguments.parse_args()
    asyncio.run(main(given.listen, given.polls))
