"""``remote_write``: Prometheus' keys, every fault with its place, and no secret in anything that is shown."""

import json

import pytest

from exporter.config import shown

QUERY = "  - {name: q, source: mm, metrics: [views]}\n"
SOURCES = "sources: {mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}}\nqueries:\n" + QUERY

EVERYTHING = {
    "url": "https://prometheus:9090/api/v1/write",
    "name": "main",
    "remote_timeout": "1m30s",
    "headers": {"X-Scope-OrgID": "CANARY-header"},
    "basic_auth": {"username": "u", "password": "CANARY-password"},
    "tls_config": {
        "ca_file": "/ca.pem",
        "cert_file": "/cert.pem",
        "key_file": "/key.pem",
        "server_name": "prometheus",
        "insecure_skip_verify": True,
    },
    "proxy_url": "http://u:CANARY-proxy@proxy:3128",
}
LOGINS = [
    {"basic_auth": {"username": "u", "password_file": "/p"}},
    {"authorization": {"type": "Token", "credentials": "CANARY-credentials"}},
    {"authorization": {"credentials_file": "/c"}},
    {"bearer_token": "CANARY-token"},
    {"bearer_token_file": "/t"},
]


TLS_KEYS = "ca_file, cert_file, insecure_skip_verify, key_file, server_name"
NO_DURATION = "is no duration; write it as 30s, 5m, 1h30m or 1d, or as a number of seconds"


def file(receivers):
    return f"{SOURCES}remote_write: {json.dumps(receivers)}\n"


@pytest.fixture
def faults(errors):
    """Give the errors of one receiver, which stands on line 4, without what leads to it."""
    return lambda **settings: [
        line.removeprefix("c.yaml:4: remote_write.")
        for line in errors(file({"url": "http://p/api/v1/write", **settings}))
    ]


def test_one_receiver_stands_for_a_list_of_one(configured):
    assert configured(file(EVERYTHING)).remote_write == configured(file([EVERYTHING])).remote_write
    (receiver,) = configured(file(EVERYTHING)).remote_write
    assert receiver.label == "main"
    assert receiver.remote_timeout == 90
    assert receiver.basic_auth.password.get_secret_value() == "CANARY-password"


def test_without_receivers_there_are_none(configured):
    assert configured(SOURCES).remote_write == ()
    assert configured(f"{SOURCES}remote_write:\n").remote_write == ()
    assert "remote_write" not in shown.text(configured(SOURCES))


def test_variables_are_replaced(configured):
    (receiver,) = configured(file({"url": "${URL}", "bearer_token": "${T}"}), URL="http://p/w", T="s").remote_write
    assert (receiver.label, receiver.bearer_token.get_secret_value()) == ("http://p/w", "s")


@pytest.mark.parametrize("settings", [EVERYTHING, *({"url": "http://p/w", **login} for login in LOGINS)])
def test_what_is_shown_has_no_secret_and_loads_to_the_same(configured, settings):
    config = configured(file(settings))
    text = shown.text(config)
    assert "CANARY" not in text
    assert "CANARY" not in repr(config)
    again = configured(text.replace("proxy_url: <secret>", "proxy_url: http://proxy")).remote_write[0]
    secret = {"headers", "basic_auth", "authorization", "bearer_token", "proxy_url"}
    assert again.model_dump(exclude=secret) == config.remote_write[0].model_dump(exclude=secret)


def test_every_fault_is_told_at_once(errors):
    receivers = [
        {"url": "ftp://p", "tls_config": {"cafile": "/ca"}},
        {"url": "http://p/w", "remote_timeout": "soon", "basic_auth": {"username": "u"}},
        {"url": "http://p/w"},
        {"url": "http://p/w", "bearer_token": "t", "authorization": {"credentials": "a", "credentials_file": "/a"}},
    ]
    lines = "".join(f"  - {json.dumps(receiver)}\n" for receiver in receivers)
    found = errors(f"{SOURCES}remote_write:\n{lines}")
    twice = "name: the receiver `http://p/w` stands twice; give each a `name`"
    assert [line.removeprefix("c.yaml:") for line in found] == [
        f"5: remote_write[0].tls_config.cafile: unknown key (did you mean `ca_file`?); allowed: {TLS_KEYS}",
        "5: remote_write[0].url: must be a URL that begins with http:// or https://",
        "6: remote_write[1].basic_auth: needs `password` or `password_file`",
        f"6: remote_write[1].remote_timeout: {NO_DURATION}",
        f"7: remote_write[2].{twice}",
        "8: remote_write[3].authorization.credentials_file: stands beside `credentials`; one of them is enough",
        "8: remote_write[3].bearer_token: stands beside `authorization`; a receiver has one log-in",
        f"8: remote_write[3].{twice}",
    ]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"url": "http://u:p@host/w"}, "url: must not hold a user name or a password; `basic_auth` has keys for them"),
        (
            {"url": "http://host/w?token=x"},
            "url: must not hold a `?` or a `#`: addresses are shown, and a secret behind",
        ),
        (
            {"tls_config": {"cert_file": "/c"}},
            "tls_config: needs `key_file` too: a certificate and its key go together",
        ),
        (
            {"tls_config": {"key_file": "/k"}},
            "tls_config: needs `cert_file` too: a certificate and its key go together",
        ),
        ({"headers": {"Authorization": "x"}}, "headers: is set by the exporter; use `basic_auth` or `authorization`"),
        ({"headers": {"content-type": "x"}}, "headers: is set by the exporter"),
        ({"headers": {"a b": "x"}}, "headers: is no name of an HTTP header"),
        ({"headers": {"X-A": "line\nline"}}, "headers: has characters that no HTTP header can carry"),
        (
            {"authorization": {"type": "Basic", "credentials": "x"}},
            "authorization.type: is for tokens; name and password",
        ),
        ({"bearer_token": ""}, "bearer_token: must not be empty"),
        ({"bearer_token": "tök"}, "bearer_token: has characters that no HTTP header can carry"),
        ({"authorization": {"credentials": ""}}, "authorization.credentials: must not be empty"),
        ({"authorization": {"credentials": "a\nb"}}, "authorization.credentials: has characters that no HTTP header"),
        ({"basic_auth": {"username": "u", "password": " "}}, "basic_auth.password: must not be empty"),
        ({"authorization": {}}, "authorization: needs `credentials` or `credentials_file`"),
        ({"uri": "x"}, "uri: unknown key (did you mean `url`?); allowed: authorization, basic_auth, bearer_token, "),
    ],
)
def test_a_fault_says_what_is_wrong_and_what_to_do(faults, settings, fault):
    (found,) = faults(**settings)
    assert found.startswith(fault)


def test_a_secret_whose_key_lacks_a_blank_is_not_shown(errors):
    for place in (
        "headers: {X-Key:CANARY}",
        "basic_auth: {username: u, password:CANARY}",
        "authorization: {CANARY: 1}",
    ):
        found = errors(f"{SOURCES}remote_write: {{url: 'http://p/w', {place}}}\n")
        assert found
        assert "CANARY" not in "".join(found)


@pytest.mark.parametrize("given", ["[]", "7", "text", "[7]"])
def test_what_is_no_receiver_is_told(errors, given):
    (found,) = errors(f"{SOURCES}remote_write: {given}\n")
    assert found.startswith("c.yaml:4: remote_write")
