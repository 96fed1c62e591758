"""Messages of one answer -> events. Knows both forms of a stream: Triton's, and the bare responses of MLServer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from pointsman_server.domain import Event
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.triton.elements import elements_of
from pointsman_server.upstreams.dialects.triton.refusal import answered_error
from pointsman_server.upstreams.dialects.triton.reply import Reply, Response, count_of
from pointsman_server.upstreams.dialects.triton.rpc.messages import (
    ModelInferResponse,
    ModelStreamInferResponse,
)
from pointsman_server.upstreams.dialects.triton.rpc.request import FINAL_RESPONSE
from pointsman_server.upstreams.dialects.triton.styles import Setup
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.faults import DETAILS, bounded_word

_CONTENTS = (
    "bytes_contents", "fp32_contents", "fp64_contents", "int_contents", "int64_contents", "uint_contents",
    "uint64_contents", "bool_contents",
)  # fmt: skip
_BARE = 3
"""The first field that ModelInferResponse has and ModelStreamInferResponse has not."""


class MessageReader:
    """One answer. Its methods raise ServiceError for an error that is told and for what makes no sense."""

    def __init__(self, setup: Setup, *, in_stream: bool) -> None:
        self._setup = setup
        self._in_stream = in_stream
        self._reply = Reply(setup)
        self.place = Place(status=0, headers={}, streamed=in_stream)
        self.ended = False
        """Whether the server said that nothing more comes."""
        self._open = False
        """Whether it said that more comes."""

    def feed(self, data: bytes, events: list[Event]) -> None:
        """One message; appends its events."""
        if self.ended:
            return
        response = self._streamed(data) if self._in_stream else _parsed(ModelInferResponse, data)
        # An empty one only says that it is the last.
        if response.outputs or not self._in_stream:
            self._take(response, events)
        final = (
            response.parameters[FINAL_RESPONSE].bool_param if FINAL_RESPONSE in response.parameters else None
        )
        self._open = final is False
        if final:
            self._end(events)

    def close(self, events: list[Event]) -> None:
        """The call ended well. Raises UPSTREAM_TRUNCATED where more had been announced."""
        if self.ended:
            return
        if self._open:
            raise ServiceError(Reason.UPSTREAM_TRUNCATED, DETAILS[Reason.UPSTREAM_TRUNCATED])
        self._end(events)

    def _end(self, events: list[Event]) -> None:
        self.ended = True
        self._reply.end(events)

    def _streamed(self, data: bytes) -> Any:  # noqa: ANN401 -- a message of a class made at run time
        """The response within a message of a stream, whichever form that has."""
        try:
            wrapped = ModelStreamInferResponse.FromString(data)
        except DecodeError:
            # A bare response's version is no message.
            return _parsed(ModelInferResponse, data)
        unknown: Any = UnknownFieldSet(wrapped)
        if any(field.field_number >= _BARE for field in unknown):
            return _parsed(ModelInferResponse, data)
        if wrapped.error_message:
            self.place.response_id = bounded_word(wrapped.infer_response.id)
            raise answered_error(wrapped.error_message, self.place)
        return wrapped.infer_response

    def _take(self, response: Any, events: list[Event]) -> None:  # noqa: ANN401 -- as above
        written = self._setup.written
        outputs = {
            output.name: _elements(output, response.raw_output_contents, position)
            for position, output in enumerate(response.outputs)
        }
        texts = outputs.get(written.text_output)
        if texts is not None and not all(isinstance(text, bytes) for text in texts):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's output is no text")
        self.place.response_id = self.place.response_id or bounded_word(response.id)
        words = outputs.get(written.finish_reason_output, ())
        self._reply.take(
            Response(
                id=bounded_word(response.id),
                model=bounded_word(response.model_name),
                texts=None if texts is None else tuple(text for text in texts if isinstance(text, bytes)),
                finish=tuple(word.decode("utf-8", "replace") for word in words if isinstance(word, bytes)),
                input_tokens=count_of(outputs.get(written.input_tokens_output, ())),
                output_tokens=count_of(outputs.get(written.output_tokens_output, ())),
            ),
            events,
        )


def _parsed(kind: Any, data: bytes) -> Any:  # noqa: ANN401 -- as above
    try:
        return kind.FromString(data)
    except DecodeError:
        raise ServiceError(
            Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent something that is no response"
        ) from None


def _elements(output: Any, raw: Sequence[bytes], position: int) -> Sequence[bytes | bool | int | float]:  # noqa: ANN401 -- as above
    """A tensor's elements, from its own contents or from the bytes that stand for it."""
    if raw:
        if position >= len(raw):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer lacks a tensor's data")
        return elements_of(output.datatype, raw[position])
    for name in _CONTENTS:
        if contents := getattr(output.contents, name):
            return [*contents]
    return ()
