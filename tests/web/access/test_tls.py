"""TLS with real clients on real sockets."""

import asyncio
import ssl
import warnings

import httpx
import pytest
import trustme
import uvloop

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = f"{TLS}  client_ca_file: ca.crt\n  client_auth_type: "
REQUIRED = f"{CLIENTS}RequireAndVerifyClientCert\n"
REFUSED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)
"""With TLS 1.3 a client learns only with its first answer that it was refused."""


@pytest.fixture
def answers(guard, serving, ask):
    """Serve as a web configuration says, and tell whether a client is answered."""

    async def answers(text, context):
        async with serving(guard(text)) as url:
            try:
                return (await ask(url, context)).text == "hello\n"
            except REFUSED:
                return False

    return answers


async def test_a_client_that_trusts_the_authority_is_answered(answers, client):
    assert await answers(TLS, client())


async def test_a_client_that_does_not_trust_it_turns_away(answers):
    assert not await answers(TLS, ssl.create_default_context())


async def test_without_tls_there_is_no_context(guard, serving, ask):
    plain = guard("basic_auth_users: {}")
    assert plain.tls is None
    async with serving(plain) as url:
        assert (await ask(url)).text == "hello\n"


async def test_certificate_and_key_may_stand_in_the_file(answers, client, pair):
    cert, key = pair.cert_chain_pems[0].bytes().decode(), pair.private_key_pem.bytes().decode()
    indented = (
        f"  {name}: |\n    " + "    ".join(pem.splitlines(keepends=True))
        for name, pem in (("cert", cert), ("key", key))
    )
    assert await answers("tls_server_config:\n" + "".join(indented), client())


@pytest.mark.parametrize(
    ("versions", "highest", "good"),
    [
        ("min_version: TLS13", "TLSv1_2", False),
        ("min_version: TLS13", "TLSv1_3", True),
        ("min_version: TLS12", "TLSv1_2", True),
        ("min_version: TLS10", "TLSv1_2", True),
        ("min_version: TLS10", "TLSv1_3", True),
        ("min_version: TLS10", "TLSv1_1", True),
        ("min_version: TLS11", "TLSv1", False),
        ("min_version: TLS10", "TLSv1", True),
        ("max_version: TLS13", "TLSv1_1", False),
    ],
)
async def test_versions(answers, client, versions, highest, good):
    context = client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = min(ssl.TLSVersion[highest], ssl.TLSVersion.TLSv1_2)
        context.maximum_version = ssl.TLSVersion[highest]
    if highest in ("TLSv1", "TLSv1_1"):
        context.set_ciphers("ALL:@SECLEVEL=0")
    assert await answers(f"{TLS}  {versions}\n", context) is good


async def test_a_version_above_the_highest_is_not_spoken(answers, client):
    context = client(minimum_version=ssl.TLSVersion.TLSv1_3)
    assert not await answers(f"{TLS}  max_version: TLS12\n", context)


@pytest.mark.parametrize(("suite", "good"), [("AES128", True), ("AES256", False)])
async def test_suites(answers, client, suite, good):
    context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"ECDHE+{suite}")
    assert await answers(f"{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n", context) is good


@pytest.mark.parametrize(("server", "good"), [("CurveP384", False), ("X25519", True), ("CurveP521", False)])
async def test_curves(answers, client, server, good):
    context = client()
    context.set_ecdh_curve("X25519")
    assert await answers(f"{TLS}  curve_preferences: [{server}]\n", context) is good


@pytest.mark.parametrize(("prefer", "chosen"), [("true", "AES256"), ("false", "AES128")])
async def test_whose_order_of_suites_counts(guard, prefer, chosen, client):
    suites = [f"TLS_ECDHE_ECDSA_WITH_AES_{size}" for size in ("256_GCM_SHA384", "128_GCM_SHA256")]
    served = guard(f"{TLS}  prefer_server_cipher_suites: {prefer}\n  cipher_suites: [{', '.join(suites)}]\n").tls()
    context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    assert chosen in shake_hands(served, context).cipher()[0]


def shake_hands(server, client):
    """Bring a handshake to its end in memory and give the client's side."""
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(one, other, server_hostname="localhost"),
        server.wrap_bio(other, one, server_side=True),
    ]
    for side in sides * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return sides[0]


@pytest.mark.parametrize(
    ("policy", "none", "ours", "strange"),
    [
        ("NoClientCert", True, True, True),
        ("VerifyClientCertIfGiven", True, True, False),
        ("RequireAndVerifyClientCert", False, True, False),
    ],
)
async def test_client_certificates(answers, client, ca, policy, none, ours, strange):
    text = f"{TLS}  client_auth_type: {policy}\n" + ("" if policy == "NoClientCert" else "  client_ca_file: ca.crt\n")
    assert await answers(text, client()) is none
    assert await answers(text, client(ca.issue_cert("prometheus"))) is ours
    assert await answers(text, client(trustme.CA().issue_cert("prometheus"))) is strange


async def test_without_an_authority_of_its_own_it_takes_the_system_s_and_not_everybody_s(answers, client, ca):
    text = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n"
    assert not await answers(text, client(ca.issue_cert("prometheus")))


async def test_an_authority_may_be_an_intermediate_one_and_the_file_say_so_in_any_language(answers, client, ca, folder):
    child = ca.create_child_ca()
    (folder / "ca.crt").write_bytes("# Zertifizierungsstelle für Prometheus\n".encode() + child.cert_pem.bytes())
    assert await answers(REQUIRED, client(child.issue_cert("prometheus")))
    assert not await answers(REQUIRED, client(ca.issue_cert("prometheus")))


@pytest.mark.parametrize(
    ("names", "good"),
    [
        (["prometheus.example"], True),
        (["other.example", "prometheus.example"], True),
        (["192.0.2.7"], True),
        (["2001:db8::7"], True),
        (["ops@example.com"], True),
        (["other.example"], False),
        (["sub.prometheus.example"], False),
    ],
)
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_names_of_clients(answers, client, ca, names, good, highest):
    allowed = "  client_allowed_sans: [prometheus.example, 192.0.2.7, '2001:db8::7', ops@example.com]\n"
    context = client(ca.issue_cert(*names), maximum_version=highest)
    assert await answers(REQUIRED + allowed, context) is good


async def test_a_client_without_names_is_refused_where_names_are_needed(answers, client, ca):
    shown = ca.issue_cert(common_name="prometheus.example")
    assert not await answers(f"{REQUIRED}  client_allowed_sans: [prometheus.example]\n", client(shown))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_both_event_loops_renew_certificates_and_refuse_names(
    guard, serving, ask, client, ca, folder, put, clock, loop
):
    async def story():
        mine, other = client(ca.issue_cert("a.example")), client(ca.issue_cert("b.example"))
        async with serving(guard(f"{REQUIRED}  client_allowed_sans: [a.example]\n")) as url:
            assert (await ask(url, mine)).text == "hello\n"
            with pytest.raises(REFUSED):
                await ask(url, other)
            put(folder, ca.issue_cert("elsewhere"))
            clock.now += 1
            with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
                await ask(url, mine)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
