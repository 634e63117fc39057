"""No secret in anything that the exporter shows, even when the vendor echoes it: the real command, run and asked."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from urllib.parse import parse_qsl

import bcrypt
import httpx
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from exporter.simulator.serve import serve

PATIENCE = 30
CANARIES = {
    "API_KEY": "canary-api-key-0123456789",
    "PASSWORD": 'canary-p4ss "word" +/&<ß>',
    "CLIENT_SECRET": "canary-client-secret-0123456789",
    "PROXY_PASSWORD": "canary-proxy-password",
}
TOKENS = ("canary-access-token-0123456789", "canary-refresh-token-0123456789")
WEB_PASSWORD = "canary-web-password"
SPELLINGS = {
    spelling
    for secret in (*CANARIES.values(), *TOKENS, WEB_PASSWORD)
    for spelling in (
        secret,
        json.dumps(secret)[1:-1],
        str(httpx.QueryParams({"": secret}))[1:],
        base64.b64encode(f"exporter:{secret}".encode()).decode(),
    )
}
# HTTP/2 sends headers coded in bits: a library that logs what is sent shows whole values in this form.
CODED = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
SPELLINGS |= {
    json.dumps(repr(CODED.encode(f"{scheme}{spelling}".encode()))[2:-1])[1:-1]
    for spelling in SPELLINGS
    for scheme in ("", "Bearer ", "Basic ")
}
MODES = ("label", "value", "page", "401", "403", "404", "422", "429", "500", "302", "json", "fields")


async def echo(request):
    """Answer as the option ``mode`` says, with all that the client has sent in the answer."""
    mode = request.query_params.get("mode", "label")
    tokens = TOKENS if "authorization" in request.headers else ()
    said = " ".join([request.headers.get("x-api-key", ""), request.headers.get("authorization", ""), *tokens])
    if mode == "label":
        return JSONResponse({"totalrecords": 1, "response": [{"cdn": said, "viewercount": 1}]})
    if mode == "value":
        return JSONResponse({"totalrecords": 1, "response": [{"cdn": "a", "viewercount": said}]})
    if mode == "fields":
        return JSONResponse({"totalrecords": said, "response": [{said: said, "viewercount": 1}], said: said})
    if mode == "page":
        return PlainTextResponse(f"<html>{said}</html>")
    if mode == "json":
        return JSONResponse({"detail": said, "response": said})
    headers = {"location": f"/elsewhere?key={said.replace(' ', '+')}", "retry-after": said}
    return JSONResponse({"detail": said, "errors": [{"title": said, "detail": said}]}, int(mode), headers)


async def token(request):
    """Give a token; to a client that wants to be refused, all that it has sent."""
    form = dict(parse_qsl((await request.body()).decode()))
    if form.get("client_id") == "refused":
        said = f"{form} {request.headers.get('authorization', '')}"
        return JSONResponse({"error": "invalid_client", "error_description": said}, 400)
    return JSONResponse({"access_token": TOKENS[0], "refresh_token": TOKENS[1], "expires_in": 900})


@pytest.fixture
def echoing():
    """Run the echoing vendor in a thread, and give its URL."""
    app = Starlette(
        routes=[Route("/token", token, methods=["POST"]), Route("/{path:path}", echo, methods=["GET", "POST"])]
    )
    started, found = threading.Event(), []

    async def main():
        stop = asyncio.Event()
        async with serve(app) as url:
            found.extend((url, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(PATIENCE)
    yield found[0]
    found[1].call_soon_threadsafe(found[2].set)
    thread.join(PATIENCE)


def config(url, **http):
    """A configuration with every kind of log-in, and a query for every way to echo."""
    sources = {
        "key": {"type": "smartsight", "base_url": url, "customer_id": 7, "auth": {"api_key": "${API_KEY}"}},
        "login": {
            "type": "smartsight",
            "base_url": url,
            "customer_id": 7,
            "plan_level": 1,
            "auth": {"username": "exporter", "password": "${PASSWORD}", "token_url": f"{url}/token"},
        },
        "refused": {
            "type": "smartsight",
            "base_url": url,
            "customer_id": 7,
            "plan_level": 1,
            "auth": {
                "username": "exporter",
                "password": "${PASSWORD}",
                "token_url": f"{url}/token",
                "client_id": "refused",
            },
        },
        "ibm": {
            "type": "ibm_video",
            "base_url": url,
            "auth": {"client_id": "exporter", "client_secret": "${CLIENT_SECRET}", "token_url": f"{url}/token"},
        },
        "proxied": {
            "type": "smartsight",
            "base_url": url,
            "customer_id": 7,
            "auth": {"api_key": "${API_KEY}"},
            "http": {"proxy_url": "http://exporter:${PROXY_PASSWORD}@127.0.0.1:9"},
        },
    }
    queries = [
        {
            "name": f"{source}-{mode}",
            "source": source,
            "metrics": ["viewercount"],
            "dimensions": ["cdn"],
            "options": {"mode": mode},
        }
        for source in ("key", "login", "refused", "proxied")
        for mode in MODES
    ]
    queries += [
        {
            "name": f"ibm-{mode}",
            "source": "ibm",
            "metrics": ["total_views"],
            "dimensions": ["device"],
            "options": {"mode": mode},
        }
        for mode in MODES
    ]
    sources = {name: {**source, "http": {**http, **source.get("http", {})}} for name, source in sources.items()}
    return {"defaults": {"interval": "3s", "timeout": "2s"}, "sources": sources, "queries": queries}


def shown_by(what, text):
    """Give which canaries a text holds, and where."""
    return [(what, spelling) for spelling in SPELLINGS if spelling in text]


@pytest.fixture(params=["HTTP/1.1", pytest.param("HTTP/2", marks=pytest.mark.real("nginx"))])
def configured(request, echoing):
    """A configuration for each protocol."""
    if request.param == "HTTP/1.1":
        yield config(echoing)
        return
    front = request.getfixturevalue("front")(echoing)
    yield config(front.url, http2=True, ca_file=str(front.ca_file))
    assert front.spoken == {"HTTP/2.0"}


def test_no_secret_is_in_any_output_of_a_running_exporter(configured, start, until, tmp_path, monkeypatch):
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    path, web, storage = tmp_path / "config.yaml", tmp_path / "web.yaml", tmp_path / "storage"
    path.write_text(json.dumps(configured))
    web.write_text(
        json.dumps({"basic_auth_users": {"ops": bcrypt.hashpw(WEB_PASSWORD.encode(), bcrypt.gensalt(4)).decode()}})
    )
    exporter = start(
        "run",
        f"--config.file={path}",
        "--log.level=debug",
        f"--storage.path={storage}",
        f"--web.config.file={web}",
        "--web.enable-lifecycle",
    )
    with httpx.Client(base_url=exporter.url, auth=("ops", WEB_PASSWORD), trust_env=False, timeout=10) as client:
        until(lambda: client.get("/-/ready").is_success, "all queries have been polled")
        pages = ["/", "/metrics", "/config", "/sd", "/api/v1/queries", "/-/healthy"]
        pages += [
            f"/query?source={source}&name={source}-{mode}" for source in ("key", "ibm") for mode in ("label", "401")
        ]
        found = []
        for page in pages:
            answer = client.get(page)
            assert answer.status_code == 200, page
            found += shown_by(page, answer.text)
        openmetrics = client.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
        found += shown_by("openmetrics", openmetrics)
        path.write_text(json.dumps(configured | {"more": CANARIES["API_KEY"]}))
        found += shown_by("reload", client.post("/-/reload").text)
        assert (
            httpx.get(f"{exporter.url}/metrics", auth=("ops", WEB_PASSWORD + "?"), trust_env=False).status_code == 401
        )
    log = exporter.log.read_text()
    assert "level=debug" in log
    found += shown_by("log", log)
    for file in storage.iterdir():
        found += shown_by(f"storage {file.name}", file.read_bytes().decode("latin-1"))
    assert found == []
    # The test is worth something only if secrets were sent and echoed.
    assert "<secret>" in log
    assert "the answer repeats a secret" in log


def test_no_secret_is_in_any_output_of_a_command(echoing, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config(echoing)))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(json.dumps(config(echoing)).replace('"api_key"', '"api_kee"').replace('"password"', '"pasword"'))
    commands = [
        ("check", f"--config.file={path}"),
        ("check", f"--config.file={wrong}"),
        ("plan", f"--config.file={path}"),
        ("plan", f"--config.file={path}", "--output=json"),
        ("schema",),
        *(
            ("query", f"{source}-{mode}", f"--config.file={path}", f"--output={output}")
            for source, mode, output in (
                ("key", "label", "table"),
                ("login", "401", "json"),
                ("refused", "label", "table"),
                ("ibm", "422", "openmetrics"),
                ("key", "value", "json"),
                ("proxied", "label", "table"),
            )
        ),
    ]
    found = []
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "exporter", *command],
            env={**os.environ, **CANARIES},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.stdout or done.stderr
        assert "Traceback" not in done.stderr
        found += shown_by(" ".join(command), done.stdout + done.stderr)
    assert found == []
