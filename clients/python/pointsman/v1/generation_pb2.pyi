from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerationConfigVerbosity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GENERATION_CONFIG_VERBOSITY_UNSPECIFIED: _ClassVar[GenerationConfigVerbosity]
    GENERATION_CONFIG_VERBOSITY_LOW: _ClassVar[GenerationConfigVerbosity]
    GENERATION_CONFIG_VERBOSITY_MEDIUM: _ClassVar[GenerationConfigVerbosity]
    GENERATION_CONFIG_VERBOSITY_HIGH: _ClassVar[GenerationConfigVerbosity]

class ReasoningConfigMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASONING_CONFIG_MODE_UNSPECIFIED: _ClassVar[ReasoningConfigMode]
    REASONING_CONFIG_MODE_DISABLED: _ClassVar[ReasoningConfigMode]
    REASONING_CONFIG_MODE_ENABLED: _ClassVar[ReasoningConfigMode]
    REASONING_CONFIG_MODE_ADAPTIVE: _ClassVar[ReasoningConfigMode]

class ReasoningConfigEffort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASONING_CONFIG_EFFORT_UNSPECIFIED: _ClassVar[ReasoningConfigEffort]
    REASONING_CONFIG_EFFORT_MINIMAL: _ClassVar[ReasoningConfigEffort]
    REASONING_CONFIG_EFFORT_LOW: _ClassVar[ReasoningConfigEffort]
    REASONING_CONFIG_EFFORT_MEDIUM: _ClassVar[ReasoningConfigEffort]
    REASONING_CONFIG_EFFORT_HIGH: _ClassVar[ReasoningConfigEffort]
    REASONING_CONFIG_EFFORT_XHIGH: _ClassVar[ReasoningConfigEffort]
    REASONING_CONFIG_EFFORT_MAX: _ClassVar[ReasoningConfigEffort]

class ReasoningConfigSummary(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASONING_CONFIG_SUMMARY_UNSPECIFIED: _ClassVar[ReasoningConfigSummary]
    REASONING_CONFIG_SUMMARY_AUTO: _ClassVar[ReasoningConfigSummary]
    REASONING_CONFIG_SUMMARY_CONCISE: _ClassVar[ReasoningConfigSummary]
    REASONING_CONFIG_SUMMARY_DETAILED: _ClassVar[ReasoningConfigSummary]
GENERATION_CONFIG_VERBOSITY_UNSPECIFIED: GenerationConfigVerbosity
GENERATION_CONFIG_VERBOSITY_LOW: GenerationConfigVerbosity
GENERATION_CONFIG_VERBOSITY_MEDIUM: GenerationConfigVerbosity
GENERATION_CONFIG_VERBOSITY_HIGH: GenerationConfigVerbosity
REASONING_CONFIG_MODE_UNSPECIFIED: ReasoningConfigMode
REASONING_CONFIG_MODE_DISABLED: ReasoningConfigMode
REASONING_CONFIG_MODE_ENABLED: ReasoningConfigMode
REASONING_CONFIG_MODE_ADAPTIVE: ReasoningConfigMode
REASONING_CONFIG_EFFORT_UNSPECIFIED: ReasoningConfigEffort
REASONING_CONFIG_EFFORT_MINIMAL: ReasoningConfigEffort
REASONING_CONFIG_EFFORT_LOW: ReasoningConfigEffort
REASONING_CONFIG_EFFORT_MEDIUM: ReasoningConfigEffort
REASONING_CONFIG_EFFORT_HIGH: ReasoningConfigEffort
REASONING_CONFIG_EFFORT_XHIGH: ReasoningConfigEffort
REASONING_CONFIG_EFFORT_MAX: ReasoningConfigEffort
REASONING_CONFIG_SUMMARY_UNSPECIFIED: ReasoningConfigSummary
REASONING_CONFIG_SUMMARY_AUTO: ReasoningConfigSummary
REASONING_CONFIG_SUMMARY_CONCISE: ReasoningConfigSummary
REASONING_CONFIG_SUMMARY_DETAILED: ReasoningConfigSummary

class GenerationConfig(_message.Message):
    __slots__ = ("max_output_tokens", "temperature", "top_p", "stop_sequences", "reasoning", "seed", "n", "top_k", "presence_penalty", "frequency_penalty", "top_logprobs", "verbosity", "min_p", "repetition_penalty", "truncate_prompt_tokens", "logit_bias")
    class LogitBiasEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: float
        def __init__(self, key: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    STOP_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_PENALTY_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    TOP_LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    VERBOSITY_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOGIT_BIAS_FIELD_NUMBER: _ClassVar[int]
    max_output_tokens: int
    temperature: float
    top_p: float
    stop_sequences: _containers.RepeatedScalarFieldContainer[str]
    reasoning: ReasoningConfig
    seed: int
    n: int
    top_k: int
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    verbosity: GenerationConfigVerbosity
    min_p: float
    repetition_penalty: float
    truncate_prompt_tokens: int
    logit_bias: _containers.ScalarMap[int, float]
    def __init__(self, max_output_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., stop_sequences: _Optional[_Iterable[str]] = ..., reasoning: _Optional[_Union[ReasoningConfig, _Mapping]] = ..., seed: _Optional[int] = ..., n: _Optional[int] = ..., top_k: _Optional[int] = ..., presence_penalty: _Optional[float] = ..., frequency_penalty: _Optional[float] = ..., top_logprobs: _Optional[int] = ..., verbosity: _Optional[_Union[GenerationConfigVerbosity, str]] = ..., min_p: _Optional[float] = ..., repetition_penalty: _Optional[float] = ..., truncate_prompt_tokens: _Optional[int] = ..., logit_bias: _Optional[_Mapping[int, float]] = ...) -> None: ...

class ReasoningConfig(_message.Message):
    __slots__ = ("mode", "effort", "budget_tokens", "include", "summary")
    MODE_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_TOKENS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    mode: ReasoningConfigMode
    effort: ReasoningConfigEffort
    budget_tokens: int
    include: bool
    summary: ReasoningConfigSummary
    def __init__(self, mode: _Optional[_Union[ReasoningConfigMode, str]] = ..., effort: _Optional[_Union[ReasoningConfigEffort, str]] = ..., budget_tokens: _Optional[int] = ..., include: bool = ..., summary: _Optional[_Union[ReasoningConfigSummary, str]] = ...) -> None: ...

class OutputFormat(_message.Message):
    __slots__ = ("json_schema", "json_object", "regex", "grammar", "choice")
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    JSON_OBJECT_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    json_schema: JsonSchemaFormat
    json_object: JsonObjectFormat
    regex: str
    grammar: str
    choice: ChoiceFormat
    def __init__(self, json_schema: _Optional[_Union[JsonSchemaFormat, _Mapping]] = ..., json_object: _Optional[_Union[JsonObjectFormat, _Mapping]] = ..., regex: _Optional[str] = ..., grammar: _Optional[str] = ..., choice: _Optional[_Union[ChoiceFormat, _Mapping]] = ...) -> None: ...

class JsonSchemaFormat(_message.Message):
    __slots__ = ("name", "schema_json", "strict", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema_json: str
    strict: bool
    description: str
    def __init__(self, name: _Optional[str] = ..., schema_json: _Optional[str] = ..., strict: bool = ..., description: _Optional[str] = ...) -> None: ...

class JsonObjectFormat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChoiceFormat(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...
