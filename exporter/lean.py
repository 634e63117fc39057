"""Imports that leave out what only a terminal wants.

structlog and httpx load rich and its lexers where these are there, some 3 MiB, for tracebacks and commands that nobody
here has. The tables of the exporter's own commands import rich themselves.
"""

import sys
from importlib import import_module

GREEDY = ("structlog", "httpx")
FOR_TERMINALS = ("rich", "pygments")


def load() -> None:
    """Import the greedy modules as if the others were not installed; what is loaded already stays as it is."""
    hidden = [name for name in FOR_TERMINALS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that there is no such module
    try:
        for name in GREEDY:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]
