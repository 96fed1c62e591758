"""Hugging Face's Text Generation Inference: /generate and /generate_stream, which take plain text.

Facts: https://huggingface.co/docs/text-generation-inference and its router's source, as of November 2026.
Its chat route is OpenAI's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Choice,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Opened,
    Regex,
    TokenLogprob,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.provider import Provider, Settings
from pointsman_server.upstreams.translation import error_objects
from pointsman_server.upstreams.translation.decoding import AnswerDecoder, Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    log_probability,
    loose_json,
    parse,
)
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    retry_after_s,
    should_retry,
    whole_number,
)
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.prompts import prompt_text
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, encoded, post
from pointsman_server.upstreams.translation.support import format_path, wire_fields
from pointsman_server.upstreams.translation.verbatim import verbatim_object

PROFILE = Profile(
    provider="tgi",
    dialect="tgi",
    default_url="http://127.0.0.1:3000",
    fields={
        "generation.max_output_tokens": "parameters.max_new_tokens",
        "generation.temperature": "parameters.temperature",
        "generation.top_p": "parameters.top_p",
        "generation.top_k": "parameters.top_k",
        "generation.seed": "parameters.seed",
        "generation.stop_sequences": "parameters.stop",
        "generation.frequency_penalty": "parameters.frequency_penalty",
        "generation.repetition_penalty": "parameters.repetition_penalty",
        "generation.truncate_prompt_tokens": "parameters.truncate",
        "generation.top_logprobs": "parameters.top_n_tokens",
        "output_format.json_schema": "parameters.grammar",
        "output_format.json_object": "parameters.grammar",
        "output_format.regex": "parameters.grammar",
        "output_format.choice": "parameters.grammar",
    },
    max_stop_sequences=4,
    images_by_url=False,
    images_inline=False,
    prompts=True,
    chat_templates=True,
    provider_parts=False,
    prompt_lacks=(),
)

_LEAST_TOP_P = 1e-6
_SEEDS = 2**64
_OWN = frozenset(
    {
        "inputs", "stream", "model", "parameters.max_new_tokens", "parameters.details", "parameters.best_of",
        "parameters.return_full_text",
    }
)  # fmt: skip
"""The adapter's, whatever the profile; no caller's option replaces them."""
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_FINISH: Mapping[str, FinishReason] = {
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "stop": FinishReason.STOP,
    "length": FinishReason.MAX_TOKENS,
}
_WORDS: Mapping[str, Reason] = {
    "validation": Reason.UPSTREAM_REJECTED,
    "generation": Reason.UPSTREAM_ERROR,
    "overloaded": Reason.UPSTREAM_OVERLOADED,
    "incomplete_generation": Reason.UPSTREAM_ERROR,
    "unhealthy": Reason.UPSTREAM_UNAVAILABLE,
}
"""Its `error_type`."""
_TOO_LONG = re.compile(
    r"tokens \+ `?max_new_tokens|must have less than \d+ tokens|input is too long", re.IGNORECASE
)


class TgiAdapter:
    """The dialect as one adapter."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/generate"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        url = f"{self._url}_stream" if stream else self._url
        body = _encode_body(attempt, self._profile, stream=stream)
        return post(url, attempt, self._profile, body, accept=EVENTS if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        return AnswerDecoder(TgiReader(attempt, self._profile, status=status, headers=headers), self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        upstream = UpstreamFault(
            http_status=status,
            request_id=answer_id(headers, self._profile.answer_id_headers),
            retryable=should_retry(headers),
        )
        return _map_error(error_objects.say(parse(body)) or Said(), status, headers, upstream)


def _encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    call = attempt.call
    fields = wire_fields(call, profile)
    # Without details there is neither a finish reason nor a count of tokens.
    parameters: dict[str, Any] = {"details": True}
    body: dict[str, Any] = {"inputs": prompt_text(attempt, profile), "parameters": parameters}
    if stream:
        body["stream"] = True
    _map_generation(call.generation, parameters, fields, profile)
    if format_path(call) in fields:
        parameters["grammar"] = _map_format(call)
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


def _map_generation(
    generation: Generation, parameters: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    """Its ranges leave out what means "off": that is said by leaving the field out."""

    def put(name: str, value: object) -> None:
        if value is not None and (wire := fields.get(f"generation.{name}")):
            parameters[wire.removeprefix("parameters.")] = value

    put("max_output_tokens", generation.max_output_tokens)
    put("frequency_penalty", generation.frequency_penalty)
    put("repetition_penalty", generation.repetition_penalty)
    # Unsigned there; a negative seed is another one all the same.
    put("seed", None if generation.seed is None else generation.seed % _SEEDS)
    put("truncate_prompt_tokens", _positive(generation.truncate_prompt_tokens))
    put("top_logprobs", _positive(generation.top_logprobs))
    put("stop_sequences", generation.stop_sequences[: profile.max_stop_sequences or None] or None)
    if generation.temperature == 0 and "generation.temperature" in fields:
        # Greedy; any bound on what is drawn from would make it sample.
        parameters["do_sample"] = False
        return
    put("temperature", generation.temperature)
    put("top_p", None if generation.top_p in (None, 1) else max(_LEAST_TOP_P, generation.top_p or 0.0))
    put("top_k", _positive(generation.top_k))
    if parameters.keys() & {"temperature", "top_p", "top_k"}:
        parameters["do_sample"] = True


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def _map_format(call: Call) -> dict[str, object]:
    match call.output_format:
        case JsonSchema(schema_json=schema):
            return {"type": "json", "value": verbatim_object(schema, "output_format.json_schema.schema_json")}
        case JsonObject():
            return {"type": "json", "value": {"type": "object"}}
        case Regex(pattern):
            return {"type": "regex", "value": pattern}
        case Choice(values):
            escaped = (_SPECIAL.sub(r"\\\g<0>", value) for value in values)
            return {"type": "regex", "value": f"({'|'.join(escaped)})"}
        case None | Grammar():
            raise AssertionError("the profile does not take it")
        case _:
            assert_never(call.output_format)


class TgiReader:
    """One answer, whole or token by token. The last event alone has `generated_text`; no signal comes behind it."""

    __slots__ = ("_begun", "_finished", "_logprobs", "_stops", "_tail", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        generation = attempt.call.generation
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._begun = False
        self._finished = False
        self._logprobs = generation.top_logprobs is not None
        self._stops = generation.stop_sequences
        self._tail = ""
        """What was said last, long enough to end with a stop sequence."""

    @property
    def complete(self) -> bool:
        """Whether the last event came."""
        return self._finished

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        if self._finished:
            return
        document = as_object(loose_json(event.data))
        self._check(document, event.name)
        token, whole = as_object(document.get("token")), document.get("generated_text")
        if not (token or isinstance(whole, str)):
            return
        self._open(events)
        if token and token.get("special") is not True:
            alternatives = as_list(document.get("top_tokens"))
            self._say(as_text(token.get("text")), list(self._map_logprobs([token], [alternatives])), events)
        if isinstance(whole, str):
            if whole and not self._tail:
                self._say(as_text(whole), [], events)
            self._end(as_object(document.get("details")), events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says; `/` wraps the answer in a list."""
        found = loose_json(data)
        document = as_object(found[0] if isinstance(found, list) and len(found) == 1 else found)
        self._check(document, "")
        if not isinstance(document.get("generated_text"), str):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no text")
        details = as_object(document.get("details"))
        self._open(events)
        logprobs = list(
            self._map_logprobs(as_list(details.get("tokens")), as_list(details.get("top_tokens")))
        )
        self._say(as_text(document["generated_text"]), logprobs, events)
        self._end(details, events)
        self.ended = True

    def _check(self, document: Mapping[str, Any], name: str) -> None:
        if document.get("error") or name == "error":
            said = error_objects.say(document) or Said()
            raise _map_error(
                said, said.status, self.place.headers, self.place.fault(stream_status=said.status)
            )

    def _open(self, events: list[Event]) -> None:
        if not self._begun:
            self._begun = True
            events.append(Opened(upstream_request_id=self.place.request_id))

    def _say(self, text: str, logprobs: Sequence[TokenLogprob], events: list[Event]) -> None:
        if text or logprobs:
            events.append(Delta(0, 0, DeltaKind.TEXT, text, logprobs=tuple(logprobs)))
            longest = max((len(stop) for stop in self._stops), default=1)
            self._tail = (self._tail + text)[-longest:]

    def _map_logprobs(self, tokens: Sequence[object], tops: Sequence[object]) -> Iterator[TokenLogprob]:
        if not self._logprobs:
            return
        for position, token in enumerate(tokens):
            if isinstance(token, dict) and token.get("special") is not True:
                others = as_list(tops[position]) if position < len(tops) else []
                yield TokenLogprob(
                    as_text(token.get("text")),
                    log_probability(token.get("logprob")),
                    top=tuple(
                        TokenLogprob(as_text(other.get("text")), log_probability(other.get("logprob")))
                        for other in others
                        if isinstance(other, dict)
                    ),
                )

    def _end(self, details: Mapping[str, Any], events: list[Event]) -> None:
        self._finished = True
        if (usage := self._map_usage(details)) is not None:
            events.append(UsageReport(usage))
        events.append(self._map_finish(details))

    def _map_usage(self, details: Mapping[str, Any]) -> Usage | None:
        """A whole answer tells the prompt's tokens in a header alone, a stream in its last event."""
        headers = self.place.headers
        inputs = _first(details.get("input_length"), headers.get("x-prompt-tokens"))
        outputs = _first(details.get("generated_tokens"), headers.get("x-generated-tokens"))
        if inputs is None and outputs is None:
            return None
        total = None if inputs is None or outputs is None else inputs + outputs
        return Usage(input_tokens=inputs, output_tokens=outputs, total_tokens=total)

    def _map_finish(self, details: Mapping[str, Any]) -> Finished:
        """Text that ended with a stop sequence still holds it."""
        raw = bounded_word(details.get("finish_reason"))
        stop = next((stop for stop in self._stops if self._tail.endswith(stop)), "")
        return Finished(
            0,
            _FINISH.get(raw, FinishReason.OTHER),
            raw=raw,
            stop_sequence=stop if raw == "stop_sequence" else "",
        )


def _first(told: object, header: str | None) -> int | None:
    number = whole_number(told)
    if number is None and header is not None and header.isascii() and header.isdigit() and len(header) < 16:
        return int(header)
    return number


def _map_error(said: Said, status: int, headers: Headers, upstream: UpstreamFault) -> ServiceError:
    """By the error's own type, where it has one of TGI's; else as the hosted service and proxies say it."""
    reason = _WORDS.get(said.type)
    if reason in (Reason.UPSTREAM_REJECTED, None) and _TOO_LONG.search(said.message):
        reason = Reason.CONTEXT_LENGTH_EXCEEDED
    if reason is None:
        told = status == 0 or 400 <= status < 600
        reason = error_objects.reason_of(status, said) if told else Reason.UPSTREAM_BAD_RESPONSE
    wait_s = retry_after_s(headers)
    return provider_error(
        reason, said, upstream, retry_after=said.retry_after_s if wait_s is None else wait_s
    )


TGI = Provider(PROFILE, TgiAdapter)
