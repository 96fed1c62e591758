from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_SYSTEM: _ClassVar[Role]
    ROLE_DEVELOPER: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]
    ROLE_TOOL: _ClassVar[Role]

class ReasoningKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASONING_KIND_UNSPECIFIED: _ClassVar[ReasoningKind]
    REASONING_KIND_THOUGHT: _ClassVar[ReasoningKind]
    REASONING_KIND_SUMMARY: _ClassVar[ReasoningKind]
    REASONING_KIND_PLAN: _ClassVar[ReasoningKind]

class MediaDetail(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEDIA_DETAIL_UNSPECIFIED: _ClassVar[MediaDetail]
    MEDIA_DETAIL_LOW: _ClassVar[MediaDetail]
    MEDIA_DETAIL_HIGH: _ClassVar[MediaDetail]
    MEDIA_DETAIL_AUTO: _ClassVar[MediaDetail]
ROLE_UNSPECIFIED: Role
ROLE_SYSTEM: Role
ROLE_DEVELOPER: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
ROLE_TOOL: Role
REASONING_KIND_UNSPECIFIED: ReasoningKind
REASONING_KIND_THOUGHT: ReasoningKind
REASONING_KIND_SUMMARY: ReasoningKind
REASONING_KIND_PLAN: ReasoningKind
MEDIA_DETAIL_UNSPECIFIED: MediaDetail
MEDIA_DETAIL_LOW: MediaDetail
MEDIA_DETAIL_HIGH: MediaDetail
MEDIA_DETAIL_AUTO: MediaDetail

class Conversation(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("role", "parts", "name")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    role: Role
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    name: str
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., name: _Optional[str] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("text", "reasoning", "tool_call", "tool_result", "image", "refusal", "audio", "file", "provider_part", "signature", "origin", "citations", "cache_breakpoint")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    TOOL_RESULT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_PART_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    CACHE_BREAKPOINT_FIELD_NUMBER: _ClassVar[int]
    text: str
    reasoning: Reasoning
    tool_call: ToolCall
    tool_result: ToolResult
    image: Media
    refusal: str
    audio: Media
    file: Media
    provider_part: ProviderPart
    signature: bytes
    origin: str
    citations: _containers.RepeatedCompositeFieldContainer[Citation]
    cache_breakpoint: bool
    def __init__(self, text: _Optional[str] = ..., reasoning: _Optional[_Union[Reasoning, _Mapping]] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., tool_result: _Optional[_Union[ToolResult, _Mapping]] = ..., image: _Optional[_Union[Media, _Mapping]] = ..., refusal: _Optional[str] = ..., audio: _Optional[_Union[Media, _Mapping]] = ..., file: _Optional[_Union[Media, _Mapping]] = ..., provider_part: _Optional[_Union[ProviderPart, _Mapping]] = ..., signature: _Optional[bytes] = ..., origin: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[Citation, _Mapping]]] = ..., cache_breakpoint: bool = ...) -> None: ...

class Reasoning(_message.Message):
    __slots__ = ("text", "kind")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    text: str
    kind: ReasoningKind
    def __init__(self, text: _Optional[str] = ..., kind: _Optional[_Union[ReasoningKind, str]] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("id", "name", "arguments_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    arguments_json: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class ToolResult(_message.Message):
    __slots__ = ("tool_call_id", "name", "parts", "is_error")
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    IS_ERROR_FIELD_NUMBER: _ClassVar[int]
    tool_call_id: str
    name: str
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    is_error: bool
    def __init__(self, tool_call_id: _Optional[str] = ..., name: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., is_error: bool = ...) -> None: ...

class Media(_message.Message):
    __slots__ = ("url", "data", "media_type", "detail", "filename")
    URL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    url: str
    data: bytes
    media_type: str
    detail: MediaDetail
    filename: str
    def __init__(self, url: _Optional[str] = ..., data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., detail: _Optional[_Union[MediaDetail, str]] = ..., filename: _Optional[str] = ...) -> None: ...

class ProviderPart(_message.Message):
    __slots__ = ("dialect", "json")
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    dialect: str
    json: str
    def __init__(self, dialect: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class Citation(_message.Message):
    __slots__ = ("start", "end", "url", "title", "document_id")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    url: str
    title: str
    document_id: str
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., url: _Optional[str] = ..., title: _Optional[str] = ..., document_id: _Optional[str] = ...) -> None: ...

class TokenIds(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...
