"""The log-in, the certificates and the words of a receiver."""

import asyncio
import os
import ssl
from base64 import b64encode

import httpx
import pytest
import trustme

from exporter.config.remote_write import RemoteWrite
from exporter.history.receiver import Receiver, Unavailable

CANARY = "canary-4711-secret"


def receiver(answer=lambda _: httpx.Response(204), **settings):
    given = RemoteWrite.model_validate({"url": "http://r/write", **settings})
    return Receiver(given, now=lambda: 0.0, transport=httpx.MockTransport(answer))


async def sent(**settings):
    requests = []

    def answer(request):
        requests.append(request)
        return httpx.Response(204)

    await receiver(answer, **settings).post(b"")
    return requests[0].headers


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"basic_auth": {"username": "u", "password": "p"}}, "Basic dTpw"),
        ({"authorization": {"credentials": "t"}}, "Bearer t"),
        ({"authorization": {"type": "Token", "credentials": "t"}}, "Token t"),
        ({"bearer_token": "t"}, "Bearer t"),
    ],
)
async def test_the_log_in_is_prometheus_own(settings, header):
    assert (await sent(**settings)).get("authorization") == header


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        (lambda file: {"basic_auth": {"username": "u", "password_file": file}}, "Basic dTpw"),
        (lambda file: {"authorization": {"credentials_file": file}}, "Bearer p"),
        (lambda file: {"bearer_token_file": file}, "Bearer p"),
    ],
)
async def test_a_file_is_read_for_each_request(tmp_path, keys, header):
    file = tmp_path / "secret"
    file.write_text("old\n")
    requests = []

    def answer(request):
        requests.append(request.headers["authorization"])
        return httpx.Response(204)

    target = receiver(answer, **keys(str(file)))
    await target.post(b"")
    file.write_text("p\n")
    await target.post(b"")
    assert requests[1] == header != requests[0]


async def test_a_secret_that_can_not_be_read_is_told_by_its_file(tmp_path):
    with pytest.raises(Unavailable, match=r"none: No such file or directory|can't be read: No such file"):
        await receiver(bearer_token_file=str(tmp_path / "none")).post(b"")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(Unavailable, match="is empty"):
        await receiver(bearer_token_file=str(tmp_path / "empty")).post(b"")


@pytest.mark.parametrize(
    "settings",
    [
        {"basic_auth": {"username": "u", "password": CANARY}},
        {"bearer_token": CANARY},
        {"headers": {"X-Key": CANARY}},
    ],
)
async def test_what_a_receiver_echoes_is_shown_without_secrets(settings):
    coded = b64encode(f"u:{CANARY}".encode()).decode()
    target = receiver(lambda _: httpx.Response(400, text=f"bad: {CANARY} {coded}\nline two"), **settings)
    said = (await target.post(b"")).said
    assert CANARY not in said
    assert "bad: <secret>" in said
    assert "\n" not in said
    assert CANARY not in repr(target.__dict__["_settings"])
    if "basic_auth" in settings:
        assert coded not in said


async def test_an_error_of_the_network_is_shown_without_secrets():
    def refuse(_):
        raise httpx.ConnectError(f"cannot reach {CANARY}")

    with pytest.raises(Unavailable) as caught:
        await receiver(refuse, bearer_token=CANARY).post(b"")
    assert str(caught.value) == "ConnectError: cannot reach <secret>"


async def test_a_proxy_s_password_is_not_shown():
    target = receiver(proxy_url=f"http://u:{CANARY}@proxy.invalid:1")
    assert target._shown(f"proxy u:{CANARY} refused") == "proxy u:<secret> refused"
    assert CANARY not in repr(target._settings)


async def test_a_long_explanation_is_cut():
    target = receiver(lambda _: httpx.Response(400, text="x" * 10**6))
    assert len((await target.post(b"")).said) == 300


class TlsReceiver:
    """A receiver behind TLS that wants a certificate of the client where ``clients`` is given."""

    def __init__(self, authority, clients=None, name="receiver.internal"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self.context)
        if clients:
            clients.configure_trust(self.context)
            self.context.verify_mode = ssl.CERT_REQUIRED

    async def __call__(self, reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def posted(served, tls):
    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=served.context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/write"
        target = Receiver(RemoteWrite.model_validate({"url": url, "tls_config": tls}), now=lambda: 0.0)
        try:
            return (await target.post(b"")).status
        finally:
            await target.aclose()


async def test_tls_by_name_by_certificate_and_without_looking(tmp_path):
    authority, clients = trustme.CA(), trustme.CA()
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    own = clients.issue_cert("exporter")
    own.private_key_pem.write_to_path(key)
    own.cert_chain_pems[0].write_to_path(cert)
    plain, mutual = TlsReceiver(authority), TlsReceiver(authority, clients)
    named = {"ca_file": ca, "server_name": "receiver.internal"}
    assert await posted(plain, named) == 204
    assert await posted(plain, {"insecure_skip_verify": True}) == 204
    assert await posted(mutual, {**named, "cert_file": cert, "key_file": key}) == 204
    for wrong in ({"ca_file": ca}, {}, {**named, "server_name": "other.internal"}):
        with pytest.raises(Unavailable, match=r"certificate|CERTIFICATE"):
            await posted(plain, wrong)
    with pytest.raises(Unavailable):
        await posted(mutual, named)


async def test_a_certificate_that_is_replaced_is_used_and_one_that_is_gone_is_told(tmp_path):
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    target = receiver(tls_config={"ca_file": str(ca)})
    await target.post(b"")
    before = target._http
    await target.post(b"")
    assert target._http is before
    trustme.CA().cert_pem.write_to_path(str(ca))
    os.utime(ca, ns=(1, 1))
    await target.post(b"")
    assert target._http is not before
    ca.unlink()
    with pytest.raises(Unavailable, match=r"ca\.pem: No such file or directory"):
        await target.post(b"")
    await target.aclose()
