import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from pointsman.v1 import errors_pb2 as _errors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RoutingOptionsObjective(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROUTING_OPTIONS_OBJECTIVE_UNSPECIFIED: _ClassVar[RoutingOptionsObjective]
    ROUTING_OPTIONS_OBJECTIVE_BALANCED: _ClassVar[RoutingOptionsObjective]
    ROUTING_OPTIONS_OBJECTIVE_LATENCY: _ClassVar[RoutingOptionsObjective]
    ROUTING_OPTIONS_OBJECTIVE_COST: _ClassVar[RoutingOptionsObjective]
    ROUTING_OPTIONS_OBJECTIVE_QUALITY: _ClassVar[RoutingOptionsObjective]

class RoutingOptionsOnInterrupt(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROUTING_OPTIONS_ON_INTERRUPT_UNSPECIFIED: _ClassVar[RoutingOptionsOnInterrupt]
    ROUTING_OPTIONS_ON_INTERRUPT_FAIL: _ClassVar[RoutingOptionsOnInterrupt]
    ROUTING_OPTIONS_ON_INTERRUPT_RESTART: _ClassVar[RoutingOptionsOnInterrupt]
    ROUTING_OPTIONS_ON_INTERRUPT_CONTINUE: _ClassVar[RoutingOptionsOnInterrupt]

class RoutingInfoCacheStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROUTING_INFO_CACHE_STATUS_UNSPECIFIED: _ClassVar[RoutingInfoCacheStatus]
    ROUTING_INFO_CACHE_STATUS_MISS: _ClassVar[RoutingInfoCacheStatus]
    ROUTING_INFO_CACHE_STATUS_HIT: _ClassVar[RoutingInfoCacheStatus]
    ROUTING_INFO_CACHE_STATUS_BYPASS: _ClassVar[RoutingInfoCacheStatus]
    ROUTING_INFO_CACHE_STATUS_STALE: _ClassVar[RoutingInfoCacheStatus]
ROUTING_OPTIONS_OBJECTIVE_UNSPECIFIED: RoutingOptionsObjective
ROUTING_OPTIONS_OBJECTIVE_BALANCED: RoutingOptionsObjective
ROUTING_OPTIONS_OBJECTIVE_LATENCY: RoutingOptionsObjective
ROUTING_OPTIONS_OBJECTIVE_COST: RoutingOptionsObjective
ROUTING_OPTIONS_OBJECTIVE_QUALITY: RoutingOptionsObjective
ROUTING_OPTIONS_ON_INTERRUPT_UNSPECIFIED: RoutingOptionsOnInterrupt
ROUTING_OPTIONS_ON_INTERRUPT_FAIL: RoutingOptionsOnInterrupt
ROUTING_OPTIONS_ON_INTERRUPT_RESTART: RoutingOptionsOnInterrupt
ROUTING_OPTIONS_ON_INTERRUPT_CONTINUE: RoutingOptionsOnInterrupt
ROUTING_INFO_CACHE_STATUS_UNSPECIFIED: RoutingInfoCacheStatus
ROUTING_INFO_CACHE_STATUS_MISS: RoutingInfoCacheStatus
ROUTING_INFO_CACHE_STATUS_HIT: RoutingInfoCacheStatus
ROUTING_INFO_CACHE_STATUS_BYPASS: RoutingInfoCacheStatus
ROUTING_INFO_CACHE_STATUS_STALE: RoutingInfoCacheStatus

class RoutingOptions(_message.Message):
    __slots__ = ("policy", "objective", "fallbacks", "allow_backends", "deny_backends", "session_id", "priority", "max_attempts", "first_token_timeout", "max_queue_time", "strict_params", "no_fallback", "on_interrupt")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BACKENDS_FIELD_NUMBER: _ClassVar[int]
    DENY_BACKENDS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    STRICT_PARAMS_FIELD_NUMBER: _ClassVar[int]
    NO_FALLBACK_FIELD_NUMBER: _ClassVar[int]
    ON_INTERRUPT_FIELD_NUMBER: _ClassVar[int]
    policy: str
    objective: RoutingOptionsObjective
    fallbacks: _containers.RepeatedCompositeFieldContainer[Fallback]
    allow_backends: _containers.RepeatedScalarFieldContainer[str]
    deny_backends: _containers.RepeatedScalarFieldContainer[str]
    session_id: str
    priority: int
    max_attempts: int
    first_token_timeout: _duration_pb2.Duration
    max_queue_time: _duration_pb2.Duration
    strict_params: bool
    no_fallback: bool
    on_interrupt: RoutingOptionsOnInterrupt
    def __init__(self, policy: _Optional[str] = ..., objective: _Optional[_Union[RoutingOptionsObjective, str]] = ..., fallbacks: _Optional[_Iterable[_Union[Fallback, _Mapping]]] = ..., allow_backends: _Optional[_Iterable[str]] = ..., deny_backends: _Optional[_Iterable[str]] = ..., session_id: _Optional[str] = ..., priority: _Optional[int] = ..., max_attempts: _Optional[int] = ..., first_token_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_queue_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., strict_params: bool = ..., no_fallback: bool = ..., on_interrupt: _Optional[_Union[RoutingOptionsOnInterrupt, str]] = ...) -> None: ...

class Fallback(_message.Message):
    __slots__ = ("model", "backend")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    model: str
    backend: str
    def __init__(self, model: _Optional[str] = ..., backend: _Optional[str] = ...) -> None: ...

class RoutingInfo(_message.Message):
    __slots__ = ("request_id", "backend", "provider", "upstream_model", "upstream_request_id", "attempts", "policy", "decision_reason", "fallback_used", "cache_status", "affinity_hit", "timings", "service_tier")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DECISION_REASON_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_USED_FIELD_NUMBER: _ClassVar[int]
    CACHE_STATUS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_HIT_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    backend: str
    provider: str
    upstream_model: str
    upstream_request_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    policy: str
    decision_reason: str
    fallback_used: bool
    cache_status: RoutingInfoCacheStatus
    affinity_hit: bool
    timings: Timings
    service_tier: str
    def __init__(self, request_id: _Optional[str] = ..., backend: _Optional[str] = ..., provider: _Optional[str] = ..., upstream_model: _Optional[str] = ..., upstream_request_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., policy: _Optional[str] = ..., decision_reason: _Optional[str] = ..., fallback_used: bool = ..., cache_status: _Optional[_Union[RoutingInfoCacheStatus, str]] = ..., affinity_hit: bool = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., service_tier: _Optional[str] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue", "connect", "first_token", "total")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    queue: _duration_pb2.Duration
    connect: _duration_pb2.Duration
    first_token: _duration_pb2.Duration
    total: _duration_pb2.Duration
    def __init__(self, queue: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., connect: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "backend", "model", "code", "reason", "latency", "retry_delay", "http_status", "hedge")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    number: int
    backend: str
    model: str
    code: int
    reason: _errors_pb2.ErrorReason
    latency: _duration_pb2.Duration
    retry_delay: _duration_pb2.Duration
    http_status: int
    hedge: bool
    def __init__(self, number: _Optional[int] = ..., backend: _Optional[str] = ..., model: _Optional[str] = ..., code: _Optional[int] = ..., reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., http_status: _Optional[int] = ..., hedge: bool = ...) -> None: ...
