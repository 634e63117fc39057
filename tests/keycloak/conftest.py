"""A real Keycloak on loopback, with the realm that stands in mediamelon.json."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

REALM = Path(__file__).with_name("mediamelon.json")
[USER] = json.loads(REALM.read_text())["users"]
PATIENCE = 180
"""Seconds after which a server that has not started is taken to never do so; it takes 15 to 25 on two idle cores."""


@dataclass
class Keycloak:
    """The server as its users and its administrator see it."""

    http: httpx.AsyncClient
    url: str
    admin_password: str

    @property
    def token_url(self):
        return f"{self.url}/realms/mediamelon/protocol/openid-connect/token"

    async def token(self, **form):
        return await self.http.post(self.token_url, data={"client_id": "smartsight-backend", **form})

    async def log_in(self, password):
        return await self.token(grant_type="password", username=USER["username"], password=password, scope="openid")

    async def refresh(self, token):
        return await self.token(grant_type="refresh_token", refresh_token=token)

    async def takes(self, authorization):
        """Whether an access token is good now, by the server's own word."""
        url = f"{self.url}/realms/mediamelon/protocol/openid-connect/userinfo"
        return (await self.http.get(url, headers={"Authorization": authorization})).is_success

    async def set_password(self, password):
        await self._administer("PUT", "reset-password", {"type": "password", "value": password, "temporary": False})

    async def end_sessions(self):
        await self._administer("POST", "logout")

    async def _administer(self, method, what, body=None):
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
        login = await self.http.post(
            f"{self.url}/realms/master/protocol/openid-connect/token", data={**form, "password": self.admin_password}
        )
        headers = {"Authorization": f"Bearer {login.raise_for_status().json()['access_token']}"}
        url = f"{self.url}/admin/realms/mediamelon/users/{USER['id']}/{what}"
        (await self.http.request(method, url, headers=headers, json=body)).raise_for_status()


@contextlib.contextmanager
def started(home, admin_password):
    """Run a copy of the server, for it writes into its own directory; give its URL."""
    with tempfile.TemporaryDirectory() as directory:
        copy, log = Path(directory, "keycloak"), Path(directory, "log")
        shutil.copytree(home, copy, ignore=shutil.ignore_patterns("data"))
        (copy / "data/import").mkdir(parents=True)
        shutil.copy(REALM, copy / "data/import")
        settings = {
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": admin_password,
            "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx256m",
            # It starts and ends: what it is compiled for is not used long enough to be paid for.
            "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
        }
        with (
            log.open("w") as out,
            subprocess.Popen(
                [copy / "bin/kc.sh", "start-dev", "--import-realm", "--http-host=127.0.0.1", "--http-port=0"],
                env=os.environ | settings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            ) as server,
        ):
            try:
                deadline = time.monotonic() + PATIENCE
                while not (found := re.search(r"Listening on: (http://\S+)", log.read_text())):
                    if server.poll() is not None or time.monotonic() > deadline:
                        pytest.fail(f"Keycloak does not start:\n{log.read_text()[-3000:]}")
                    time.sleep(0.1)  # between two looks at another process
                yield found[1]
            finally:
                # The script may have Java as a child, or have become it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def server():
    """Start the Keycloak in KEYCLOAK_HOME once; give its URL and the administrator's password."""
    home = os.environ.get("KEYCLOAK_HOME")
    if not home:
        complain = pytest.fail if os.environ.get("REQUIRE_REAL") == "1" else pytest.skip
        complain("needs a real Keycloak, and KEYCLOAK_HOME names none")
    password = secrets.token_urlsafe()
    with started(home, password) as url:
        yield url, password


@pytest.fixture
async def keycloak(server):
    """Give the server with no session, and ``first`` as the user's password."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        keycloak = Keycloak(http, *server)
        await keycloak.set_password("first")
        await keycloak.end_sessions()
        yield keycloak
