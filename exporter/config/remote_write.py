"""``remote_write:``, where history is delivered to. The keys are Prometheus' own."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from exporter.config.units import Duration
from exporter.providers.base import Fault
from exporter.providers.shapes import ProxyUrl, Strict, Text, plain_url

RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-authorization",
        "transfer-encoding",
        "user-agent",
        "x-prometheus-remote-write-version",
    }
)
"""What the protocol, the connection or the log-in sets; Prometheus refuses the same."""

HEADER_CHARACTERS = frozenset("!#$%&'*+-.^_`|~")
"""What a header's name may have besides letters and digits (RFC 9110, section 5.6.2)."""

LOGINS = ("basic_auth", "authorization", "bearer_token", "bearer_token_file")


def _header(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("has characters that no HTTP header can carry")
    return value


def _filled(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("must not be empty")
    return value


def _one(value: object) -> object:
    """Let one receiver stand for a list of one."""
    return [value] if isinstance(value, dict) else value


HeaderValue = Annotated[SecretStr, AfterValidator(_header)]
Password = Annotated[SecretStr, AfterValidator(_filled)]
Token = Annotated[HeaderValue, AfterValidator(_filled)]


class BasicAuth(Strict):
    """Name and password."""

    username: Text = Field(description="Name of the log-in.")
    password: Password | None = Field(default=None, description="Its password.")
    password_file: Path | None = Field(default=None, description="File that holds it; read again for each request.")


class Authorization(Strict):
    """The header ``Authorization``."""

    type: Text = Field(default="Bearer", description="What stands before the credentials.")
    credentials: Token | None = Field(default=None, description="The token.")
    credentials_file: Path | None = Field(default=None, description="File that holds them; read for each request.")


class TlsConfig(Strict):
    """How the receiver's certificate is checked, and which one is shown to it."""

    ca_file: Path | None = Field(default=None, description="PEM file of the authorities to trust.")
    cert_file: Path | None = Field(default=None, description="PEM file of the exporter's own certificate.")
    key_file: Path | None = Field(default=None, description="PEM file of its key.")
    server_name: Text | None = Field(default=None, description="Name that the receiver's certificate must have.")
    insecure_skip_verify: bool = Field(default=False, description="Take any certificate.")


class RemoteWrite(Strict):
    """A receiver of Prometheus' remote write protocol."""

    url: Annotated[str, plain_url("`basic_auth`")] = Field(description="Prometheus' ends with /api/v1/write.")
    name: Text | None = Field(default=None, description="Label `receiver` of its own metrics; the URL if left out.")
    remote_timeout: Duration = Field(default=30, description="One request, all of it.")
    headers: dict[str, HeaderValue] = Field(default={}, description="Headers that go along with each request.")
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    bearer_token: Token | None = Field(default=None, description="Short for `authorization: {credentials: …}`.")
    bearer_token_file: Path | None = Field(default=None, description="The same, from a file.")
    tls_config: TlsConfig = TlsConfig()
    proxy_url: ProxyUrl | None = Field(default=None, description="Proxy for all requests; it may hold a password.")

    @property
    def label(self) -> str:
        """What the receiver is called."""
        return self.name or self.url


Receivers = Annotated[list[RemoteWrite], BeforeValidator(_one), Field(min_length=1)]


class Delivery(Strict):
    """The part of the file that is about receivers, for its JSON Schema."""

    remote_write: Receivers | None = Field(default=None, description="Where the queries' history is delivered to.")


def receiver_faults(receiver: RemoteWrite, wrong: AbstractSet[str]) -> Iterator[Fault]:
    """Say what is wrong with a receiver beyond its shape; paths are relative to it.

    Keys that are ``wrong`` themselves are not in the shape, and need no second word.
    """
    given = [key for key in LOGINS if getattr(receiver, key) is not None]
    for key in given[1:]:
        yield Fault((key,), f"stands beside `{given[0]}`; a receiver has one log-in")
    basic = receiver.basic_auth if "basic_auth" not in wrong else None
    if basic:
        yield from _one_of(basic, "basic_auth", "password", "password_file")
    authorization = receiver.authorization if "authorization" not in wrong else None
    if authorization:
        yield from _one_of(authorization, "authorization", "credentials", "credentials_file")
        if authorization.type.lower() == "basic":
            yield Fault(("authorization", "type"), "is for tokens; name and password stand under `basic_auth`")
    tls = receiver.tls_config
    if "tls_config" not in wrong and (tls.cert_file is None) != (tls.key_file is None):
        missing = "cert_file" if tls.cert_file is None else "key_file"
        yield Fault(("tls_config",), f"needs `{missing}` too: a certificate and its key go together")
    yield from _header_faults(receiver.headers)


def _one_of(login: BasicAuth | Authorization, place: str, *keys: str) -> Iterator[Fault]:
    given = [key for key in keys if getattr(login, key) is not None]
    if not given:
        yield Fault((place,), f"needs `{keys[0]}` or `{keys[1]}`")
    elif len(given) > 1:
        yield Fault((place, keys[1]), f"stands beside `{keys[0]}`; one of them is enough")


def _header_faults(headers: Mapping[str, SecretStr]) -> Iterator[Fault]:
    for name in headers:
        if name.lower() in RESERVED_HEADERS:
            hint = "; use `basic_auth` or `authorization`" if name.lower() == "authorization" else ""
            yield Fault(("headers", name), f"is set by the exporter{hint}")
        elif not name or not all(char.isascii() and (char.isalnum() or char in HEADER_CHARACTERS) for char in name):
            yield Fault(("headers", name), "is no name of an HTTP header")
