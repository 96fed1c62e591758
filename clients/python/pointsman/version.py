"""The installed version of this library, as its distribution says it."""

from __future__ import annotations

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("pointsman")
    except metadata.PackageNotFoundError:  # Run from a source tree that was never installed.
        return "0"


__version__ = _installed()
