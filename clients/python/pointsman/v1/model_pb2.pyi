from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_VIEW_UNSPECIFIED: _ClassVar[ModelView]
    MODEL_VIEW_BASIC: _ClassVar[ModelView]
    MODEL_VIEW_FULL: _ClassVar[ModelView]

class ModelCapability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_CAPABILITY_UNSPECIFIED: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_GENERATE: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_STREAMING: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_TOOLS: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_PARALLEL_TOOLS: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_JSON_SCHEMA: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_JSON_OBJECT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_GRAMMAR: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_REASONING: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_LOGPROBS: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_IMAGE_INPUT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_AUDIO_INPUT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_FILE_INPUT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_SEED: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_MULTIPLE_CANDIDATES: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_PROMPT_CACHING: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_EMBEDDING: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_PROMPT_INPUT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_TOKEN_INPUT: _ClassVar[ModelCapability]
    MODEL_CAPABILITY_COUNT_TOKENS: _ClassVar[ModelCapability]

class Modality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODALITY_UNSPECIFIED: _ClassVar[Modality]
    MODALITY_TEXT: _ClassVar[Modality]
    MODALITY_IMAGE: _ClassVar[Modality]
    MODALITY_AUDIO: _ClassVar[Modality]
    MODALITY_FILE: _ClassVar[Modality]
    MODALITY_EMBEDDING: _ClassVar[Modality]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_AVAILABLE: _ClassVar[ModelState]
    MODEL_STATE_DEGRADED: _ClassVar[ModelState]
    MODEL_STATE_UNAVAILABLE: _ClassVar[ModelState]
MODEL_VIEW_UNSPECIFIED: ModelView
MODEL_VIEW_BASIC: ModelView
MODEL_VIEW_FULL: ModelView
MODEL_CAPABILITY_UNSPECIFIED: ModelCapability
MODEL_CAPABILITY_GENERATE: ModelCapability
MODEL_CAPABILITY_STREAMING: ModelCapability
MODEL_CAPABILITY_TOOLS: ModelCapability
MODEL_CAPABILITY_PARALLEL_TOOLS: ModelCapability
MODEL_CAPABILITY_JSON_SCHEMA: ModelCapability
MODEL_CAPABILITY_JSON_OBJECT: ModelCapability
MODEL_CAPABILITY_GRAMMAR: ModelCapability
MODEL_CAPABILITY_REASONING: ModelCapability
MODEL_CAPABILITY_LOGPROBS: ModelCapability
MODEL_CAPABILITY_IMAGE_INPUT: ModelCapability
MODEL_CAPABILITY_AUDIO_INPUT: ModelCapability
MODEL_CAPABILITY_FILE_INPUT: ModelCapability
MODEL_CAPABILITY_SEED: ModelCapability
MODEL_CAPABILITY_MULTIPLE_CANDIDATES: ModelCapability
MODEL_CAPABILITY_PROMPT_CACHING: ModelCapability
MODEL_CAPABILITY_EMBEDDING: ModelCapability
MODEL_CAPABILITY_PROMPT_INPUT: ModelCapability
MODEL_CAPABILITY_TOKEN_INPUT: ModelCapability
MODEL_CAPABILITY_COUNT_TOKENS: ModelCapability
MODALITY_UNSPECIFIED: Modality
MODALITY_TEXT: Modality
MODALITY_IMAGE: Modality
MODALITY_AUDIO: Modality
MODALITY_FILE: Modality
MODALITY_EMBEDDING: Modality
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_AVAILABLE: ModelState
MODEL_STATE_DEGRADED: ModelState
MODEL_STATE_UNAVAILABLE: ModelState

class Model(_message.Message):
    __slots__ = ("name", "display_name", "aliases", "owner", "input_token_limit", "output_token_limit", "capabilities", "input_modalities", "output_modalities", "pricing", "backend_count", "healthy_backend_count", "state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKEN_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKEN_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    INPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    PRICING_FIELD_NUMBER: _ClassVar[int]
    BACKEND_COUNT_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_BACKEND_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    owner: str
    input_token_limit: int
    output_token_limit: int
    capabilities: _containers.RepeatedScalarFieldContainer[ModelCapability]
    input_modalities: _containers.RepeatedScalarFieldContainer[Modality]
    output_modalities: _containers.RepeatedScalarFieldContainer[Modality]
    pricing: Pricing
    backend_count: int
    healthy_backend_count: int
    state: ModelState
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., owner: _Optional[str] = ..., input_token_limit: _Optional[int] = ..., output_token_limit: _Optional[int] = ..., capabilities: _Optional[_Iterable[_Union[ModelCapability, str]]] = ..., input_modalities: _Optional[_Iterable[_Union[Modality, str]]] = ..., output_modalities: _Optional[_Iterable[_Union[Modality, str]]] = ..., pricing: _Optional[_Union[Pricing, _Mapping]] = ..., backend_count: _Optional[int] = ..., healthy_backend_count: _Optional[int] = ..., state: _Optional[_Union[ModelState, str]] = ...) -> None: ...

class Pricing(_message.Message):
    __slots__ = ("currency", "input_nanos", "output_nanos", "cached_input_nanos", "cache_write_nanos", "reasoning_nanos")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INPUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_NANOS_FIELD_NUMBER: _ClassVar[int]
    REASONING_NANOS_FIELD_NUMBER: _ClassVar[int]
    currency: str
    input_nanos: int
    output_nanos: int
    cached_input_nanos: int
    cache_write_nanos: int
    reasoning_nanos: int
    def __init__(self, currency: _Optional[str] = ..., input_nanos: _Optional[int] = ..., output_nanos: _Optional[int] = ..., cached_input_nanos: _Optional[int] = ..., cache_write_nanos: _Optional[int] = ..., reasoning_nanos: _Optional[int] = ...) -> None: ...
