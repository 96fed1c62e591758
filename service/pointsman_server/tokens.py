"""Counts the tokens of a question in this process, with the tokenizer file of its model; or says how it estimated.

Counting takes time: it is done in few threads of its own, which the event loop waits for, and in pieces, so that a call
whose caller has gone is soon let go of.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar, assert_never

from pointsman_server.clock import Clock
from pointsman_server.context import ChatTemplate
from pointsman_server.domain import (
    Call,
    Conversation,
    Media,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    Refusal,
    Role,
    Text,
    TokenCount,
    TokenIds,
    Tool,
    ToolCall,
    ToolResult,
    Warning,
)
from pointsman_server.routing.load import (
    MEDIA_TOKENS,
    careful_message_tokens,
    careful_tool_tokens,
    estimated_prompt_tokens,
)
from pointsman_server.routing.plan import TargetView, Weights
from pointsman_server.upstreams.translation.prompts import conversation_text
from pointsman_server.upstreams.translation.vocabulary import UncountableError, Vocabulary

MAX_PIECE_BYTES = 1024 * 1024
"""Of text (UTF-8) that is cut into tokens at once. A text that is longer is counted in pieces, which makes the count an
estimate. The worst megabyte, a token for each byte, takes 1.5 s and 160 MB; one of common text a third of that."""
_PIECE = MAX_PIECE_BYTES // 4
"""Characters that never have more bytes."""
_THREADS = 2
_BLANK_WITHIN = 256
"""Characters before the end of a piece in which a blank is looked for: most tokenizers cut there anyway."""
_READ = (
    "prompt", "conversation", "tools", "tool_choice", "output_format", "generation.reasoning", "model",
)  # fmt: skip
"""Fields that a model may read of: what a target changes about them changes the count."""

_T = TypeVar("_T")


class AbandonedError(Exception):
    """Nobody waits for a count any more."""


class CountingThreads:
    """Where counting is done."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="tokens")

    async def run(self, work: Callable[[Callable[[], bool]], _T]) -> _T:
        """What the work returns; it is given a question to ask between its steps: whether it is to stop."""
        gone = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, gone.is_set)
        finally:
            gone.set()

    def close(self) -> None:
        """Begin nothing any more; what runs stops by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class FileTokenizer:
    """A model's tokenizer file, with what is known of where the model runs."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate | None, *,
        special_tokens: bool | None, targets: Sequence[TargetView], threads: CountingThreads, clock: Clock,
    ) -> None:  # fmt: skip
        """`special_tokens`: whether servers put the tokenizer's own around a conversation, too; None: not known."""
        self._vocabulary = vocabulary
        self._template = template
        self._special = bool(special_tokens)
        self._sure = special_tokens is not None or not vocabulary.special_tokens
        # Endpoints of one backend are alike.
        self._places = tuple({(view.target.backend, view.target.model): view for view in targets}.values())
        self._uniform = all(view.target.chat_template == template for view in targets)
        self._threads = threads
        self._clock = clock

    async def count(self, call: Call) -> TokenCount:
        """As the protocol says."""
        return await self._threads.run(partial(self._count, call, self._clock.wall()))

    async def weigh(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Weights | None:
        """As the protocol says."""
        return await self._threads.run(partial(self._weigh, messages, tools))

    def _weigh(
        self, messages: Sequence[Message], tools: Sequence[Tool], stopped: Callable[[], bool]
    ) -> Weights | None:
        tokens = _Counter(self._vocabulary, stopped).tokens
        try:
            return Weights(
                tuple(careful_message_tokens(message, tokens) for message in messages),
                sum(careful_tool_tokens(tool, tokens) for tool in tools),
            )
        except UncountableError:
            return None

    def _count(self, call: Call, wall_s: float, stopped: Callable[[], bool]) -> TokenCount:
        counter = _Counter(self._vocabulary, stopped)
        try:
            tokens, exact = self._counted(call, counter, wall_s)
        except UncountableError:
            return TokenCount(estimated_prompt_tokens(call), exact=False)
        return TokenCount(tokens, exact and counter.whole)

    def _counted(self, call: Call, counter: _Counter, wall_s: float) -> tuple[int, bool]:
        match call.input:
            case TokenIds(ids):
                return len(ids), True
            case Prompt(text):
                return counter.tokens(text, special=True), not self._changed(call)
            case Conversation(messages) if self._template is not None:
                text = conversation_text(
                    call,
                    [_said(message) for message in messages],
                    self._template,
                    with_tools=self._takes_tools(call),
                    wall_s=wall_s,
                )
                tokens = counter.tokens(text, special=self._special) + MEDIA_TOKENS * _media(messages)
                exact = self._sure and self._uniform and _is_plain(messages) and not self._changed(call)
                return tokens, exact
            case Conversation():
                return estimated_prompt_tokens(call, counter.tokens), False
            case _:
                assert_never(call.input)

    def _changed(self, call: Call) -> bool:
        """Whether the model may read anything else than what is counted, at any of its targets."""
        generation = call.generation
        return bool(
            call.provider_options
            or generation.reasoning is not None
            or generation.truncate_prompt_tokens is not None
            or any(warning.field.startswith(_READ) for warning in self._warnings(call))
        )

    def _takes_tools(self, call: Call) -> bool:
        """Whether any target offers them."""
        return any(
            all(warning.field != "tools" for warning in view.unsupported(call)) for view in self._places
        )

    def _warnings(self, call: Call) -> Iterator[Warning]:
        for view in self._places:
            yield from view.unsupported(call)


class _Counter:
    """Counts texts, and notes whether each was counted as a whole."""

    def __init__(self, vocabulary: Vocabulary, stopped: Callable[[], bool]) -> None:
        self._vocabulary = vocabulary
        self._stopped = stopped
        self.whole = True

    def tokens(self, text: str, *, special: bool = False) -> int:
        """Of one text. Raises UncountableError, and AbandonedError when nobody waits any more."""
        # Half a character (a lone surrogate) is none that the library would take.
        data = text.encode(errors="replace")
        text = data.decode()
        if len(data) <= MAX_PIECE_BYTES:
            return self._piece(text, special=special)
        self.whole = False
        pieces = _pieces(text)
        return self._piece(next(pieces), special=special) + sum(
            self._piece(piece, special=False) for piece in pieces
        )

    def _piece(self, text: str, *, special: bool) -> int:
        if self._stopped():
            raise AbandonedError
        return self._vocabulary.count(text, special=special) if text or special else 0


def _pieces(text: str) -> Iterator[str]:
    """Cut ahead of blanks where there are any."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            blank = text.rfind(" ", max(start + 1, end - _BLANK_WITHIN), end)
            end = blank if blank > 0 else end
        yield text[start:end]
        start = end


def _said(message: Message) -> Message:
    """Without what cannot be said in a text."""
    if not any(isinstance(part.content, Media) for part in message.parts):
        return message
    parts = tuple(
        replace(part, content=Text("")) if isinstance(part.content, Media) else part for part in message.parts
    )
    return replace(message, parts=parts)


def _media(messages: Iterable[Message]) -> int:
    """How many pictures and the like there are."""
    return sum(
        isinstance(inner.content, Media)
        for message in messages
        for part in message.parts
        for inner in (part.content.parts if isinstance(part.content, ToolResult) else (part,))
    )


def _is_plain(messages: Sequence[Message]) -> bool:
    """Whether every server writes the conversation in the same words, as far as its template is the same.

    They differ about developers, about several texts in one message, about what only its maker can read, and about an
    answer that is to be continued.
    """
    return messages[-1].role is not Role.ASSISTANT and all(
        message.role is not Role.DEVELOPER and _has_plain_parts(message.parts) for message in messages
    )


def _has_plain_parts(parts: Sequence[Part]) -> bool:
    texts = 0
    for part in parts:
        match part.content:
            case Text():
                texts += 1
            case ToolCall():
                pass
            case ToolResult(parts=inner, is_error=failed):
                if failed or len(inner) > 1 or not all(isinstance(one.content, Text) for one in inner):
                    return False
            case Media() | ProviderPart() | Reasoning() | Refusal():
                return False
            case _:
                assert_never(part.content)
    return texts <= 1
