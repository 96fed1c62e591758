"""Files that a configuration names: read whole, within a bound, or told why not."""

from __future__ import annotations

from pathlib import Path

_KIB = 1024


class FileFault(ValueError):
    """A file that cannot be used; its text names the file, never the content."""


def read_bounded(name: str, most_bytes: int) -> bytes:
    """What the file holds. Raises FileFault where it cannot be read, or holds more."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise FileFault(f"file {name} cannot be read: {error.strerror or type(error).__name__}") from error
    if len(data) > most_bytes:
        raise FileFault(f"file {name} is larger than {_size(most_bytes)}")
    return data


def read_text(name: str, most_bytes: int) -> str:
    """The text that it holds, in UTF-8. Raises FileFault for anything else."""
    try:
        return read_bounded(name, most_bytes).decode()
    except UnicodeDecodeError:
        raise FileFault(f"file {name} is not UTF-8 text") from None


def _size(count: int) -> str:
    kib = count // _KIB
    return f"{kib // _KIB} MiB" if kib >= _KIB else f"{kib} KiB"
