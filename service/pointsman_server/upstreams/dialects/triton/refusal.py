"""The dialect's errors in our vocabulary. All that is told is a text, with a status that may be none of its own.

Triton's generate extension says 400 to whatever fails once the model has been asked, and its streams over gRPC say
nothing but the text; so the text decides first. Texts are those of Triton's core (2.51, observed), of its python, vLLM
and TensorRT-LLM backends, and of MLServer 1.7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, as_text, parse
from pointsman_server.upstreams.translation.error_objects import say
from pointsman_server.upstreams.translation.faults import (
    Said,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
    should_retry,
)

_ADMITTED: Mapping[str, Reason] = {
    # An exception of the model's own code, under whatever status; what it says may quote anything.
    r"\Afailed to process the request\(s\) for model": Reason.UPSTREAM_ERROR,
    # A server that drains or has yet to load its models; another one has them.
    r"has no available versions|not (?:at )?ready(?: state)?\b|is unavailable|unhealthy|unloading"
    r"|server (?:is )?(?:exiting|shutting down|stopping)": Reason.UPSTREAM_UNAVAILABLE,
    r"unknown model|model .{0,256} not found|model .{0,256} does not exist": Reason.UPSTREAM_MODEL_NOT_FOUND,
    r"exceeds maximum queue size|queue is full|overloaded|too many requests": Reason.UPSTREAM_OVERLOADED,
    r"request timeout expired|timed? ?out": Reason.UPSTREAM_TIMEOUT,
    r"longer than the max|exceeds? (?:the )?max\w* (?:input |sequence |model |context )?len|maximum context length"
    r"|max_?\w*(?:model|seq|input)_?len": Reason.CONTEXT_LENGTH_EXCEEDED,
    r"decoupled transaction policy|expects model to produce exactly 1 response": Reason.UPSTREAM_UNIMPLEMENTED,
    r"out of memory": Reason.UPSTREAM_ERROR,
    r"batch-size must be|unexpected (?:inference (?:input|output)|shape|datatype|total byte size)"
    r"|expected (?:number of inputs|\d+ inputs)|missing required input|unable to parse|failed to parse"
    r"|has invalid type|invalid (?:input|argument|value|parameter|request)|must specify": Reason.UPSTREAM_REJECTED,
}
"""What the text admits; the first that fits."""
_PATTERNS = tuple((re.compile(text, re.IGNORECASE), reason) for text, reason in _ADMITTED.items())
_COMPLAINT = re.compile(
    r"\b(?:inputs?|parameters?|tensors?|shape|datatype|must|should|invalid|required|missing|(?:un|not )supported"
    r"|too (?:long|large|short|small|many))\b",
    re.IGNORECASE,
)
"""Words of what complains about a request, where the status does not say whether anything does."""
_DECISIVE = frozenset({401, 402, 403, 413, 429, 501, 504})
"""Statuses that say enough."""
_GENERATION_FAILED = 424
"""The Open Inference Protocol's status for it."""
_FRAMES = "\n\nAt:\n"
"""Before what Triton's Python backend tells of where its model failed."""
_TRACEBACK = re.compile(r"\A[\s+]*(?:Exception Group )?Traceback \(most recent call last\):")
"""Of what MLServer answers where its `debug` is on, as it is by default: paths, code, and at last the exception."""
_EXCEPTION = re.compile(
    r"^(?: +\| )?(?:[A-Za-z_]\w*\.)*(?!\w*ExceptionGroup:)[A-Za-z_]\w*: (.*)", re.MULTILINE
)
_ALREADY_STARTED = "Caught handled exception, but response already started."
"""What the web framework says behind the exception that it means."""
_DATA = re.compile(rb"\A\s*data:[^\S\n]*")


def read_refusal(status: int, headers: Headers, body: bytes, *, vague_400: bool) -> ServiceError:
    """What a status that is not 2xx means; the body may be an event of a stream that came to nothing else."""
    event = _DATA.match(body)
    words = _words(body if event is None else body[event.end() :].partition(b"\n")[0])
    text = words.message
    upstream = UpstreamFault(
        http_status=status,
        request_id=bounded_word(headers.get("x-request-id", "")),
        retryable=should_retry(headers),
    )
    if not 400 <= status < 600:
        reason = Reason.UPSTREAM_BAD_RESPONSE
    elif status in _DECISIVE:
        reason = reason_by_status(status)
    elif status == _GENERATION_FAILED:
        reason = reason_of(text) or Reason.UPSTREAM_ERROR
    else:
        reason = reason_of(text) or reason_by_status(status)
        if status == 400 and vague_400 and reason is Reason.UPSTREAM_REJECTED and not _COMPLAINT.search(text):
            reason = Reason.UPSTREAM_ERROR
    told = replace(said(text), param=words.param)
    return provider_error(reason, told, upstream, retry_after=retry_after_s(headers))


def answered_error(error: object, place: Place) -> ServiceError:
    """What an error told in an answer means; it has no status."""
    text = _message(error)
    reason = reason_of(text) or Reason.UPSTREAM_ERROR
    return provider_error(reason, said(text), place.fault(), retry_after=retry_after_s(place.headers))


def reason_of(text: str) -> Reason | None:
    """What the text admits; None for one that admits nothing."""
    for pattern, reason in _PATTERNS:
        if pattern.search(text):
            return reason
    return None


def said(text: str) -> Said:
    """The text as the caller may see it: what a model's own code printed of itself is left out."""
    return Said(message=text.partition(_FRAMES)[0])


def _words(body: bytes) -> Said:
    """The words of an error's body: Triton's and MLServer's are JSON, those of a gateway in front often plain."""
    document = parse(body.strip())
    if isinstance(document, dict):
        return say(document) or Said()
    if document is not None:
        return Said()
    text = body.decode("utf-8", "replace").strip()
    if _TRACEBACK.match(text):
        return Said(message=_exception(text))
    return Said(message="" if text.startswith("<") else text[:4096])


def _exception(traceback: str) -> str:
    """The text of the last exception; empty where it has none, or where the traceback was too long to come to it."""
    told = [found[1] for found in _EXCEPTION.finditer(traceback) if found[1] != _ALREADY_STARTED]
    return told[-1] if told else ""


def _message(error: object) -> str:
    """A text, or an object that holds one."""
    return as_text(error) if isinstance(error, str) else as_text(as_object(error).get("message"))
