"""What the page on troubleshooting quotes is what a person sees."""

import asyncio
import time
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from exporter.commands.asking import ask, error, jobs
from exporter.config import load
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
CONFIG = """
sources:
  mm: {{type: smartsight, base_url: "{url}", customer_id: 1, auth: {{api_key: {key}}}}}
queries:
  - {{name: q, source: mm, metrics: [viewercount], dimensions: [cdn], {more}}}
"""


async def told(*, intercept=None, url=None, key="the-key-of-someone", more="interval: 1m"):
    """The line of a query that fails."""
    vendor = SmartSight(api_key="the-key-of-someone", customer_id="1", clock=time.time)
    vendor.intercept = intercept
    found = []
    async with serve(vendor.app) as served:
        config = load(CONFIG.format(url=url or served, key=key, more=more), name="c.yaml", env={})
        await ask(config, jobs(config, "q", ()), found.extend)
    return error(found[0])


def always(make):
    async def answer(_):
        return make()

    return answer


async def hang(_):
    await asyncio.Event().wait()


SEEN = {
    "(auth): metricquery: HTTP 401: Invalid or missing API key": {"key": "another"},
    "(rate_limited): metricquery: HTTP 429: too many": {
        "intercept": always(lambda: JSONResponse({"detail": "too many"}, 429))
    },
    "(server_error): metricquery: HTTP 503: overloaded": {
        "intercept": always(lambda: JSONResponse({"detail": "overloaded"}, 503))
    },
    "(timeout): metricquery: no whole answer within 1 s": {"intercept": hang, "more": "timeout: 1s"},
    "(network): metricquery: 127.0.0.1: ConnectError: [Errno 111] Connect call failed": {"url": "http://127.0.0.1:1"},
    "(bad_request): metricquery: HTTP 422: ": {"intercept": always(lambda: JSONResponse({"detail": "no"}, 422))},
    "(bad_response): metricquery: the answer is no JSON but HTML": {
        "intercept": always(lambda: Response("<html>Log in</html>", media_type="text/html"))
    },
    "(bad_response): metricquery: HTTP 302: a redirect, which is never followed": {
        "intercept": always(lambda: Response("", 302, {"location": "http://127.0.0.1:1/"}))
    },
    "(bad_response): metricquery: the answer is larger than `max_response` ": {"more": "max_response: 10"},
}


@pytest.mark.parametrize(("words", "given"), SEEN.items())
async def test_a_query_that_fails_says_what_the_page_quotes(words, given):
    assert words.removesuffix(" ") in PAGE
    assert words in await told(**given)
