import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CacheControlMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_CONTROL_MODE_UNSPECIFIED: _ClassVar[CacheControlMode]
    CACHE_CONTROL_MODE_BYPASS: _ClassVar[CacheControlMode]
    CACHE_CONTROL_MODE_READ_ONLY: _ClassVar[CacheControlMode]
    CACHE_CONTROL_MODE_REFRESH: _ClassVar[CacheControlMode]
    CACHE_CONTROL_MODE_READ_WRITE: _ClassVar[CacheControlMode]
CACHE_CONTROL_MODE_UNSPECIFIED: CacheControlMode
CACHE_CONTROL_MODE_BYPASS: CacheControlMode
CACHE_CONTROL_MODE_READ_ONLY: CacheControlMode
CACHE_CONTROL_MODE_REFRESH: CacheControlMode
CACHE_CONTROL_MODE_READ_WRITE: CacheControlMode

class CacheControl(_message.Message):
    __slots__ = ("mode", "ttl", "namespace", "prefix_cache_salt")
    MODE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_CACHE_SALT_FIELD_NUMBER: _ClassVar[int]
    mode: CacheControlMode
    ttl: _duration_pb2.Duration
    namespace: str
    prefix_cache_salt: str
    def __init__(self, mode: _Optional[_Union[CacheControlMode, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., namespace: _Optional[str] = ..., prefix_cache_salt: _Optional[str] = ...) -> None: ...
