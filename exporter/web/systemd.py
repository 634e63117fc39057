"""As a service of systemd: the sockets that it has opened for us, and word to it of how we are."""

import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import ExitStack, suppress

from exporter.web.listen import AddressError

FIRST = 3
"""The first file descriptor that is handed over."""

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def inherited(env: MutableMapping[str, str]) -> list[socket.socket]:
    """Take the listening sockets that this process was started with, if any; see sd_listen_fds(3).

    The variables are removed, so that no child takes them for its own.

    Raises:
        AddressError: what was handed over can't be listened on.
    """
    pid, count, names, _ = (env.pop(variable, "") for variable in VARIABLES)
    if pid != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()):
        raise AddressError(f"LISTEN_FDS is `{count}`, not the number of sockets that are handed over")
    names_of = dict(enumerate(names.split(":"), FIRST))
    with ExitStack() as stack:
        taken = [stack.enter_context(_take(fd, names_of.get(fd, ""))) for fd in range(FIRST, FIRST + int(count))]
        stack.pop_all()
    return taken


def _take(fd: int, name: str) -> socket.socket:
    what = f"the inherited file descriptor {fd}{f' ({name})' if name else ''}"
    try:
        os.set_inheritable(fd, False)  # noqa: FBT003 - the system's own call
        taken = socket.socket(fileno=fd)
    except OSError as error:
        raise AddressError(f"can't listen on {what}: {error.strerror}") from None
    # Asked in this order: only a stream has an answer to the second question everywhere.
    if taken.type != socket.SOCK_STREAM or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        taken.close()
        raise AddressError(f"can't listen on {what}: it is no listening stream socket")
    return taken


class Notifier:
    """Tells systemd how we are, where it wants to know; see sd_notify(3).

    Nothing waits for the telling or fails because of it: what can't be told at once is not told.
    """

    watchdog_interval: float | None
    """Seconds between two words that we are alive, half of what systemd allows; None where it does not ask."""

    def __init__(self, env: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.watchdog_interval = _watchdog_interval(env)
        self._address = _address(env.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address:
            # Kept open: word must get out even when clients have used up all file descriptors.
            with suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.settimeout(0)

    def ready(self, status: str = "") -> None:
        """Say that we serve, at the start or after a reload."""
        self._tell("READY=1", *_status(status))

    def reloading(self, status: str = "") -> None:
        """Say that the configuration is read again; ``ready`` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1_000_000)}", *_status(status))

    def stopping(self, status: str = "") -> None:
        """Say that we are about to end."""
        self._tell("STOPPING=1", *_status(status))

    def alive(self) -> None:
        """Hold off the watchdog."""
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say something that `systemctl status` shows."""
        self._tell(*_status(text))

    def close(self) -> None:
        """Say nothing any more."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._socket and lines:
            with suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(errors="replace"), self._address)


def _address(text: str) -> bytes:
    """Give the address of a socket, empty where it is none of a kind that we know; ``@`` stands for a NUL byte."""
    name = os.fsencode(text)
    return b"\0" + name[1:] if name[:1] == b"@" else name if name[:1] == b"/" else b""


def _status(text: str) -> tuple[str, ...]:
    """Give a status on one line, for each further one would be an order to systemd."""
    line = " ".join(text.split())
    return (f"STATUS={line}",) if line else ()


def _watchdog_interval(env: Mapping[str, str]) -> float | None:
    """See sd_watchdog_enabled(3)."""
    allowed = env.get("WATCHDOG_USEC", "")
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(allowed) / 2_000_000 if allowed.isascii() and allowed.isdecimal() and int(allowed) else None
