import datetime as dt
import json
import re
import shutil
import subprocess

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.config import ConfigError
from exporter.web.access.load import load

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
NEED_HASH = "must be the bcrypt hash of a password; this prints one: htpasswd -nBC 10"
SECRET = "hunter2"

CERT = "tls_server_config:\n  cert_file: server.crt\n"
KEY = f"{CERT}  key_file:"
CERT_OF_KEY = "tls_server_config:\n  key_file: server.key\n  cert_file:"
IF_GIVEN = f"{TLS}  client_auth_type: VerifyClientCertIfGiven\n"
REQUIRED = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n"
HEADERS = "http_server_config:\n  headers:\n"
IN_HEADERS = "http_server_config.headers"
ALICE = "basic_auth_users.alice"

GOOD = [
    "",
    "# nothing yet\n",
    "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n",
    "tls_server_config: {}\nhttp_server_config: {headers: {}}\nbasic_auth_users: {}\n",
    TLS,
    f"{TLS}  client_auth_type: NoClientCert\n",
    f"{REQUIRED}  client_ca_file: ca.crt\n  client_allowed_sans: [one, 10.0.0.1]\n",
    REQUIRED,
    f"{IF_GIVEN}  client_ca_file: ca.crt\n",
    f"{TLS}  min_version: TLS13\n  max_version: TLS13\n  prefer_server_cipher_suites: false\n",
    f"{TLS}  min_version: TLS10\n",
    f"{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\nhttp_server_config: {{http2: false}}\n",
    f"{TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  min_version: TLS13\n",
    f"{TLS}  curve_preferences: [X25519]\n",
    f"basic_auth_users:\n  alice: {HASH}\n  bob@example.com: {HASH.replace('$2y$10', '$2b$12')}\n  '7': {HASH}\n",
    f"{HEADERS}    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n    X-XSS-Protection: 0\n",
    f"{HEADERS}    Content-Security-Policy: ''\n    Strict-Transport-Security: max-age=31536000; includeSubDomains\n",
]

FAULTS = [
    # the file
    ("[]", 1, "", "must be a mapping"),
    ("text", 1, "", "must be a mapping"),
    ("a: [", 1, "", "is no valid YAML"),
    ("tls_server: {}", 1, "tls_server", "unknown key (did you mean `tls_server_config`?)"),
    ("rate_limit: {burst: 1}", 1, "rate_limit", "unknown key; allowed: basic_auth_users, http_server_config, tls_"),
    ("tls_server_config: on", 1, "tls_server_config", "must be a mapping"),
    # certificate and key
    (
        "tls_server_config:\n  min_version: TLS12\n  cert_file: server.crt",
        1,
        "tls_server_config",
        "needs `key_file` (or `key`)",
    ),
    ("tls_server_config: {key_file: server.key}", 1, "tls_server_config", "needs `cert_file` (or `cert`)"),
    (f"{CERT_OF_KEY} ''", 3, "tls.cert_file", "must not be empty"),
    ('tls_server_config:\n  key_file: server.key\n  cert_file: "a\\0b"', 3, "tls.cert_file", "must be the path"),
    (f"{CERT_OF_KEY} no.crt", 3, "tls.cert_file", "/no.crt: No such file"),
    (f"{KEY} no.key", 3, "tls.key_file", "/no.key: No such file"),
    (f"{KEY} .", 3, "tls.key_file", "Is a directory"),
    (
        "tls_server_config:\n  cert_file: server.key\n  key_file: server.key",
        2,
        "tls.cert_file",
        "no certificate in PEM",
    ),
    (f"{KEY} server.crt", 3, "tls.key_file", "no private key in PEM"),
    (f"{KEY} other.key", 3, "tls.key_file", "not the key of the certificate in `cert_file`"),
    (f"{KEY} rsa.key", 3, "tls.key_file", "not the key of the certificate in `cert_file`"),
    (f"{KEY} locked.key", 3, "tls.key_file", "is protected by a passphrase"),
    (
        "tls_server_config:\n  cert_file: weak.crt\n  key_file: weak.key",
        3,
        "tls.key_file",
        "refused by OpenSSL, or its certificate is: ee key too small",
    ),
    (f"{TLS}  cert: x", 4, "tls.cert", "stands beside `cert_file`; give one of them"),
    (f"{TLS}  key: {SECRET}", 4, "tls.key", "stands beside `key_file`; give one of them"),
    (f"{CERT}  key: {SECRET}", 3, "tls.key", "no private key in PEM"),
    (
        f"tls_server_config: {{cert_file: server.crt, 'key:{SECRET}', key_file: server.key}}",
        1,
        "tls_server_config",
        "unknown key",
    ),
    # clients
    (
        f"{TLS}  client_auth_type: RequestClientCert",
        4,
        "tls.client_auth_type",
        "no client certificate that it can't verify; use RequireAndVerifyClientCert or",
    ),
    (f"{TLS}  client_auth_type: RequireAnyClientCert", 4, "tls.client_auth_type", "can't verify"),
    (f"{TLS}  client_auth_type: RequireClientCert", 4, "tls.client_auth_type", "can't verify"),
    (f"{TLS}  client_auth_type: RequireAndVerifyClientCerts", 4, "tls.client_auth_type", "did you mean"),
    (f"{TLS}  client_ca_file: ca.crt", 4, "tls.client_ca_file", "does nothing without a `client_auth_type`"),
    (f"{IF_GIVEN}  client_ca_file: no.crt", 5, "tls.client_ca_file", "/no.crt: No such file"),
    (f"{IF_GIVEN}  client_ca_file: server.key", 5, "tls.client_ca_file", "no certificate in PEM"),
    (f"{IF_GIVEN}  client_ca: x\n  client_ca_file: ca.crt", 5, "tls.client_ca", "stands beside"),
    (
        f"{TLS}  client_allowed_sans: [a]",
        4,
        "tls.client_allowed_sans",
        "needs `client_auth_type: RequireAndVerifyClientCert`",
    ),
    (
        f"{IF_GIVEN}  client_allowed_sans: [a]",
        5,
        "tls.client_allowed_sans",
        "a client without a certificate would come in",
    ),
    # versions, suites, curves
    (f"{TLS}  min_version: TLS14", 4, "tls.min_version", "must be 'TLS10', 'TLS11', 'TLS12' or 'TLS13'"),
    (
        f"{TLS}  min_version: TLS13\n  max_version: TLS12",
        4,
        "tls.min_version",
        "is TLS13, above max_version, which is TLS12",
    ),
    (f"{TLS}  max_version: TLS11", 1, "tls.min_version", "is TLS12, above max_version, which is TLS11"),
    (
        f"{TLS}  cipher_suites:\n    - TLS_ECDHE_RSA_WITH_AES_128_GCM",
        5,
        "tls.cipher_suites[0]",
        "did you mean `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`?",
    ),
    (f"{TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]", 4, "tls.cipher_suites", "has suites of TLS13 only"),
    (f"{TLS}  curve_preferences: [P256]", 4, "tls.curve_preferences[0]", "unknown curve (did you mean `CurveP256`?)"),
    (f"{TLS}  curve_preferences: [X25519, CurveP256]", 4, "tls.curve_preferences", "Python's ssl takes one curve"),
    # users
    (f"basic_auth_users:\n  alice: {SECRET}", 2, ALICE, NEED_HASH),
    ("basic_auth_users:\n  alice: 12345", 2, ALICE, NEED_HASH),
    ("basic_auth_users:\n  alice:", 2, ALICE, NEED_HASH),
    (f"basic_auth_users:\n  alice: $argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ${SECRET}", 2, ALICE, NEED_HASH),
    (f"basic_auth_users:\n  alice: {HASH[:-1]}", 2, ALICE, NEED_HASH),
    (f"basic_auth_users:\n  alice: {HASH.replace('$10$', '$99$')}", 2, ALICE, NEED_HASH),
    (f"basic_auth_users:\n  alice: {HASH.replace('zoub', 'zobb')}", 2, ALICE, NEED_HASH),
    (f"basic_auth_users:\n  'alice:{SECRET}': {HASH}", 2, "basic_auth_users", "must not be empty, nor have a colon"),
    (f"basic_auth_users:\n  '': {HASH}", 2, "basic_auth_users", "must not be empty"),
    (f"basic_auth_users: [{SECRET}]", 1, "basic_auth_users", "must be a mapping"),
    (f"basic_auth_users:\n  alice: {HASH}\n  alice: {HASH}", 3, ALICE, "stands twice"),
    # headers
    ("http_server_config: {http2: 2}", 1, "http_server_config.http2", "must be true or false"),
    (f"{HEADERS}    X-Frame-Option: deny", 3, f"{IN_HEADERS}.X-Frame-Option", "must be 'Content-Security-Policy', "),
    (f"{HEADERS}    X-Frame-Options: allow", 3, f"{IN_HEADERS}.X-Frame-Options", "must be `deny` or `sameorigin`"),
    (f"{HEADERS}    X-Content-Type-Options: sniff", 3, f"{IN_HEADERS}.X-Content-Type-Options", "must be `nosniff`"),
    (
        f'{HEADERS}    Content-Security-Policy: "a\\r\\nSet-Cookie: b"',
        3,
        f"{IN_HEADERS}.Content-Security-Policy",
        "must be one line of ASCII",
    ),
]


@pytest.fixture(scope="session")
def odd(tmp_path_factory, pair):
    """Give a folder with keys that can't be used."""
    folder = tmp_path_factory.mktemp("odd")
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(folder / "other.key")
    plain = serialization.load_pem_private_key(pair.private_key_pem.bytes(), None)
    (folder / "locked.key").write_bytes(pem(plain, serialization.BestAvailableEncryption(SECRET.encode())))
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - so weak that OpenSSL refuses it
    (folder / "weak.key").write_bytes(pem(weak, serialization.NoEncryption()))
    (folder / "rsa.key").write_bytes(pem(rsa.generate_private_key(65537, 2048), serialization.NoEncryption()))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    builder = x509.CertificateBuilder(name, name, weak.public_key(), 1)
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    signed = builder.not_valid_before(day).not_valid_after(day.replace(year=2036)).sign(weak, hashes.SHA256())
    (folder / "weak.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return folder


def pem(key, encryption):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture
def errors(folder):
    """Load a wrong file and give the lines of its error, less the path of the file."""

    def errors(text):
        (folder / "web.yml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(folder / "web.yml")
        assert not re.search(f"{SECRET}|PRIVATE|argon|fim5|c29tZ|12345", str(caught.value)), "a secret"
        return [line.removeprefix(f"{folder}/web.yml:") for line in caught.value.lines]

    return errors


@pytest.mark.parametrize("text", GOOD)
def test_a_good_file(folder, text):
    (folder / "web.yml").write_text(text)
    rules = load(folder / "web.yml")
    assert bool(rules.context) == ("cert_file" in text)
    assert bool(rules.users) == ("alice" in text)


@pytest.mark.real("promtool")
# The toolkit has client_allowed_sans since 2023, and distributions have an older one.
@pytest.mark.parametrize("text", [text for text in GOOD if "sans" not in text])
def test_what_is_good_here_is_good_for_the_toolkit(folder, text):
    (folder / "web.yml").write_text(text)
    subprocess.run(["promtool", "check", "web-config", folder / "web.yml"], check=True)


@pytest.mark.parametrize(("text", "line", "path", "words"), FAULTS)
def test_a_wrong_file(errors, folder, odd, text, line, path, words):
    shutil.copytree(odd, folder, dirs_exist_ok=True)
    (found,) = errors(text)
    path = path.replace("tls.", "tls_server_config.")
    assert found.startswith(f"{line}: {path}: " if path else f"{line}: ")
    assert words in found


def test_every_fault_is_reported_at_once_in_the_order_of_the_file(errors):
    found = errors(
        f"basic_auth_users: {{alice: {SECRET}, bob: {SECRET}}}\n"
        "http_server_config:\n  headers: {X-Frame-Options: allow}\n  http: 2\n"
        "tls_server_config:\n  cert_file: no.crt\n  client_auth_type: VerifyClientCertIfGiven\n"
        "  key_file: server.key\n  client_ca_file: no.ca\n"
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["1", "basic_auth_users.alice"],
        ["1", "basic_auth_users.bob"],
        ["3", "http_server_config.headers.X-Frame-Options"],
        ["4", "http_server_config.http"],
        ["6", "tls_server_config.cert_file"],
        ["9", "tls_server_config.client_ca_file"],
    ]


def test_what_depends_on_a_wrong_key_is_not_called_wrong_too(errors):
    (found,) = errors("tls_server_config: {cert_file: [server.crt], key_file: server.key}")
    assert found.startswith("1: tls_server_config.cert_file: must be a text")


def test_certificate_and_key_may_stand_in_the_file_itself(folder, pair):
    shown = {"cert": pair.cert_chain_pems[0].bytes().decode(), "key": pair.private_key_pem.bytes().decode()}
    (folder / "web.yml").write_text(f"tls_server_config: {json.dumps(shown)}")
    rules = load(folder / "web.yml")
    assert rules.context
    assert "PRIVATE" not in repr(rules)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file or directory; name the file with"), (b"\xff", "is no UTF-8 text")]
)
def test_a_file_that_can_not_be_read(tmp_path, content, words):
    if content:
        (tmp_path / "web.yml").write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{tmp_path}/web.yml: {words}"):
        load(tmp_path / "web.yml")


def test_hashes_show_nowhere(folder):
    (folder / "web.yml").write_text(f"basic_auth_users: {{alice: {HASH}}}")
    assert HASH not in repr(load(folder / "web.yml"))
