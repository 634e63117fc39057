import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from unittest.mock import Mock

import httpx
import pytest

from exporter.model import Bounds, Request
from exporter.providers.errors import AuthError
from exporter.providers.http import Client, Observer
from exporter.providers.smartsight import SmartSight

PATIENCE = 60
LIFE, REFRESH_LIFE = 6, 8
"""Seconds that the realm's tokens live."""

API = "http://smartsight.example"
BOUNDS = Bounds(timeout=30, max_response=2**20, interval=60)
REQUEST = Request("metricquery", "/mm-apis/metricquery/199493832", ())


async def whole(body):
    """Read an answer as it is."""
    return body


@dataclass
class Exporter:
    """The exporter's client before the real Keycloak, and before an API that takes what Keycloak says is good."""

    keycloak: object
    ahead: float = 0
    """Seconds that the client's clock is ahead."""

    sent: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self, password_file):
        async with httpx.AsyncHTTPTransport() as network:

            async def answer(request):
                if request.url.host == "smartsight.example":
                    good = await self.keycloak.takes(request.headers["Authorization"])
                    what, response = "api", httpx.Response(200 if good else 401, json={"response": []})
                else:
                    what = httpx.QueryParams(request.content.decode())["grant_type"]
                    response = await network.handle_async_request(request)
                self.sent.append(f"{what} {response.status_code}")
                return response

            auth = {"username": "ops@example.com", "password_file": password_file, "token_url": self.keycloak.token_url}
            settings = SmartSight.Settings(type="smartsight", base_url=API, customer_id="199493832", auth=auth)
            self.client = Client(
                "mm",
                SmartSight(settings),
                Mock(spec=Observer),
                clock=lambda: time.monotonic() + self.ahead,
                now=time.time,
                transport=httpx.MockTransport(answer),
            )
            async with contextlib.aclosing(self.client):
                yield self

    async def poll(self):
        """Ask the API; give what was sent for it."""
        self.sent.clear()
        await self.client.get(REQUEST, BOUNDS, whole)
        return self.sent


async def refused(keycloak, token):
    """Wait until a refresh token is over, and give the refusal."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await keycloak.refresh(token)
            if not answer.is_success:
                return answer
            await asyncio.sleep(0.2)  # between two looks at the server


def error(answer):
    return answer.status_code, answer.json()["error"], answer.json()["error_description"]


# One test, for each worker of a parallel run would start a server of its own.
async def test_a_real_keycloak(keycloak, tmp_path):
    await it_behaves_as_the_vendor_documents(keycloak)
    await the_exporter_stays_logged_in(keycloak, tmp_path / "password")


async def it_behaves_as_the_vendor_documents(keycloak):
    login = await keycloak.log_in("first")
    assert login.status_code == 200  # the vendor documents 201
    first = login.json()
    assert first.keys() == {
        *("access_token", "expires_in", "refresh_token", "refresh_expires_in", "token_type", "id_token"),
        *("not-before-policy", "session_state", "scope"),
    }
    assert first["token_type"] == "Bearer"
    # Whole seconds that are left when the answer is made: a busy server has used up some.
    assert LIFE - 3 <= first["expires_in"] <= LIFE
    assert REFRESH_LIFE - 3 <= first["refresh_expires_in"] <= REFRESH_LIFE
    assert await keycloak.takes(f"Bearer {first['access_token']}")

    refresh = await keycloak.refresh(first["refresh_token"])
    second = refresh.json()
    assert (refresh.status_code, second.keys()) == (200, first.keys())
    assert len({tokens[name] for tokens in (first, second) for name in ("access_token", "refresh_token")}) == 4
    assert await keycloak.takes(f"Bearer {second['access_token']}")

    wrong = (401, "invalid_grant", "Invalid user credentials")
    assert error(await keycloak.log_in("second")) == wrong
    await keycloak.set_password("second")
    assert error(await keycloak.log_in("first")) == wrong
    # A session outlives the password that it began with.
    third = (await keycloak.refresh(second["refresh_token"])).json()
    assert await keycloak.takes(f"Bearer {third['access_token']}")
    await keycloak.end_sessions()
    assert not await keycloak.takes(f"Bearer {third['access_token']}")
    assert error(await keycloak.refresh(third["refresh_token"])) == (400, "invalid_grant", "Session not active")
    assert (await keycloak.log_in("second")).status_code == 200


async def the_exporter_stays_logged_in(keycloak, password_file):
    password_file.write_text("second\n")
    async with Exporter(keycloak).running(password_file) as exporter:
        assert await exporter.poll() == ["password 200", "api 200"]
        assert await exporter.poll() == ["api 200"]
        exporter.ahead += 0.95 * LIFE
        assert await exporter.poll() == ["refresh_token 200", "api 200"]

        # Not younger than the exporter's: when this one is over, so is that one.
        token = (await keycloak.log_in("second")).json()["refresh_token"]
        assert error(await refused(keycloak, token)) == (400, "invalid_grant", "Token is not active")
        assert await exporter.poll() == ["password 200", "api 200"]

        await keycloak.end_sessions()
        assert await exporter.poll() == ["api 401", "password 200", "api 200"]
        await keycloak.end_sessions()
        exporter.ahead += 0.95 * LIFE
        assert await exporter.poll() == ["refresh_token 400", "password 200", "api 200"]

        await keycloak.set_password("third")
        exporter.ahead += 0.95 * LIFE
        assert await exporter.poll() == ["refresh_token 200", "api 200"]
        await keycloak.end_sessions()
        refusal = r"HTTP 401: invalid_grant: Invalid user credentials$"
        with pytest.raises(AuthError, match=refusal):
            await exporter.poll()
        assert exporter.sent == ["api 401", "password 401"]
        password_file.write_text("third\n")
        with pytest.raises(AuthError, match=refusal):
            await exporter.poll()
        assert exporter.sent == []
        exporter.ahead += BOUNDS.interval
        assert await exporter.poll() == ["password 200", "api 200"]
