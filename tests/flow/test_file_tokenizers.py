"""Counting in threads: what the library refuses, and what happens when nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer, models

from pointsman_server.domain import Call, Message, Part, Prompt, Role, Text, TokenCount, Tool
from pointsman_server.routing.load import estimated_prompt_tokens
from pointsman_server.routing.plan import Weights
from pointsman_server.tokens import MAX_PIECE_BYTES, CountingThreads, FileTokenizer
from pointsman_server.upstreams.translation.vocabulary import Vocabulary
from tests.fakes.clock import FakeClock
from tests.fakes.tokenizer import counted, make_tokenizer


@pytest.fixture
def threads() -> Iterator[CountingThreads]:
    made = CountingThreads()
    yield made
    made.close()


def over(vocabulary, threads: CountingThreads) -> FileTokenizer:
    return FileTokenizer(
        vocabulary, None, special_tokens=None, targets=(), threads=threads, clock=FakeClock()
    )


class Held:
    """A tokenizer that begins a piece and goes on when it is told to."""

    special_tokens = 0

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.pieces: list[int] = []

    def count(self, text: str, *, special: bool) -> int:
        self.pieces.append(len(text))
        self.begun.release()
        assert self.go.wait(20)
        return 1


async def test_half_a_character_counts_as_the_mark_that_stands_for_it(threads):
    """The library takes none, and nothing that comes over gRPC holds any."""
    count = await over(Vocabulary(make_tokenizer()), threads).count(Call("m", Prompt("two \ud800 two")))
    assert count == TokenCount(counted("two ? two"), exact=True)


async def test_what_the_tokenizer_has_no_tokens_for_is_estimated(threads):
    """From its length, as without a tokenizer; windows, too."""
    words = Vocabulary(Tokenizer(models.WordLevel({"a": 0}, unk_token="[UNK]")))
    call = Call("m", Prompt("nothing that it knows"))
    assert await over(words, threads).count(call) == TokenCount(estimated_prompt_tokens(call), exact=False)
    message = Message(Role.USER, (Part(Text("nothing")),))
    assert await over(words, threads).weigh((message,), ()) is None


async def test_messages_and_tools_are_weighed(threads):
    """Their tokens, with 4 for each message and 8 for each tool."""
    messages = tuple(Message(Role.USER, (Part(Text(text)),)) for text in ("two plus two", "", "four"))
    tool = Tool("look", "around", "{}")
    assert await over(Vocabulary(make_tokenizer()), threads).weigh(messages, (tool,)) == Weights(
        (4 + counted("two plus two"), 4, 4 + counted("four")), 8 + counted("lookaround{}")
    )


async def test_a_count_that_nobody_waits_for_stops_at_the_next_piece(threads):
    """And gives its thread to others; one that had no thread yet never begins."""
    held = Held()
    tokenizer = over(held, threads)
    long = Call("m", Prompt("a b" * MAX_PIECE_BYTES))
    running = [asyncio.ensure_future(tokenizer.count(long)) for _ in range(2)]
    for _ in running:
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
    queued = asyncio.ensure_future(tokenizer.count(long))
    await asyncio.sleep(0)
    for task in (*running, queued):
        task.cancel()
    await asyncio.gather(*running, queued, return_exceptions=True)
    assert all(task.cancelled() for task in (*running, queued))
    held.go.set()
    assert await tokenizer.count(Call("m", Prompt("a"))) == TokenCount(1, exact=True)
    assert len(held.pieces) == 3


async def test_pieces_are_all_of_the_text(threads):
    """Cut ahead of blanks where there are any, and anywhere else where not; never more than a MiB."""
    held = Held()
    held.go.set()
    for text in ("ab cd " * 200_000, "x" * 2_500_000, "\U0001f600" * 400_000, " " * 1_500_000):
        held.pieces.clear()
        count = await over(held, threads).count(Call("m", Prompt(text)))
        assert not count.exact
        assert (sum(held.pieces), len(held.pieces)) == (len(text), count.input_tokens)
        assert max(held.pieces) <= MAX_PIECE_BYTES // 4
