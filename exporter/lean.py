"""Imports that leave out what a daemon does not want.

structlog and httpx load rich and its lexers where these are there, some 3 MiB, for tracebacks and commands that nobody
here has, and greenlet for a kind of threads. The tables of the exporter's own commands import rich themselves.
"""

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

GREEDY = ("structlog", "httpx")
UNWANTED = ("rich", "pygments", "greenlet")


def load() -> None:
    """Import the greedy modules as if the others were not installed; what is loaded already stays as it is."""
    hidden = [name for name in UNWANTED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that there is no such module
    try:
        for name in GREEDY:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]


def load_transport() -> None:
    """Import aiohttp without the authorities' certificates, 0.8 MiB of them.

    It reads them at import, for connections that bring no context of their own; ours all do, and others would trust
    nobody.
    """
    with _trusting_nobody():
        import_module("aiohttp")


@contextmanager
def _trusting_nobody() -> Iterator[None]:
    usual = ssl.create_default_context
    ssl.create_default_context = lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # type: ignore[assignment, misc]  # fewer
    try:
        yield
    finally:
        ssl.create_default_context = usual
