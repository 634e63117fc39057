"""The connections to one receiver of remote write: its log-in, its certificates, and the answer to one request."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

import exporter
from exporter.config.remote_write import RemoteWrite
from exporter.providers.advice import advice
from exporter.providers.auth import basic
from exporter.providers.base import Secret
from exporter.providers.scrub import scrub
from exporter.providers.wire import trust

HEADERS = {
    "content-encoding": "snappy",
    "content-type": "application/x-protobuf",
    "user-agent": f"video-analytics-exporter/{exporter.__version__}",
    "x-prometheus-remote-write-version": "0.1.0",
}
"""Go along with each request (remote write 1.0: https://prometheus.io/docs/specs/prw/remote_write_spec/)."""

HEARD = 4096
"""Bytes of an answer that are read: receivers explain themselves in a line."""

REDIRECT = range(300, 400)


class Unavailable(Exception):
    """There was no answer that decides; ``wait`` is what the receiver advises, in seconds. Its text has no secret."""

    def __init__(self, reason: str, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Answer:
    """A receiver's answer: its status, its words without secrets, and the pause in seconds that it asks for."""

    status: int
    said: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class _Login:
    """What the header ``Authorization`` is made of: with a ``user`` it is Basic."""

    secret: Secret
    user: str | None = None
    scheme: str = "Bearer"

    def header(self, secret: str) -> str:
        """Write the header's value."""
        return f"{self.scheme} {secret}" if self.user is None else basic(self.user, secret)


class Receiver:
    """Posts to one receiver. ``now`` gives Unix seconds; ``transport`` replaces the network in tests."""

    def __init__(
        self, settings: RemoteWrite, *, now: Callable[[], float], transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._now = now
        self._transport = transport
        self._login = _login(settings)
        self._given = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._secret = ""
        self._http: httpx.AsyncClient | None = None
        self._stamps: tuple[tuple[int, int], ...] = ()
        self._sending = 0

    async def post(self, body: bytes) -> Answer:
        """Send one request, and give the answer.

        Raises:
            Unavailable: none came; a file of the log-in or of TLS that can't be read counts as that.
        """
        headers, http = {**HEADERS, **self._given, **self._authorization()}, await self._opened()
        named = self._settings.tls_config.server_name
        self._sending += 1
        try:
            async with asyncio.timeout(self._settings.remote_timeout):
                request = http.build_request(
                    "POST",
                    self._settings.url,
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": named} if named else {},
                )
                response = await http.send(request, stream=True)
                try:
                    said = await _heard(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise Unavailable("timeout", f"no answer within {self._settings.remote_timeout:.3g} s") from None
        except httpx.HTTPError as error:
            raise Unavailable("network", self._shown(f"{type(error).__name__}: {error}".rstrip(": "))) from None
        finally:
            self._sending -= 1
        if response.status_code in REDIRECT:
            said = "a redirect, which is never followed; check `url`"
        wait = advice(response.status_code, response.headers, self._now()).wait
        return Answer(response.status_code, self._shown(said), wait)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._http:
            await self._http.aclose()

    def _authorization(self) -> Mapping[str, str]:
        if not self._login:
            return {}
        file = self._login.secret.file
        try:
            self._secret = self._login.secret.read()
        except OSError as error:
            raise Unavailable("login", f"the file {file} can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise Unavailable("login", f"the file {file} is no text") from None
        value = self._login.header(self._secret)
        if not self._secret or not (value.isascii() and value.isprintable()):
            raise Unavailable("login", "the password or token is empty, or no HTTP header can carry it")
        return {"authorization": value}

    async def _opened(self) -> httpx.AsyncClient:
        """Give the connections, made anew once a file of TLS is another one."""
        tls = self._settings.tls_config
        files = [file for file in (tls.ca_file, tls.cert_file, tls.key_file) if file]
        proxy = self._settings.proxy_url
        try:
            stamps = tuple(map(_stamp, files))
            if self._http and stamps != self._stamps and not self._sending:
                await self._http.aclose()
                self._http = None
            if self._http is None:
                verify, self._stamps = self._context(stamps), stamps
                self._http = httpx.AsyncClient(
                    verify=verify,
                    proxy=proxy.get_secret_value() if proxy else None,
                    timeout=None,  # noqa: S113 - one time-out is for the whole request, in post
                    transport=self._transport,
                    follow_redirects=False,
                )
        except OSError as error:
            names = ", ".join(map(str, files))
            raise Unavailable("tls", f"{names}: {error.strerror or 'no certificates or keys in it'}") from None
        return self._http

    def _context(self, stamps: tuple[tuple[int, int], ...]) -> ssl.SSLContext:
        tls = self._settings.tls_config
        if not tls.cert_file and not tls.insecure_skip_verify:
            return trust(tls.ca_file, stamps[0] if tls.ca_file else (0, 0))
        context = ssl.create_default_context(cafile=tls.ca_file) if tls.ca_file else httpx.create_ssl_context()
        if tls.insecure_skip_verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        return context

    def _shown(self, text: str) -> str:
        """Give a text as it can be shown: without what the receiver was sent in confidence."""
        proxy = self._settings.proxy_url
        password = httpx.URL(proxy.get_secret_value()).password if proxy else ""
        written = self._login.header(self._secret).partition(" ")[2] if self._login and self._secret else ""
        return scrub(text, filter(None, (self._secret, written, password, *self._given.values())))


def _login(settings: RemoteWrite) -> _Login | None:
    if own := settings.basic_auth:
        return _Login(Secret.of(own.password, own.password_file), user=own.username)
    if given := settings.authorization:
        return _Login(Secret.of(given.credentials, given.credentials_file), scheme=given.type)
    if settings.bearer_token is not None or settings.bearer_token_file:
        return _Login(Secret.of(settings.bearer_token, settings.bearer_token_file))
    return None


def _stamp(file: Path) -> tuple[int, int]:
    """Give what tells a file from the one that it replaced."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size


async def _heard(response: httpx.Response) -> str:
    """Give the beginning of what a receiver says."""
    said = b""
    async for part in response.aiter_bytes():
        said += part
        if len(said) >= HEARD:
            break
    return said[:HEARD].decode(errors="replace")
