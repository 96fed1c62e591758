import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pointsman.v1 import cache_pb2 as _cache_pb2
from pointsman.v1 import content_pb2 as _content_pb2
from pointsman.v1 import generation_pb2 as _generation_pb2
from pointsman.v1 import result_pb2 as _result_pb2
from pointsman.v1 import routing_pb2 as _routing_pb2
from pointsman.v1 import tools_pb2 as _tools_pb2
from pointsman.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("model", "conversation", "prompt", "token_ids", "generation", "tools", "tool_choice", "output_format", "routing", "stream_options", "cache", "end_user_id", "labels", "provider_options", "idempotency_key", "provider_metadata")
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
        value: ProviderOptions
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ProviderOptions, _Mapping]] = ...) -> None: ...
    class ProviderMetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    STREAM_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    END_USER_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_METADATA_FIELD_NUMBER: _ClassVar[int]
    model: str
    conversation: _content_pb2.Conversation
    prompt: str
    token_ids: _content_pb2.TokenIds
    generation: _generation_pb2.GenerationConfig
    tools: _containers.RepeatedCompositeFieldContainer[_tools_pb2.Tool]
    tool_choice: _tools_pb2.ToolChoice
    output_format: _generation_pb2.OutputFormat
    routing: _routing_pb2.RoutingOptions
    stream_options: StreamOptions
    cache: _cache_pb2.CacheControl
    end_user_id: str
    labels: _containers.ScalarMap[str, str]
    provider_options: _containers.MessageMap[str, ProviderOptions]
    idempotency_key: str
    provider_metadata: _containers.ScalarMap[str, str]
    def __init__(self, model: _Optional[str] = ..., conversation: _Optional[_Union[_content_pb2.Conversation, _Mapping]] = ..., prompt: _Optional[str] = ..., token_ids: _Optional[_Union[_content_pb2.TokenIds, _Mapping]] = ..., generation: _Optional[_Union[_generation_pb2.GenerationConfig, _Mapping]] = ..., tools: _Optional[_Iterable[_Union[_tools_pb2.Tool, _Mapping]]] = ..., tool_choice: _Optional[_Union[_tools_pb2.ToolChoice, _Mapping]] = ..., output_format: _Optional[_Union[_generation_pb2.OutputFormat, _Mapping]] = ..., routing: _Optional[_Union[_routing_pb2.RoutingOptions, _Mapping]] = ..., stream_options: _Optional[_Union[StreamOptions, _Mapping]] = ..., cache: _Optional[_Union[_cache_pb2.CacheControl, _Mapping]] = ..., end_user_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., provider_options: _Optional[_Mapping[str, ProviderOptions]] = ..., idempotency_key: _Optional[str] = ..., provider_metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ProviderOptions(_message.Message):
    __slots__ = ("body_json", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BODY_JSON_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    body_json: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, body_json: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class StreamOptions(_message.Message):
    __slots__ = ("include_usage_updates", "coalesce", "include_routing_events")
    INCLUDE_USAGE_UPDATES_FIELD_NUMBER: _ClassVar[int]
    COALESCE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ROUTING_EVENTS_FIELD_NUMBER: _ClassVar[int]
    include_usage_updates: bool
    coalesce: _duration_pb2.Duration
    include_routing_events: bool
    def __init__(self, include_usage_updates: bool = ..., coalesce: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., include_routing_events: bool = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("response_id", "model", "candidates", "usage", "routing", "create_time", "warnings")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    model: str
    candidates: _containers.RepeatedCompositeFieldContainer[_result_pb2.Candidate]
    usage: _usage_pb2.Usage
    routing: _routing_pb2.RoutingInfo
    create_time: _timestamp_pb2.Timestamp
    warnings: _containers.RepeatedCompositeFieldContainer[_result_pb2.Warning]
    def __init__(self, response_id: _Optional[str] = ..., model: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[_result_pb2.Candidate, _Mapping]]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., routing: _Optional[_Union[_routing_pb2.RoutingInfo, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[_result_pb2.Warning, _Mapping]]] = ...) -> None: ...
