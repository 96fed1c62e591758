"""A tokenizer file of Hugging Face's kind -> how many tokens a text is. The only place that knows the library.

The library is imported when the first file is read, and not before: it is an extra, and takes 7 MB and a tenth of a
second. Nothing here fetches anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pointsman_server.upstreams.translation.faults import bounded_message

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MISSING = "needs a library that is not installed: pip install 'pointsman-server[tokenizers]'"

_SAMPLE = "Hello, world! 1 + 1 = 2\n\t\u00e9 \u4e2d \U0001f600"
"""A file that cannot cut this is good for no text of people."""


class UncountableError(Exception):
    """The tokenizer has no tokens for a text."""


class Vocabulary:
    """One tokenizer; safe to use from several threads at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # What a model was trained with may cut or fill up what it is given.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.special_tokens = tokenizer.num_special_tokens_to_add(is_pair=False)
        """How many it puts around a text."""

    def count(self, text: str, *, special: bool) -> int:
        """The tokens of a text, `special` ones around it included or not. Raises UncountableError.

        Text that looks like a special token counts as one, as it would in a prompt.
        """
        with _faults_of_the_library():
            # A batch of one: the library holds Python's lock while it encodes a single text, but not for a batch. The
            # fast kind keeps no positions, which saves a third of the memory.
            [encoding] = self._tokenizer.encode_batch_fast([text], add_special_tokens=special)
        return len(encoding)


_KNOWN: WeakValueDictionary[bytes, Vocabulary] = WeakValueDictionary()
"""By the digest of the file; so that a reload parses what has changed, and nothing else."""


def vocabulary(data: bytes) -> Vocabulary:
    """What counts with this file's content. Raises ValueError with what is wrong with it.

    Parsing holds Python's lock: a tenth of a second for each megabyte of the file.
    """
    digest = hashlib.sha256(data).digest()
    known = _KNOWN.get(digest)
    if known is None:
        known = _KNOWN[digest] = _parsed(data)
    return known


def _parsed(data: bytes) -> Vocabulary:
    # Else the first count starts a thread for each core, for batches that are never asked for.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        with _faults_of_the_library():
            made = Vocabulary(Tokenizer.from_buffer(data))
        made.count(_SAMPLE, special=True)
    except UncountableError as error:
        raise ValueError(f"it is no tokenizer file: {bounded_message(str(error))}") from error
    return made


@contextlib.contextmanager
def _faults_of_the_library() -> Iterator[None]:
    """Its faults are bare Exceptions, and where it panics not even those."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UncountableError(str(error)) from error
