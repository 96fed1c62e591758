from pointsman.v1 import generate_pb2 as _generate_pb2
from pointsman.v1 import result_pb2 as _result_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CountTokensResponseExactness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUNT_TOKENS_RESPONSE_EXACTNESS_UNSPECIFIED: _ClassVar[CountTokensResponseExactness]
    COUNT_TOKENS_RESPONSE_EXACTNESS_EXACT: _ClassVar[CountTokensResponseExactness]
    COUNT_TOKENS_RESPONSE_EXACTNESS_ESTIMATED: _ClassVar[CountTokensResponseExactness]
COUNT_TOKENS_RESPONSE_EXACTNESS_UNSPECIFIED: CountTokensResponseExactness
COUNT_TOKENS_RESPONSE_EXACTNESS_EXACT: CountTokensResponseExactness
COUNT_TOKENS_RESPONSE_EXACTNESS_ESTIMATED: CountTokensResponseExactness

class CountTokensRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _generate_pb2.GenerateRequest
    def __init__(self, request: _Optional[_Union[_generate_pb2.GenerateRequest, _Mapping]] = ...) -> None: ...

class CountTokensResponse(_message.Message):
    __slots__ = ("input_tokens", "exactness", "model", "backend", "warnings")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    EXACTNESS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    exactness: CountTokensResponseExactness
    model: str
    backend: str
    warnings: _containers.RepeatedCompositeFieldContainer[_result_pb2.Warning]
    def __init__(self, input_tokens: _Optional[int] = ..., exactness: _Optional[_Union[CountTokensResponseExactness, str]] = ..., model: _Optional[str] = ..., backend: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[_result_pb2.Warning, _Mapping]]] = ...) -> None: ...
