"""Documents of one answer over HTTP -> responses: of the generate extension, or tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pointsman_server.domain import Event
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.triton.elements import elements_of
from pointsman_server.upstreams.dialects.triton.refusal import answered_error
from pointsman_server.upstreams.dialects.triton.reply import Reply, Response, count_of
from pointsman_server.upstreams.dialects.triton.styles import Setup
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text, loose_json
from pointsman_server.upstreams.translation.faults import bounded_word, whole_number

_JSON_BYTES = "inference-header-content-length"
"""Where binary tensors follow the document: how long that is."""


class GenerateReader:
    """The generate extension: objects with the outputs by their names."""

    def __init__(self, setup: Setup, *, status: int, headers: Headers, may_be_empty: bool) -> None:
        request_id = bounded_word(headers.get("x-request-id", ""))
        self._place = Place(status=status, headers=headers, request_id=request_id)
        self._setup = setup
        self._reply = Reply(setup)
        self._complete = may_be_empty
        """A model may have nothing to say, and then its stream is empty."""
        self._ended = False

    @property
    def place(self) -> Place:
        """Where it is."""
        return self._place

    @property
    def ended(self) -> bool:
        """Servers of the Open Inference Protocol may tell; Triton does not."""
        return self._ended

    @property
    def complete(self) -> bool:
        """Whether the body may end: not where an end that is told has yet to come."""
        return self._complete

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """One response, or an error in its place."""
        document = as_object(loose_json(event.data))
        if not document:
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent something that is no response"
            )
        self._take(document, events)
        done = document.get("done")
        if done is True:
            self._reply.end(events)
            self._ended = True
        self._complete = done is not False

    def whole(self, data: bytes, events: list[Event]) -> None:
        """The only response."""
        document = as_object(loose_json(data))
        if not document:
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent something that is no response"
            )
        self._take(document, events)
        self._complete = True

    def at_end(self, events: list[Event]) -> None:
        """What only the end of the body tells."""
        self._reply.end(events)

    def _take(self, document: Mapping[str, Any], events: list[Event]) -> None:
        if document.get("error") is not None:
            raise answered_error(document["error"], self._place)
        response = self._response(document)
        self._place.response_id = self._place.response_id or response.id
        self._reply.take(response, events)

    def _response(self, document: Mapping[str, Any]) -> Response:
        return _response(document, document, self._setup)


class InferReader(GenerateReader):
    """Tensors: a list of outputs, their data in the document or behind it."""

    def whole(self, data: bytes, events: list[Event]) -> None:
        """The only response."""
        size = whole_number(_number(self.place.headers.get(_JSON_BYTES)))
        if size is None or size > len(data):
            super().whole(data, events)
            return
        document = as_object(loose_json(data[:size]))
        self._take({**document, "outputs": [*_with_data(document, data[size:])]}, events)
        self._complete = True

    def _response(self, document: Mapping[str, Any]) -> Response:
        outputs = {
            output["name"]: output.get("data")
            for output in as_list(document.get("outputs"))
            if isinstance(output, dict) and isinstance(output.get("name"), str)
        }
        return _response(document, outputs, self._setup)


def _response(document: Mapping[str, Any], outputs: Mapping[str, Any], setup: Setup) -> Response:
    written = setup.written
    texts: tuple[str | bytes, ...] | None = None
    if (told := outputs.get(written.text_output)) is not None:
        texts = tuple(_flat(told))
        if not all(isinstance(text, str | bytes) for text in texts):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's output is no text")
    words = _flat(outputs.get(written.finish_reason_output)) if written.finish_reason_output else ()
    return Response(
        id=bounded_word(document.get("id")),
        model=bounded_word(document.get("model_name")),
        texts=texts,
        finish=tuple(as_text(word) for word in words),
        input_tokens=_count(outputs, written.input_tokens_output),
        output_tokens=_count(outputs, written.output_tokens_output),
    )


def _count(outputs: Mapping[str, Any], name: str) -> int | None:
    return count_of(_flat(outputs.get(name))) if name else None


def _flat(value: object, depth: int = 4) -> Iterator[Any]:
    """The elements of a list of lists; one that is none is its own only element."""
    if isinstance(value, list) and depth:
        for element in value:
            yield from _flat(element, depth - 1)
    elif value is not None:
        yield value


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and len(text) <= 10 and text.isascii() and text.isdigit() else None


def _with_data(document: Mapping[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    """The outputs, with the elements that stand behind the document in their order."""
    at = 0
    for output in as_list(document.get("outputs")):
        described = as_object(output)
        size = whole_number(as_object(described.get("parameters")).get("binary_data_size"))
        if size is None:
            yield described
            continue
        if at + size > len(data):
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream's tensors are shorter than it says"
            )
        yield {**described, "data": elements_of(described.get("datatype"), data[at : at + size])}
        at += size
