"""The rules of access as they are now: the file and its certificates are looked at again while the exporter runs."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import structlog
from starlette.types import ASGIApp

from exporter.config import ConfigError
from exporter.web.access.basic import protect
from exporter.web.access.headers import add
from exporter.web.access.load import Rules, load
from exporter.web.access.tls import Renewing

log = structlog.get_logger(__name__)

PAUSE = 1.0
"""Seconds between two looks at the files."""


def access(path: Path, *, clock: Callable[[], float]) -> "Access":
    """Read ``--web.config.file``.

    Args:
        path: the file.
        clock: gives monotonic seconds.

    Raises:
        ConfigError: with every fault of the file, and of the certificates that it names.
    """
    rules = load(path)
    if rules.http2:
        log.warning("http2 is on in the web configuration, but only HTTP/1.1 is served", file=str(path))
    return Access(path, rules, clock)


class Access:
    """Guards an application. Each request and each connection goes by the newest rules that can be used."""

    def __init__(self, path: Path, rules: Rules, clock: Callable[[], float]) -> None:
        self._path = path
        self._rules = rules
        self._clock = clock
        self._looked = clock()
        self._complained: tuple[str, ...] = ()

    @property
    def tls(self) -> Callable[[], ssl.SSLContext] | None:
        """Make the context to serve with; ``None`` where the file has no TLS."""
        return (lambda: Renewing(self._context)) if self._rules.context else None

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Give an application that only users reach, and whose every answer has the headers."""
        guarded = protect(app, lambda: self._now().users)
        return add(guarded, lambda: self._now().headers)

    def _context(self) -> ssl.SSLContext:
        # Rules without TLS never follow rules with it.
        return cast("ssl.SSLContext", self._now().context)

    def _now(self) -> Rules:
        now = self._clock()
        if now - self._looked >= PAUSE:
            self._looked = now
            self._look()
        return self._rules

    def _look(self) -> None:
        if self._rules.files.unchanged():
            self._complained = ()
            return
        try:
            fresh = load(self._path)
            self._refuse_switches(fresh)
        except ConfigError as error:
            if error.lines != self._complained:
                found = "; ".join(error.lines)
                log.error("web configuration not renewed, the last good one stays", errors=found)  # noqa: TRY400 - no bug
            self._complained = error.lines
        else:
            self._rules, self._complained = fresh, ()
            log.info("web configuration renewed", file=str(self._path))

    def _refuse_switches(self, fresh: Rules) -> None:
        """Leave TLS as it was at the start, and let nobody in without a password where one was needed.

        A file that is just being written looks empty, and an empty one is allowed.
        """
        if bool(self._rules.context) != bool(fresh.context):
            raise ConfigError([f"{self._path}: TLS can be switched on and off only by a restart"])
        if self._rules.users and not fresh.users:
            raise ConfigError([f"{self._path}: basic_auth_users can be dropped only by a restart"])
