"""A conversation at the terminal: each answer appears as it comes, and Ctrl-C ends the answer, not the conversation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pointsman import v1
from pointsman.answer import Generation
from pointsman.client import Client, Stream
from pointsman.conversation import system as system_message
from pointsman.conversation import user
from pointsman.errors import PointsmanError
from pointsman.params import GenerateParams
from pointsman.terminal import Terminal

HELP = "Ctrl-C ends an answer, Ctrl-D the conversation; /new forgets what was said."


class Chat:
    """One conversation with one model. A turn whose answer did not come whole is forgotten."""

    def __init__(
        self,
        client: Client,
        *,
        model: str,
        system: str = "",
        timeout_s: float | None = None,
        options: GenerateParams | None = None,
    ) -> None:
        self._client = client
        self._model = model
        self._timeout_s = timeout_s
        self._options: GenerateParams = options or {}
        self._opening = [system_message(system)] if system else []
        self._said: list[v1.Message] = []

    def ask(self, prompt: str, terminal: Terminal) -> None:
        """One turn."""
        turn = user(prompt)
        conversation = [*self._opening, *self._said, turn]
        begun = time.monotonic()
        with self._client.stream(
            conversation, model=self._model, timeout_s=self._timeout_s, **self._options
        ) as stream:
            first_s = _print(stream, terminal, begun)
        terminal.note(_account(stream.result, first_s, time.monotonic() - begun))
        self._said += [turn, stream.result.message]

    def converse(self, terminal: Terminal, describe: Callable[[PointsmanError], str]) -> None:
        """Turn after turn, until the input ends."""
        terminal.note(f"{self._model}. {HELP}")
        while True:
            try:
                line = terminal.ask("> ")
            except KeyboardInterrupt:
                terminal.note("")
                continue
            if line is None or line.strip() == "/quit":
                return
            if line.strip() == "/new":
                self._said.clear()
            elif line.strip():
                self._turn(line, terminal, describe)

    def _turn(self, line: str, terminal: Terminal, describe: Callable[[PointsmanError], str]) -> None:
        try:
            self.ask(line, terminal)
        except KeyboardInterrupt:
            terminal.note("[cancelled]")
        except PointsmanError as error:
            terminal.note(describe(error))


def _print(stream: Stream, terminal: Terminal, begun: float) -> float | None:
    """Shows the text; how long the first of it took. The line is ended whatever happens."""
    first_s = None
    try:
        for event in stream:
            text = event.text or event.refusal
            if text:
                first_s = time.monotonic() - begun if first_s is None else first_s
                terminal.say(text)
    finally:
        if first_s is not None:
            terminal.say("\n")
    return first_s


def _account(answer: Generation, first_s: float | None, total_s: float) -> str:
    usage = answer.usage
    parts = [answer.backend or answer.model]
    counts: Mapping[str, int | None] = {"in": usage.input_tokens, "out": usage.output_tokens}
    tokens = [f"{count} {way}" for way, count in counts.items() if count is not None]
    parts += [f"{', '.join(tokens)} tokens{' (estimated)' if usage.estimated else ''}"] if tokens else []
    parts += [f"first {first_s:.2f} s"] if first_s is not None else []
    parts += [f"total {total_s:.2f} s"]
    if answer.finish_reason not in {"stop", None}:
        parts.append(f"ended by {answer.finish_reason}")
    parts += [f"warning {warning.code} {warning.field}".rstrip() for warning in answer.warnings]
    return f"[{' | '.join(parts)}]"
