import datetime

from google.protobuf import duration_pb2 as _duration_pb2
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

class Failure(_message.Message):
    __slots__ = ("cause", "retryable", "content_delivered", "upstream", "usage", "attempts", "finish_reason", "finish_reason_raw")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DELIVERED_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_RAW_FIELD_NUMBER: _ClassVar[int]
    cause: _errors_pb2.ErrorReason
    retryable: bool
    content_delivered: bool
    upstream: UpstreamFailure
    usage: _usage_pb2.Usage
    attempts: _containers.RepeatedCompositeFieldContainer[_routing_pb2.Attempt]
    finish_reason: _result_pb2.FinishReason
    finish_reason_raw: str
    def __init__(self, cause: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., retryable: bool = ..., content_delivered: bool = ..., upstream: _Optional[_Union[UpstreamFailure, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[_routing_pb2.Attempt, _Mapping]]] = ..., finish_reason: _Optional[_Union[_result_pb2.FinishReason, str]] = ..., finish_reason_raw: _Optional[str] = ...) -> None: ...

class UpstreamFailure(_message.Message):
    __slots__ = ("http_status", "stream_status", "code", "type", "message", "request_id", "response_id", "in_stream", "retry_after")
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    STREAM_STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    IN_STREAM_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    http_status: int
    stream_status: int
    code: str
    type: str
    message: str
    request_id: str
    response_id: str
    in_stream: bool
    retry_after: _duration_pb2.Duration
    def __init__(self, http_status: _Optional[int] = ..., stream_status: _Optional[int] = ..., code: _Optional[str] = ..., type: _Optional[str] = ..., message: _Optional[str] = ..., request_id: _Optional[str] = ..., response_id: _Optional[str] = ..., in_stream: bool = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
