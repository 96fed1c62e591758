"""One candidate of an answer: its parts, its sources and its end."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Media,
    MediaKind,
    Part,
    ProviderPart,
    ReasoningKind,
    SafetyRating,
    TokenLogprob,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.gemini.sources import map_citations
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    json_text,
    log_probability,
)
from pointsman_server.upstreams.translation.faults import bounded_word, failed_ending
from pointsman_server.upstreams.translation.parts import made_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning, origin

_RATINGS = 32
_UNTOLD = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_FINISH: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.MAX_TOKENS,
    # There is more to come, but only for who asks again.
    "CONTINUATION": FinishReason.MAX_TOKENS,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "IMAGE_OTHER": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
}
_FAILURES: Mapping[str, Reason] = {
    "MALFORMED_FUNCTION_CALL": Reason.UPSTREAM_ERROR,
    "MALFORMED_RESPONSE": Reason.UPSTREAM_ERROR,
    "UNEXPECTED_TOOL_CALL": Reason.UPSTREAM_ERROR,
    "TOO_MANY_TOOL_CALLS": Reason.UPSTREAM_ERROR,
    "NO_IMAGE": Reason.UPSTREAM_ERROR,
    "OTHER": Reason.UPSTREAM_ERROR,
    "MISSING_THOUGHT_SIGNATURE": Reason.UPSTREAM_REJECTED,
    "PUP_LIMITED_DISABLED": Reason.UPSTREAM_PERMISSION_DENIED,
}
"""Words for an answer that came to grief."""


class Candidate:
    """Numbers the parts: texts of one kind that follow each other are one, unless a signature stands between them."""

    __slots__ = (
        "_attempt", "_calls", "_dialect", "_hidden", "_index", "_kind", "_message", "_origin", "_parts", "_ratings",
        "_said", "_texts", "raw",
    )  # fmt: skip

    def __init__(self, index: int, attempt: Attempt, profile: Profile) -> None:
        self.raw = ""
        """The last finish reason that was told."""
        self._index = index
        self._attempt = attempt
        self._hidden = hides_reasoning(attempt.call, profile)
        self._dialect = profile.dialect
        self._origin = origin(profile, attempt.target.model)
        self._parts = 0
        self._kind: DeltaKind | None = None
        self._calls = 0
        self._texts: dict[int, list[str]] = {}
        self._said: list[dict[str, Any]] = []
        self._ratings: tuple[SafetyRating, ...] = ()
        self._message = ""

    @property
    def failed(self) -> bool:
        """Whether it came to grief."""
        return self.raw in _FAILURES

    def add(self, said: dict[str, Any], events: list[Event]) -> None:
        """Append the events of its share of one document."""
        logprobs = _map_logprobs(as_object(said.get("logprobsResult")))
        for part in as_list(as_object(said.get("content")).get("parts")):
            if isinstance(part, dict):
                events.extend(self._map_part(part))
        if logprobs:
            events.append(Delta(self._index, self._text_part(), DeltaKind.TEXT, logprobs=logprobs))
        if "citationMetadata" in said or "groundingMetadata" in said:
            self._said.append(said)
        if "safetyRatings" in said:
            self._ratings = map_ratings(said["safetyRatings"])
        raw = bounded_word(said.get("finishReason"))
        if raw not in _UNTOLD:
            self.raw, self._message = raw, as_text(said.get("finishMessage"))

    def finish(self, events: list[Event]) -> None:
        """Append what is known only at the end: the sources of its text, and why it ended."""
        texts = {part: "".join(pieces) for part, pieces in self._texts.items()}
        for part, citations in map_citations(self._said, texts).items():
            events.append(Delta(self._index, part, DeltaKind.TEXT, citations=citations))
        events.append(Finished(self._index, self._map_finish(), raw=self.raw, safety=self._ratings))

    def fault(self, place: Place) -> ServiceError:
        """The failure that its end tells."""
        return failed_ending(self.raw, place.fault(), reason=_FAILURES[self.raw], message=self._message)

    def _map_finish(self) -> FinishReason:
        if self.failed:
            return FinishReason.ERROR
        return FinishReason.TOOL_CALLS if self._calls else _FINISH.get(self.raw, FinishReason.OTHER)

    def _map_part(self, part: dict[str, Any]) -> Iterator[Delta]:
        signature = as_text(part.get("thoughtSignature")).encode()
        call, thought = part.get("functionCall"), part.get("thought") is True
        if isinstance(call, dict):
            yield from self._map_call(call, signature)
        elif isinstance(part.get("text"), str) or not part.keys() - {"thought", "thoughtSignature"}:
            yield from self._map_text(as_text(part.get("text")), signature, thought=thought)
        elif not (thought and self._hidden):
            yield self._map_whole(part, signature, thought=thought)

    def _map_text(self, text: str, signature: bytes, *, thought: bool) -> Iterator[Delta]:
        kind = DeltaKind.REASONING if thought else DeltaKind.TEXT
        if thought and self._hidden:
            text = ""
        if signature:
            # A signature must go back on a part of just this text.
            self._kind = None
        elif not text:
            return
        number = self._part_of(kind)
        if text:
            if not thought:
                self._texts.setdefault(number, []).append(text)
            # What comes back is a digest of the thoughts themselves, says the documentation.
            digest = ReasoningKind.SUMMARY if thought else None
            yield Delta(self._index, number, kind, text, reasoning_kind=digest)
        yield from self._sign(number, signature)

    def _map_call(self, call: dict[str, Any], signature: bytes) -> Iterator[Delta]:
        """Calls come whole; some models give them no id."""
        number = self._part_of(None)
        made = made_tool_id(self._attempt.upstream_id, self._index, self._calls)
        self._calls += 1
        yield Delta(
            self._index,
            number,
            DeltaKind.TOOL_CALL,
            json_text(as_object(call.get("args"))),
            tool_id=as_text(call.get("id")) or made,
            tool_name=as_text(call.get("name")),
        )
        yield from self._sign(number, signature)

    def _map_whole(self, part: dict[str, Any], signature: bytes, *, thought: bool) -> Delta:
        """Media as what they are; drafts of them, and what only this dialect knows, as they came."""
        media = None if thought else _map_media(part)
        signer = self._origin if signature else ""
        whole = (
            Part(ProviderPart(self._dialect, json_text(part)), origin=signer)
            if media is None
            else Part(media, signature, signer)
        )
        return Delta(self._index, self._part_of(None), DeltaKind.PART, whole=whole)

    def _sign(self, number: int, signature: bytes) -> Iterator[Delta]:
        if signature:
            self._kind = None
            yield Delta(self._index, number, DeltaKind.SIGNATURE, data=signature, origin=self._origin)

    def _part_of(self, kind: DeltaKind | None) -> int:
        """The part that goes on, where this kind of text does, else the next one."""
        if kind is None or kind is not self._kind:
            self._kind = kind
            self._parts += 1
        return self._parts - 1

    def _text_part(self) -> int:
        return max(self._texts, default=-1) if self._texts else self._part_of(DeltaKind.TEXT)


def map_ratings(value: object) -> tuple[SafetyRating, ...]:
    """The provider's judgements; some of its servers grade the harm beside its probability."""
    return tuple(
        SafetyRating(
            category=bounded_word(rating.get("category")),
            severity=bounded_word(rating.get("severity")) or bounded_word(rating.get("probability")),
            blocked=rating.get("blocked") is True,
        )
        for rating in as_list(value)[:_RATINGS]
        if isinstance(rating, dict)
    )


def _map_media(part: dict[str, Any]) -> Media | None:
    inline, file = as_object(part.get("inlineData")), as_object(part.get("fileData"))
    kind = _media_kind(as_text((inline or file).get("mimeType")))
    media_type = bounded_word((inline or file).get("mimeType"))
    if inline:
        data = _bytes(as_text(inline.get("data")))
        return Media(kind, data=data, media_type=media_type) if data else None
    url = as_text(file.get("fileUri"))
    return Media(kind, url=url, media_type=media_type) if url else None


def _media_kind(media_type: str) -> MediaKind:
    match media_type.partition("/")[0]:
        case "image":
            return MediaKind.IMAGE
        case "audio":
            return MediaKind.AUDIO
        case _:
            return MediaKind.FILE


def _bytes(text: str) -> bytes:
    """Of base64 in either alphabet; none for what is no base64."""
    try:
        return base64.b64decode(
            text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True
        )
    except (binascii.Error, ValueError):
        return b""


def _map_logprobs(said: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    """Two lists of the same steps: what was chosen, and what stood to choose from."""
    tops = as_list(said.get("topCandidates"))
    return tuple(
        TokenLogprob(
            token=as_text(chosen.get("token")),
            logprob=log_probability(chosen.get("logProbability")),
            top=tuple(_alternatives(tops[step])) if step < len(tops) else (),
        )
        for step, chosen in enumerate(as_list(said.get("chosenCandidates")))
        if isinstance(chosen, dict)
    )


def _alternatives(step: object) -> Iterator[TokenLogprob]:
    for other in as_list(as_object(step).get("candidates")):
        if isinstance(other, dict):
            yield TokenLogprob(as_text(other.get("token")), log_probability(other.get("logProbability")))
