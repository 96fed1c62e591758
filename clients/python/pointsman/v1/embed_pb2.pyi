from pointsman.v1 import cache_pb2 as _cache_pb2
from pointsman.v1 import content_pb2 as _content_pb2
from pointsman.v1 import generate_pb2 as _generate_pb2
from pointsman.v1 import result_pb2 as _result_pb2
from pointsman.v1 import routing_pb2 as _routing_pb2
from pointsman.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("model", "inputs", "dimensions", "task", "truncate", "routing", "cache", "end_user_id", "labels", "provider_options")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ProviderOptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _generate_pb2.ProviderOptions
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_generate_pb2.ProviderOptions, _Mapping]] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    END_USER_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedCompositeFieldContainer[EmbedInput]
    dimensions: int
    task: str
    truncate: str
    routing: _routing_pb2.RoutingOptions
    cache: _cache_pb2.CacheControl
    end_user_id: str
    labels: _containers.ScalarMap[str, str]
    provider_options: _containers.MessageMap[str, _generate_pb2.ProviderOptions]
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[EmbedInput, _Mapping]]] = ..., dimensions: _Optional[int] = ..., task: _Optional[str] = ..., truncate: _Optional[str] = ..., routing: _Optional[_Union[_routing_pb2.RoutingOptions, _Mapping]] = ..., cache: _Optional[_Union[_cache_pb2.CacheControl, _Mapping]] = ..., end_user_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., provider_options: _Optional[_Mapping[str, _generate_pb2.ProviderOptions]] = ...) -> None: ...

class EmbedInput(_message.Message):
    __slots__ = ("text", "token_ids", "image")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    token_ids: _content_pb2.TokenIds
    image: _content_pb2.Media
    def __init__(self, text: _Optional[str] = ..., token_ids: _Optional[_Union[_content_pb2.TokenIds, _Mapping]] = ..., image: _Optional[_Union[_content_pb2.Media, _Mapping]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("model", "embeddings", "usage", "routing", "warnings")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    model: str
    embeddings: _containers.RepeatedCompositeFieldContainer[Embedding]
    usage: _usage_pb2.Usage
    routing: _routing_pb2.RoutingInfo
    warnings: _containers.RepeatedCompositeFieldContainer[_result_pb2.Warning]
    def __init__(self, model: _Optional[str] = ..., embeddings: _Optional[_Iterable[_Union[Embedding, _Mapping]]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., routing: _Optional[_Union[_routing_pb2.RoutingInfo, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[_result_pb2.Warning, _Mapping]]] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("index", "values")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    index: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, index: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...
