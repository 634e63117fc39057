"""How a client says that it stands with its vendor."""

import contextlib

import httpx
import pytest

from exporter.providers.errors import VendorError
from exporter.providers.standing import Standing


@pytest.fixture
def standing(ask, client, bounds):
    """Let a client ask once for each of a vendor's answers in turn; give how it stands before and after each."""

    async def standing(vendor, *answers):
        asked = ask(vendor, metrics=["views" if vendor == "smartsight" else "total_views"])
        script = iter(answers)
        http = client(asked, httpx.MockTransport(lambda _: next(script)))

        async def whole(body):
            return body

        found = [http.standing]
        for _ in range(answers[-1].extensions.get("asked", 1)):
            with contextlib.suppress(VendorError):
                await http.get(asked.request(), bounds, whole)
            found.append(http.standing)
        await http.aclose()
        return found

    return standing


def answer(status=200, asked=1, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(
        status, headers=names, json={"access_token": "t", "expires_in": 3600}, extensions={"asked": asked}
    )


@pytest.mark.parametrize(("status", "login"), [(200, "ok"), (401, "refused"), (403, "refused"), (500, "ok")])
async def test_a_key_is_good_until_the_vendor_refuses_it(standing, status, login):
    assert await standing("smartsight", answer(status)) == [Standing(), Standing(login)]


async def test_a_key_that_is_accepted_again_is_good_again(standing):
    found = await standing("smartsight", answer(401), answer(200, asked=2))
    assert [each.login for each in found] == ["none", "refused", "ok"]


async def test_a_token_is_good_until_it_expires(standing, clock):
    before, after = await standing("ibm_video", answer(), answer())
    assert before == Standing()
    assert after == Standing("ok", token_expiry=clock.now + 3600)


async def test_a_token_that_has_run_out_says_so(ask, client, bounds, clock):
    asked = ask("ibm_video", metrics=["total_views"])
    http = client(asked, httpx.MockTransport(lambda _: answer()))

    async def whole(body):
        return body

    await http.get(asked.request(), bounds, whole)
    expiry = clock.now + 3600
    clock.now += 4000
    assert http.standing == Standing("expired", token_expiry=expiry)
    await http.aclose()


@pytest.mark.parametrize(("status", "login"), [(401, "refused"), (400, "refused"), (503, "failed")])
async def test_a_log_in_that_did_not_work(standing, status, login):
    assert await standing("ibm_video", answer(status)) == [Standing(), Standing(login)]


async def test_what_remains_and_until_when_there_is_a_pause(standing, clock):
    reset = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(clock.now + 90)}
    _, found = await standing("smartsight", answer(**reset))
    assert found == Standing("ok", None, 0.0, clock.now + 90)
