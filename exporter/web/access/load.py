"""From the file to the rules of access, or to every fault that it has."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from exporter.config import ConfigError, document
from exporter.config.shape import check
from exporter.providers.base import Fault
from exporter.web.access import tls
from exporter.web.access.basic import Users
from exporter.web.access.files import Files
from exporter.web.access.headers import Headers
from exporter.web.access.shape import TlsShape, WebShape, header_faults, tls_faults

TLS, HTTP = "tls_server_config", "http_server_config"
SHOWN = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]{0,63}")
"""What a key looks like. Others may be a secret whose key lacks a blank behind its colon."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask, over what, and what every answer says; ``files`` is what all this was read from."""

    context: ssl.SSLContext | None
    users: Users | None
    headers: Headers
    http2: bool
    files: Files


def load(path: Path) -> Rules:
    """Read the file and what it names.

    Raises:
        ConfigError: with every fault.
    """
    files = Files(path.parent)
    try:
        text = files.read(path).decode()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; name the file with --web.config.file"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is no UTF-8 text"]) from None
    parsed = document.read(text)
    faults = list(parsed.faults)
    rules = _rules({} if parsed.data is None else parsed.data, files, faults)
    if faults:
        located = sorted({(parsed.line(fault.path), _where(fault.path), fault.message) for fault in faults})
        raise ConfigError([f"{path}:{line}: {where}{message}" for line, where, message in located])
    return rules


def _where(path: tuple[str | int, ...]) -> str:
    shown = [step for step in path if isinstance(step, int) or SHOWN.fullmatch(step)]
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in shown)
    return f"{steps.lstrip('.')}: " if steps else ""


def _rules(data: object, files: Files, faults: list[Fault]) -> Rules:
    shape, _ = check(WebShape, data, (), faults.append)
    http = shape.http_server_config
    headers = http.headers if http else {}
    faults += [Fault((HTTP, "headers", *fault.path), fault.message) for fault in header_faults(headers)]
    users = {name: hashed.get_secret_value() for name, hashed in (shape.basic_auth_users or {}).items()}
    return Rules(
        context=_context(shape.tls_server_config, files, faults),
        users=Users(users) if users else None,
        headers=tuple((name.lower().encode(), value.encode()) for name, value in headers.items() if value),
        http2=bool(http and http.http2),
        files=files,
    )


def _context(shape: TlsShape | None, files: Files, faults: list[Fault]) -> ssl.SSLContext | None:
    if shape is None or not shape.given:
        return None
    wrong = {str(fault.path[1]) for fault in faults if fault.path[:1] == (TLS,) and len(fault.path) > 1}
    found = list(tls_faults(shape, wrong))
    context = None if wrong or found else tls.context(shape, files, found.append)
    faults += [Fault((TLS, *fault.path), fault.message) for fault in found]
    return context
