"""Access while the exporter runs: what changes in the files, and what must not."""

import httpx
import pytest
from structlog.testing import capture_logs

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


@pytest.fixture
def users(cheap):
    return f"basic_auth_users:\n  alice: {cheap('right')}\n"


@pytest.fixture
def rewrite(folder, clock):
    """Change a file of the folder, and let the time pass after which files are looked at."""

    def rewrite(content, name="web.yml"):
        (folder / name).write_text(content)
        clock.now += 1

    return rewrite


async def status(guarded, auth=("alice", "right")):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded)) as client:
        return (await client.get("http://exporter/", auth=auth)).status_code


async def hello(_, __, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello\n"})


async def test_all_of_it_at_once(guard, serving, ask, client, users):
    headers = "http_server_config:\n  headers: {X-Frame-Options: deny, Content-Security-Policy: 'default-src https:'}\n"
    async with serving(guard(TLS + users + headers)) as url:
        for auth, expected in ((("alice", "right"), 200), (("alice", "wrong"), 401), (None, 401)):
            response = await ask(url, client(), auth=auth)
            assert response.status_code == expected
            assert response.headers["x-frame-options"] == "deny"
            assert response.headers.get_list("content-security-policy") == ["default-src https:"]


async def test_an_empty_file_guards_nothing(guard, serving, ask):
    async with serving(guard("")) as url:
        assert (await ask(url)).text == "hello\n"


async def certificate(url, client):
    """Connect anew and give the certificate that is shown."""
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10, verify=client()) as http,
        http.stream("GET", url) as answer,
    ):
        return answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(binary_form=True)


async def test_a_renewed_certificate_is_shown_to_new_connections(guard, serving, client, ca, pair, folder, put, clock):
    async with serving(guard(TLS)) as url:
        old = await certificate(url, client)
        put(folder, ca.issue_cert("localhost"))
        assert await certificate(url, client) == old, "it looked before its time"
        clock.now += 1
        new = await certificate(url, client)
        assert new != old
        put(folder, pair)
        clock.now += 1
        assert await certificate(url, client) == old


async def test_connections_outlive_their_certificate(guard, serving, client, ca, folder, put, clock):
    async with serving(guard(TLS)) as url, httpx.AsyncClient(trust_env=False, verify=client()) as kept:
        assert (await kept.get(url)).text == "hello\n"
        put(folder, ca.issue_cert("elsewhere"))
        clock.now += 1
        assert (await kept.get(url)).text == "hello\n"


@pytest.mark.parametrize("broken", ["", "-----BEGIN EC PRIVATE KEY-----\nhunter2", None])
@pytest.mark.parametrize("name", ["server.key", "server.crt"])
async def test_a_broken_renewal_keeps_the_old_pair_and_is_logged_once(
    guard, serving, client, ca, folder, put, clock, name, broken
):
    with capture_logs() as logs:
        async with serving(guard(TLS)) as url:
            old = await certificate(url, client)
            (folder / name).unlink()
            if broken is not None:
                (folder / name).write_text(broken)
            for _ in range(3):
                clock.now += 1
                assert await certificate(url, client) == old
            put(folder, ca.issue_cert("localhost"))
            clock.now += 1
            assert await certificate(url, client) != old
    assert [entry["log_level"] for entry in logs] == ["error", "info"]
    assert f"tls_server_config.{'key' if 'key' in name else 'cert'}_file: " in logs[0]["errors"]
    assert "hunter2" not in str(logs)


async def test_a_pair_that_is_renewed_by_halves_waits_for_the_other_half(guard, serving, client, ca, folder, clock):
    async with serving(guard(TLS)) as url:
        old = await certificate(url, client)
        fresh = ca.issue_cert("localhost")
        fresh.cert_chain_pems[0].write_to_path(folder / "server.crt")
        clock.now += 1
        assert await certificate(url, client) == old
        fresh.private_key_pem.write_to_path(folder / "server.key")
        clock.now += 1
        assert await certificate(url, client) != old


async def test_a_renewed_authority_of_clients_counts_for_new_connections(
    guard, serving, ask, client, ca, folder, clock
):
    mine = client(ca.issue_cert("prometheus"))
    policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
    async with serving(guard(TLS + policy)) as url:
        assert (await ask(url, mine)).status_code == 200
        ca.create_child_ca().cert_pem.write_to_path(folder / "ca.crt")
        clock.now += 1
        with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
            await ask(url, mine)


async def test_changed_users_take_effect_also_for_those_who_were_known(guard, users, rewrite, cheap):
    guarded = guard(users).wrap(hello)
    assert await status(guarded) == 200
    rewrite(f"basic_auth_users:\n  alice: {cheap('new')}\n  bob: {cheap('bob')}\n")
    assert await status(guarded) == 401
    assert await status(guarded, ("alice", "new")) == 200
    assert await status(guarded, ("bob", "bob")) == 200


async def test_the_file_is_looked_at_once_a_second(guard, users, cheap, folder, clock):
    guarded = guard(users).wrap(hello)
    clock.now += 0.9
    (folder / "web.yml").write_text(f"basic_auth_users:\n  alice: {cheap('new')}\n")
    assert await status(guarded) == 200
    clock.now += 0.2
    assert await status(guarded) == 401


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("basic_auth_users:\n  alice: hunter2\n", "must be the bcrypt hash"),
        ("basic_auth_users: {\n", "is no valid YAML"),
        ("", "basic_auth_users can be dropped only by a restart"),
        ("http_server_config: {http2: false}", "basic_auth_users can be dropped only by a restart"),
        (f"basic_auth_users: {{}}\n{TLS}", "TLS can be switched on and off only by a restart"),
    ],
)
async def test_a_file_that_can_not_be_used_keeps_the_users_and_is_logged_once(guard, users, rewrite, broken, words):
    guarded = guard(users).wrap(hello)
    with capture_logs() as logs:
        for _ in range(3):
            rewrite(broken)
            assert await status(guarded) == 200
            assert await status(guarded, ("alice", "wrong")) == 401
            assert await status(guarded, None) == 401
        rewrite(users)
        assert await status(guarded) == 200
        rewrite(broken)
        assert await status(guarded) == 200
    assert [entry["log_level"] for entry in logs] == ["error", "error"], "once each time that it breaks"
    assert words in logs[0]["errors"]
    assert "hunter2" not in str(logs)


async def test_a_file_that_is_gone_keeps_the_users(guard, users, folder, clock):
    guarded = guard(users).wrap(hello)
    (folder / "web.yml").unlink()
    clock.now += 1
    with capture_logs() as logs:
        assert await status(guarded, None) == 401
    assert "No such file" in logs[0]["errors"]


async def test_tls_does_not_end_when_the_file_is_emptied(guard, serving, ask, client, rewrite):
    async with serving(guard(TLS)) as url:
        rewrite("")
        assert (await ask(url, client())).text == "hello\n"


async def test_users_may_come_in_while_it_runs(guard, users, rewrite):
    guarded = guard("").wrap(hello)
    assert await status(guarded, None) == 200
    rewrite(users)
    assert await status(guarded, None) == 401


@pytest.mark.parametrize(("http2", "warnings"), [("true", 1), ("false", 0)])
def test_http2_is_not_promised(guard, http2, warnings):
    with capture_logs() as logs:
        guard(f"http_server_config: {{http2: {http2}}}")
    assert len(logs) == warnings
