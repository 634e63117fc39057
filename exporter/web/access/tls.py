"""TLS contexts: one from the file's settings, and one that hands each connection to the newest."""

import ipaddress
import re
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from exporter.providers.base import Fault
from exporter.web.access.files import Files
from exporter.web.access.shape import CURVES, SUITES, TlsShape

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
OLD = ("TLS10", "TLS11")
VERIFY = {"VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}
MISMATCH = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


class Renewing(ssl.SSLContext):
    """A context whose connections each begin with the newest of others: a renewed certificate needs no restart.

    For the servers of asyncio and uvloop, which call ``wrap_bio`` once a connection.
    """

    def __new__(cls, _: Callable[[], ssl.SSLContext]) -> Self:
        """Make the shell; it has no certificate, so that nothing is served past ``wrap_bio``."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: Callable[[], ssl.SSLContext]) -> None:
        self._newest = newest

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - handed on as they are
        """Begin a connection."""
        return self._newest().wrap_bio(*args, **kwargs)


class _Refused(Exception):
    """What stands under a key can't be used."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault((key,), message)


def context(tls: TlsShape, files: Files, report: Callable[[Fault], None]) -> ssl.SSLContext | None:
    """Make a context of settings without faults; what can't be used of them is reported, and nothing made."""
    made, refused = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    for step in (_protocol, _pair, _clients):
        try:
            step(made, tls, files)
        except _Refused as refusal:
            refused.append(refusal.fault)
    for fault in refused:
        report(fault)
    return None if refused else made


def _protocol(made: ssl.SSLContext, tls: TlsShape, _: Files) -> None:
    suites = [SUITES[name] for name in tls.cipher_suites if name in SUITES]
    if tls.min_version in OLD:
        # Both use SHA-1, which OpenSSL 3 has at its lowest level of security only.
        suites = ["@SECLEVEL=0", *(suites or SUITES.values())]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions; the file asks for them
            made.minimum_version = VERSIONS[tls.min_version]
            made.maximum_version = VERSIONS[tls.max_version]
    except ValueError:
        raise _Refused("min_version", "this Python's OpenSSL has no such version, or none of max_version") from None
    if suites:
        try:
            made.set_ciphers(":".join(suites))
        except ssl.SSLError:
            raise _Refused("cipher_suites", "this Python's OpenSSL has none of these") from None
    for curve in tls.curve_preferences:
        made.set_ecdh_curve(CURVES[curve])
    if not tls.prefer_server_cipher_suites:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _pair(made: ssl.SSLContext, tls: TlsShape, files: Files) -> None:
    cert_key, cert = _given("cert", tls.cert, tls.cert_file, files)
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert_key, cert)
    key_key, key = _given("key", tls.key.get_secret_value() if tls.key else None, tls.key_file, files)

    def encrypted() -> NoReturn:
        raise _Refused(key_key, "is protected by a passphrase, which nobody could type here")

    try:
        with _path(tls.cert_file, cert, files) as cert_path, _path(tls.key_file, key, files) as key_path:
            # Without the function OpenSSL would ask the terminal for a passphrase.
            made.load_cert_chain(cert_path, key_path, encrypted)
    except ssl.SSLError as error:
        raise _Refused(key_key, _why_not(error, cert_key)) from None
    except OSError as error:
        raise _Refused(key_key, f"can't be handed to OpenSSL: {error.strerror}") from None


def _why_not(error: ssl.SSLError, cert_key: str) -> str:
    if error.reason in MISMATCH:
        return f"is not the key of the certificate in `{cert_key}`"
    if error.reason:
        return f"is refused by OpenSSL, or its certificate is: {error.reason.lower().replace('_', ' ')}"
    return "has no private key in PEM that can be read"


def _clients(made: ssl.SSLContext, tls: TlsShape, files: Files) -> None:
    if tls.client_auth_type not in VERIFY:
        return
    made.verify_mode = VERIFY[tls.client_auth_type]
    # As in Go, what the file names is trusted itself, be it an intermediate authority or a client's own certificate.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_ca or tls.client_ca_file:
        _trust(made, *_given("client_ca", tls.client_ca, tls.client_ca_file, files))
    else:
        made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if tls.client_allowed_sans:
        made.sslobject_class = _only(frozenset(tls.client_allowed_sans))


def _only(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    """Give the kind of connection that ends where the client's certificate has none of these names."""

    class Only(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if allowed.isdisjoint(_names(self.getpeercert() or {})):
                raise ssl.SSLCertVerificationError("no allowed name in the client's certificate")

    return Only


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Give a certificate's alternative names as Go writes them."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            yield str(ipaddress.ip_address(name.strip()))
        elif kind in ("DNS", "email", "URI"):
            yield name


def _given(name: str, text: str | None, file: str | None, files: Files) -> tuple[str, bytes]:
    """Give the key under which something stands, and its content."""
    if text is not None:
        return name, text.encode()
    try:
        return f"{name}_file", files.read(files.path(file or ""))
    except OSError as error:
        raise _Refused(f"{name}_file", f"{files.path(file or '')}: {error.strerror}") from None


def _trust(made: ssl.SSLContext, key: str, content: bytes) -> None:
    """Trust certificates. Around them a file may hold what is no ASCII, which OpenSSL does not take from memory."""
    try:
        made.load_verify_locations(cadata="\n".join(each.decode() for each in CERTIFICATE.findall(content)))
    except (ssl.SSLError, ValueError):
        raise _Refused(key, "has no certificate in PEM that can be read") from None


@contextmanager
def _path(file: str | None, content: bytes, files: Files) -> Iterator[Path]:
    """Give the path of a file, or of a passing one with what stands in the configuration: OpenSSL takes only paths."""
    if file:
        yield files.path(file)
        return
    with tempfile.NamedTemporaryFile() as passing:  # its mode is 0600
        passing.write(content)
        passing.flush()
        yield Path(passing.name)
