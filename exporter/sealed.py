"""Files that show whether they are whole: a line that says what they are, a digest, and what it is of."""

import hashlib
from pathlib import Path

SIZE = hashlib.sha256().digest_size


def write(path: Path, kind: bytes, content: bytes) -> None:
    """Put a file in the place of the one before, whole; its directory is made where there is none.

    It is not forced to the disk: it is the process that may die, not the machine.

    Raises:
        OSError: it can't be written; the one before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(kind + hashlib.sha256(content).digest() + content)
    new.replace(path)


def read(path: Path, kind: bytes) -> bytes:
    """Give what a file holds.

    Raises:
        OSError: it can't be read.
        ValueError: it is no file of this kind, or is damaged.
    """
    if not path.is_file():
        raise ValueError("it is no file")
    whole = path.read_bytes()
    digest, content = whole[len(kind) : len(kind) + SIZE], whole[len(kind) + SIZE :]
    if not whole.startswith(kind) or digest != hashlib.sha256(content).digest():
        raise ValueError("it is damaged, or was written by something else")
    return content
