from google.rpc import status_pb2 as _status_pb2
from pointsman.v1 import generate_pb2 as _generate_pb2
from pointsman.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BatchGenerateRequest(_message.Message):
    __slots__ = ("items", "max_concurrency", "fail_fast")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    FAIL_FAST_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[BatchItem]
    max_concurrency: int
    fail_fast: bool
    def __init__(self, items: _Optional[_Iterable[_Union[BatchItem, _Mapping]]] = ..., max_concurrency: _Optional[int] = ..., fail_fast: bool = ...) -> None: ...

class BatchItem(_message.Message):
    __slots__ = ("custom_id", "request")
    CUSTOM_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    custom_id: str
    request: _generate_pb2.GenerateRequest
    def __init__(self, custom_id: _Optional[str] = ..., request: _Optional[_Union[_generate_pb2.GenerateRequest, _Mapping]] = ...) -> None: ...

class BatchGenerateResponse(_message.Message):
    __slots__ = ("index", "custom_id", "response", "status", "completed")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    index: int
    custom_id: str
    response: _generate_pb2.GenerateResponse
    status: _status_pb2.Status
    completed: BatchCompleted
    def __init__(self, index: _Optional[int] = ..., custom_id: _Optional[str] = ..., response: _Optional[_Union[_generate_pb2.GenerateResponse, _Mapping]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., completed: _Optional[_Union[BatchCompleted, _Mapping]] = ...) -> None: ...

class BatchCompleted(_message.Message):
    __slots__ = ("succeeded", "failed", "usage")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    succeeded: int
    failed: int
    usage: _usage_pb2.Usage
    def __init__(self, succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ...) -> None: ...
