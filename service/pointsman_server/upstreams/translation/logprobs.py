"""Probabilities of tokens in the forms that OpenAI gave them, which others have taken over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pointsman_server.domain import TokenLogprob
from pointsman_server.upstreams.translation.documents import as_list, log_probability
from pointsman_server.upstreams.translation.faults import clean_text


def map_logprobs(value: object) -> tuple[TokenLogprob, ...]:
    """Those of a piece of an answer; nothing for anything else. Numbers are bounded to what a 32-bit float can hold."""
    if not isinstance(value, dict):
        return ()
    if isinstance(value.get("token_logprobs"), list):
        return tuple(_map_prompt_logprobs(value))
    items = [*as_list(value.get("content")), *as_list(value.get("refusal"))]
    return tuple(_map_logprob(item) for item in items if isinstance(item, dict))


def _map_logprob(item: dict[str, Any]) -> TokenLogprob:
    others = [inner for inner in as_list(item.get("top_logprobs")) if isinstance(inner, dict)]
    token, raw = item.get("token"), item.get("bytes")
    return TokenLogprob(
        token=clean_text(token) if isinstance(token, str) else "",
        logprob=log_probability(item.get("logprob")),
        token_bytes=bytes(raw)
        if isinstance(raw, list) and all(type(b) is int and 0 <= b <= 255 for b in raw)
        else b"",
        top=tuple(_map_logprob({**inner, "top_logprobs": None}) for inner in others),
    )


def _map_prompt_logprobs(value: dict[str, Any]) -> Iterator[TokenLogprob]:
    """The form of completions: parallel lists, alternatives as objects."""
    tops = as_list(value.get("top_logprobs"))
    pairs = zip(as_list(value.get("tokens")), as_list(value.get("token_logprobs")), strict=False)
    for position, (token, logprob) in enumerate(pairs):
        top = tops[position] if position < len(tops) and isinstance(tops[position], dict) else {}
        yield TokenLogprob(
            token=clean_text(token) if isinstance(token, str) else "",
            logprob=log_probability(logprob),
            top=tuple(
                TokenLogprob(clean_text(name), log_probability(number)) for name, number in top.items()
            ),
        )
