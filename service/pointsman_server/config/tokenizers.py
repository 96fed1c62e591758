"""Tokenizer files of a configuration: read once, at load; each must be one that the library can count with."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from pointsman_server.config.faults import Path
from pointsman_server.config.files import read_bounded
from pointsman_server.config.schema import Config, TokenizerFile

MAX_TOKENIZER_BYTES = 64 * 1024 * 1024
"""Of one file; the largest that are known have half of it."""
MAX_PACKED_BYTES = 32 * 1024 * 1024
"""Of all files together, compressed: that is how workers are handed them."""
_TOO_MUCH = (
    f"the tokenizer files so far have more than {MAX_PACKED_BYTES // 1024**2} MiB together, compressed"
)
_LEVEL = 1
"""Of packing: three to five times smaller, and a second for 40 MB."""

ParseTokenizer: TypeAlias = Callable[[bytes], object]
"""What counts with a file's content. Raises ValueError, with what is wrong, for a file that nothing can count with."""


class TokenizerContent:
    """What a file holds, and what this process has made of it."""

    def __init__(self, packed: bytes, digest: str, parsed: object | None = None) -> None:
        self.packed = packed
        self.digest = digest
        self._parsed = parsed

    def __reduce__(self) -> tuple[type[TokenizerContent], tuple[bytes, str]]:
        """Another process makes its own of it."""
        return TokenizerContent, (self.packed, self.digest)

    def parsed(self, parse: ParseTokenizer) -> object:
        """What counts with it; made at the first call, where reading the file has not made it."""
        if self._parsed is None:
            self._parsed = parse(zlib.decompress(self.packed))
        return self._parsed


class Tokenizers:
    """The tokenizer files of one configuration."""

    def __init__(self, files: Mapping[str, TokenizerContent]) -> None:
        self._files = dict(files)

    @property
    def digests(self) -> dict[str, str]:
        """What names each file's content, by the path that is written."""
        return {name: content.digest for name, content in self._files.items()}

    def content(self, tokenizer: TokenizerFile) -> TokenizerContent:
        """Of one; every tokenizer of the loaded configuration is there."""
        return self._files[tokenizer.file]


def unparsed(_: bytes) -> object:
    """Stands for the library where nobody counts."""
    return None


def tokenizers_of(config: Config) -> Iterator[tuple[Path, TokenizerFile]]:
    """Every tokenizer with its path."""
    for name, model in config.models.items():
        if model.tokenizer is not None:
            yield ("models", name, "tokenizer"), model.tokenizer


def read_tokenizers(config: Config, parse: ParseTokenizer) -> tuple[Tokenizers, list[tuple[Path, str]]]:
    """The files, and what is wrong with them."""
    files: dict[str, TokenizerContent] = {}
    faults: dict[str, str] = {}
    findings: list[tuple[Path, str]] = []
    packed = 0
    for path, tokenizer in tokenizers_of(config):
        name = tokenizer.file
        if name not in files and name not in faults:
            try:
                files[name] = _read(name, parse)
                packed += len(files[name].packed)
            except ValueError as error:
                faults[name] = str(error)
        if packed > MAX_PACKED_BYTES:
            faults.setdefault(name, f"file {name}: {_TOO_MUCH}")
        if name in faults:
            findings.append(((*path, "file"), faults[name]))
    return Tokenizers(files), findings


def _read(name: str, parse: ParseTokenizer) -> TokenizerContent:
    """Raises ValueError with what keeps the file from being used."""
    data = read_bounded(name, MAX_TOKENIZER_BYTES)
    try:
        parsed = parse(data)
    except ValueError as error:
        raise ValueError(f"file {name} cannot be used: {error}") from error
    return TokenizerContent(zlib.compress(data, _LEVEL), hashlib.sha256(data).hexdigest(), parsed)
