import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackendState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKEND_STATE_UNSPECIFIED: _ClassVar[BackendState]
    BACKEND_STATE_HEALTHY: _ClassVar[BackendState]
    BACKEND_STATE_EJECTED: _ClassVar[BackendState]
    BACKEND_STATE_HALF_OPEN: _ClassVar[BackendState]
    BACKEND_STATE_COOLING_DOWN: _ClassVar[BackendState]
    BACKEND_STATE_DRAINING: _ClassVar[BackendState]
    BACKEND_STATE_UNREACHABLE: _ClassVar[BackendState]
BACKEND_STATE_UNSPECIFIED: BackendState
BACKEND_STATE_HEALTHY: BackendState
BACKEND_STATE_EJECTED: BackendState
BACKEND_STATE_HALF_OPEN: BackendState
BACKEND_STATE_COOLING_DOWN: BackendState
BACKEND_STATE_DRAINING: BackendState
BACKEND_STATE_UNREACHABLE: BackendState

class Backend(_message.Message):
    __slots__ = ("name", "provider", "url", "state", "state_reason", "state_until", "models", "in_flight_requests", "in_flight_tokens", "first_token_ewma", "error_ratio", "concurrency_limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    STATE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_EWMA_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATIO_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: str
    url: str
    state: BackendState
    state_reason: str
    state_until: _timestamp_pb2.Timestamp
    models: _containers.RepeatedScalarFieldContainer[str]
    in_flight_requests: int
    in_flight_tokens: int
    first_token_ewma: _duration_pb2.Duration
    error_ratio: float
    concurrency_limit: int
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[str] = ..., url: _Optional[str] = ..., state: _Optional[_Union[BackendState, str]] = ..., state_reason: _Optional[str] = ..., state_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., models: _Optional[_Iterable[str]] = ..., in_flight_requests: _Optional[int] = ..., in_flight_tokens: _Optional[int] = ..., first_token_ewma: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., error_ratio: _Optional[float] = ..., concurrency_limit: _Optional[int] = ...) -> None: ...
