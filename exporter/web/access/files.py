"""Files that are looked at again: what they held, and whether they still hold it."""

import hashlib
from pathlib import Path


class Files:
    """The files that something was made of. Relative paths begin at ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[Path, bytes] = {}

    def path(self, name: str) -> Path:
        """Give the path of a file that is named in another."""
        return self._folder / name

    def read(self, path: Path) -> bytes:
        """Read a file.

        Raises:
            OSError: it can't be read.
        """
        content = path.read_bytes()
        self._held[path] = _digest(content)
        return content

    def unchanged(self) -> bool:
        """Whether each file holds what it held.

        By content: a renewed file may have the old one's time and size, and these few are small.
        """
        return all(_now(path) == held for path, held in self._held.items())


def _now(path: Path) -> bytes | None:
    try:
        return _digest(path.read_bytes())
    except OSError:
        return None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
