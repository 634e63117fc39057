"""The shape of the file, and what its keys must be together.

Of the toolkit's options all are here but ``rate_limit``. What Python's ssl can't do is an error, never ignored.
"""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from exporter.providers.base import Fault, near
from exporter.providers.shapes import Strict, Text

BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""Version, cost, 22 characters of salt and 31 of hash. The salt's last one has two bits, so it is one of four."""

NO_HASH = "must be the bcrypt hash of a password; this prints one: htpasswd -nBC 10 '' | tr -d ':\\n'"

SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""Go's names, which the file has (crypto/tls.CipherSuites), and OpenSSL's."""

SUITES_OF_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Always on, in Go and in Python alike: naming them changes nothing."""

CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

VERIFYING = "RequireAndVerifyClientCert"
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")

HEADER_VALUES = {"X-Frame-Options": ("deny", "sameorigin"), "X-Content-Type-Options": ("nosniff",)}
"""The headers that can have but a few values."""

PRINTABLE = re.compile(r"[\t\x20-\x7e]+")


def _bcrypt(value: object) -> object:
    if not isinstance(value, str) or not BCRYPT.fullmatch(value):
        raise ValueError(NO_HASH)
    return value


def _user(name: str) -> str:
    if not name or ":" in name:
        raise ValueError("a user's name must not be empty, nor have a colon; a blank stands behind the key's colon")
    return name


def _file(name: str) -> str:
    if not name.isprintable():
        raise ValueError("must be the path of a file")
    return name


def _unset(value: object) -> object:
    """Take a blank header as none, as the toolkit's documentation has it."""
    return None if value == "" else value


File = Annotated[Text, AfterValidator(_file)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Hash = Annotated[SecretStr, BeforeValidator(_bcrypt)]
User = Annotated[str, AfterValidator(_user)]
Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
Header = Literal[
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
]
HeaderValue = Annotated[Text | None, BeforeValidator(_unset)]


class TlsShape(Strict):
    """TLS, and the certificates that clients show. Paths are relative to the file's folder."""

    cert_file: File | None = None
    key_file: File | None = None
    client_ca_file: File | None = None
    cert: Text | None = None
    key: Secret | None = None
    client_ca: Text | None = None
    client_auth_type: Literal[
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "RequireClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
    ] = "NoClientCert"
    client_allowed_sans: list[Text] = Field(default=[])
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: list[Text] = Field(default=[])
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[Text] = Field(default=[])

    @property
    def given(self) -> bool:
        """Whether TLS is wanted."""
        return bool(self.model_fields_set)


class HttpShape(Strict):
    """What is said in HTTP. HTTP/2, the toolkit's default, is not spoken here; clients agree on 1.1."""

    http2: bool | None = None
    headers: dict[Header, HeaderValue] = Field(default={})


class WebShape(Strict):
    """The whole file."""

    tls_server_config: TlsShape | None = None
    http_server_config: HttpShape | None = None
    basic_auth_users: dict[User, Hash] | None = None


def header_faults(headers: dict[Header, str | None]) -> Iterator[Fault]:
    """Give what is wrong with the values of headers; paths begin at a header's name."""
    for name, value in headers.items():
        allowed = HEADER_VALUES.get(name)
        if value and allowed and value not in allowed:
            yield Fault((name,), f"must be {' or '.join(f'`{each}`' for each in allowed)}")
        elif value and not PRINTABLE.fullmatch(value):
            yield Fault((name,), "must be one line of ASCII")


def tls_faults(tls: TlsShape, wrong: AbstractSet[str]) -> Iterator[Fault]:
    """Give what is wrong between the keys, less what depends on a key that is wrong itself."""
    for keys, fault in _tls_faults(tls):
        if wrong.isdisjoint(keys):
            yield fault


def _tls_faults(tls: TlsShape) -> Iterator[tuple[tuple[str, ...], Fault]]:
    yield from _pairs(tls)
    yield from _clients(tls)
    yield from _suites(tls)
    if tls.min_version > tls.max_version:
        message = f"is {tls.min_version}, above max_version, which is {tls.max_version}"
        yield ("min_version", "max_version"), Fault(("min_version",), message)
    for index, curve in enumerate(tls.curve_preferences):
        if curve not in CURVES:
            message = f"unknown curve{near(curve, CURVES)}; allowed: {', '.join(CURVES)}"
            yield (), Fault(("curve_preferences", index), message)
    if len(tls.curve_preferences) > 1:
        message = "Python's ssl takes one curve; name one, or leave the key out for OpenSSL's own choice"
        yield (), Fault(("curve_preferences",), message)


def _pairs(tls: TlsShape) -> Iterator[tuple[tuple[str, ...], Fault]]:
    for name in ("cert", "key", "client_ca"):
        keys = (name, f"{name}_file")
        given = [key for key in keys if getattr(tls, key)]
        if len(given) > 1:
            yield keys, Fault((name,), f"stands beside `{name}_file`; give one of them")
        if not given and name != "client_ca":
            yield keys, Fault((), f"needs `{name}_file` (or `{name}`)")


def _clients(tls: TlsShape) -> Iterator[tuple[tuple[str, ...], Fault]]:
    asked, path = tls.client_auth_type, ("client_auth_type",)
    if asked in UNVERIFIED:
        message = "Python's ssl takes no client certificate that it can't verify"
        yield path, Fault(path, f"{message}; use {VERIFYING} or VerifyClientCertIfGiven")
    for key in ("client_ca", "client_ca_file"):
        if asked == "NoClientCert" and getattr(tls, key):
            yield path, Fault((key,), f"does nothing without a `client_auth_type`, such as {VERIFYING}")
    if tls.client_allowed_sans and asked not in (VERIFYING, *UNVERIFIED):
        message = f"needs `client_auth_type: {VERIFYING}`; a client without a certificate would come in otherwise"
        yield path, Fault(("client_allowed_sans",), message)


def _suites(tls: TlsShape) -> Iterator[tuple[tuple[str, ...], Fault]]:
    known = (*SUITES, *SUITES_OF_TLS13)
    for index, suite in enumerate(tls.cipher_suites):
        if suite not in known:
            message = f"unknown or insecure cipher suite{near(suite, known)}; allowed: {', '.join(known)}"
            yield (), Fault(("cipher_suites", index), message)
    if tls.cipher_suites and tls.min_version != "TLS13" and set(tls.cipher_suites) <= set(SUITES_OF_TLS13):
        message = "has suites of TLS13 only; add one of TLS12, or say `min_version: TLS13`"
        yield ("min_version",), Fault(("cipher_suites",), message)
