import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pointsman.v1 import content_pb2 as _content_pb2
from pointsman.v1 import errors_pb2 as _errors_pb2
from pointsman.v1 import result_pb2 as _result_pb2
from pointsman.v1 import routing_pb2 as _routing_pb2
from pointsman.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamGenerateResponse(_message.Message):
    __slots__ = ("sequence", "deltas", "started", "rerouted", "candidate_finished", "usage_update", "completed")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DELTAS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    REROUTED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FINISHED_FIELD_NUMBER: _ClassVar[int]
    USAGE_UPDATE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    deltas: _containers.RepeatedCompositeFieldContainer[Delta]
    started: Started
    rerouted: Rerouted
    candidate_finished: _containers.RepeatedCompositeFieldContainer[CandidateFinished]
    usage_update: _usage_pb2.Usage
    completed: Completed
    def __init__(self, sequence: _Optional[int] = ..., deltas: _Optional[_Iterable[_Union[Delta, _Mapping]]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., rerouted: _Optional[_Union[Rerouted, _Mapping]] = ..., candidate_finished: _Optional[_Iterable[_Union[CandidateFinished, _Mapping]]] = ..., usage_update: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., completed: _Optional[_Union[Completed, _Mapping]] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("candidate_index", "part_index", "text", "reasoning", "tool_call", "refusal", "signature", "part", "reasoning_kind", "logprobs", "citations", "origin")
    CANDIDATE_INDEX_FIELD_NUMBER: _ClassVar[int]
    PART_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    REASONING_KIND_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    candidate_index: int
    part_index: int
    text: str
    reasoning: str
    tool_call: ToolCallDelta
    refusal: str
    signature: bytes
    part: _content_pb2.Part
    reasoning_kind: _content_pb2.ReasoningKind
    logprobs: _result_pb2.Logprobs
    citations: _containers.RepeatedCompositeFieldContainer[_content_pb2.Citation]
    origin: str
    def __init__(self, candidate_index: _Optional[int] = ..., part_index: _Optional[int] = ..., text: _Optional[str] = ..., reasoning: _Optional[str] = ..., tool_call: _Optional[_Union[ToolCallDelta, _Mapping]] = ..., refusal: _Optional[str] = ..., signature: _Optional[bytes] = ..., part: _Optional[_Union[_content_pb2.Part, _Mapping]] = ..., reasoning_kind: _Optional[_Union[_content_pb2.ReasoningKind, str]] = ..., logprobs: _Optional[_Union[_result_pb2.Logprobs, _Mapping]] = ..., citations: _Optional[_Iterable[_Union[_content_pb2.Citation, _Mapping]]] = ..., origin: _Optional[str] = ...) -> None: ...

class ToolCallDelta(_message.Message):
    __slots__ = ("id", "name", "arguments_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    arguments_json: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("response_id", "model", "backend", "provider", "attempt", "create_time", "attempts")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    model: str
    backend: str
    provider: str
    attempt: int
    create_time: _timestamp_pb2.Timestamp
    attempts: _containers.RepeatedCompositeFieldContainer[_routing_pb2.Attempt]
    def __init__(self, response_id: _Optional[str] = ..., model: _Optional[str] = ..., backend: _Optional[str] = ..., provider: _Optional[str] = ..., attempt: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[_routing_pb2.Attempt, _Mapping]]] = ...) -> None: ...

class CandidateFinished(_message.Message):
    __slots__ = ("candidate_index", "finish_reason", "finish_reason_raw", "stop_sequence", "safety")
    CANDIDATE_INDEX_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_RAW_FIELD_NUMBER: _ClassVar[int]
    STOP_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SAFETY_FIELD_NUMBER: _ClassVar[int]
    candidate_index: int
    finish_reason: _result_pb2.FinishReason
    finish_reason_raw: str
    stop_sequence: str
    safety: _containers.RepeatedCompositeFieldContainer[_result_pb2.SafetyRating]
    def __init__(self, candidate_index: _Optional[int] = ..., finish_reason: _Optional[_Union[_result_pb2.FinishReason, str]] = ..., finish_reason_raw: _Optional[str] = ..., stop_sequence: _Optional[str] = ..., safety: _Optional[_Iterable[_Union[_result_pb2.SafetyRating, _Mapping]]] = ...) -> None: ...

class Rerouted(_message.Message):
    __slots__ = ("started", "discard", "reason")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    started: Started
    discard: bool
    reason: _errors_pb2.ErrorReason
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., discard: bool = ..., reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ...) -> None: ...

class Completed(_message.Message):
    __slots__ = ("usage", "routing", "warnings")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    usage: _usage_pb2.Usage
    routing: _routing_pb2.RoutingInfo
    warnings: _containers.RepeatedCompositeFieldContainer[_result_pb2.Warning]
    def __init__(self, usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., routing: _Optional[_Union[_routing_pb2.RoutingInfo, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[_result_pb2.Warning, _Mapping]]] = ...) -> None: ...
