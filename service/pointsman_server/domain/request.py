"""What a caller wants: the contract's GenerateRequest as plain immutable values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from pointsman_server.domain.operation import Operation
from pointsman_server.domain.usage import Warning
from pointsman_server.values import value


class Role(enum.Enum):
    """Who speaks."""

    SYSTEM = "SYSTEM"
    DEVELOPER = "DEVELOPER"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


SYSTEM_ROLES = frozenset({Role.SYSTEM, Role.DEVELOPER})
"""Who instructs, and is no party to the conversation."""


class ReasoningKind(enum.Enum):
    """What kind of thinking a text is."""

    THOUGHT = "THOUGHT"
    SUMMARY = "SUMMARY"
    PLAN = "PLAN"


class MediaKind(enum.Enum):
    """What a media part is."""

    IMAGE = "image"
    AUDIO = "audio"
    FILE = "file"


class MediaDetail(enum.Enum):
    """How closely an image is looked at."""

    LOW = "LOW"
    HIGH = "HIGH"
    AUTO = "AUTO"


@value(frozen=True, slots=True)
class Text:
    """Visible text."""

    text: str


@value(frozen=True, slots=True)
class Reasoning:
    """A model's thinking."""

    text: str
    kind: ReasoningKind | None = None


@value(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for; `arguments_json` is the text of a JSON object."""

    id: str
    name: str
    arguments_json: str


@value(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back; its parts are text or media."""

    tool_call_id: str
    name: str
    parts: tuple[Part, ...]
    is_error: bool = False


@value(frozen=True, slots=True)
class Media:
    """An image, audio or file, by URL or inline; exactly one of `url` and `data` is set."""

    kind: MediaKind
    url: str = ""
    data: bytes = b""
    media_type: str = ""
    detail: MediaDetail | None = None
    filename: str = ""


@value(frozen=True, slots=True)
class Refusal:
    """The model's own refusal, where the provider tells it apart from text."""

    text: str


@value(frozen=True, slots=True)
class ProviderPart:
    """A part that only one dialect knows, as that dialect's JSON."""

    dialect: str
    json: str


Content = Text | Reasoning | ToolCall | ToolResult | Media | Refusal | ProviderPart


@value(frozen=True, slots=True)
class Citation:
    """A source for a span of text; `start` and `end` count characters of the part's text."""

    start: int = 0
    end: int = 0
    url: str = ""
    title: str = ""
    document_id: str = ""


@value(frozen=True, slots=True)
class Part:
    """One piece of a message."""

    content: Content
    signature: bytes = b""
    origin: str = ""
    citations: tuple[Citation, ...] = ()
    cache_breakpoint: bool = False


@value(frozen=True, slots=True)
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


@value(frozen=True, slots=True)
class Conversation:
    """Turns, oldest first."""

    messages: tuple[Message, ...]


@value(frozen=True, slots=True)
class Prompt:
    """Plain text to continue."""

    text: str


@value(frozen=True, slots=True)
class TokenIds:
    """Tokens to continue."""

    ids: tuple[int, ...]


@value(frozen=True, slots=True)
class Tool:
    """A function that the model may call; the schema is the text of a JSON Schema object, or empty."""

    name: str
    description: str = ""
    parameters_json_schema: str = ""
    strict: bool | None = None


class ToolChoiceMode(enum.Enum):
    """Whether tools may, must or must not be called."""

    AUTO = "AUTO"
    NONE = "NONE"
    REQUIRED = "REQUIRED"


@value(frozen=True, slots=True)
class ToolChoice:
    """How tools are used; an empty list of allowed tools allows all."""

    mode: ToolChoiceMode | None = None
    allowed_tools: tuple[str, ...] = ()
    parallel_calls: bool | None = None


class ReasoningMode(enum.Enum):
    """Whether the model thinks first."""

    DISABLED = "DISABLED"
    ENABLED = "ENABLED"
    ADAPTIVE = "ADAPTIVE"


class ReasoningEffort(enum.Enum):
    """How much it thinks."""

    MINIMAL = "MINIMAL"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    XHIGH = "XHIGH"
    MAX = "MAX"


class ReasoningSummary(enum.Enum):
    """Which summary of the thinking is wanted."""

    AUTO = "AUTO"
    CONCISE = "CONCISE"
    DETAILED = "DETAILED"


class Verbosity(enum.Enum):
    """How long answers are."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


@value(frozen=True, slots=True)
class ReasoningConfig:
    """How the model thinks; None everywhere leaves it to the provider."""

    mode: ReasoningMode | None = None
    effort: ReasoningEffort | None = None
    budget_tokens: int | None = None
    include: bool | None = None
    summary: ReasoningSummary | None = None


@value(frozen=True, slots=True)
class Generation:
    """Sampling and length; None is unset, which is not the provider's zero."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: tuple[str, ...] = ()
    reasoning: ReasoningConfig | None = None
    seed: int | None = None
    n: int | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = None
    """None: no logprobs; 0: of the chosen token only."""
    verbosity: Verbosity | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    truncate_prompt_tokens: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@value(frozen=True, slots=True)
class JsonSchema:
    """Output that satisfies a JSON Schema (its text)."""

    name: str
    schema_json: str
    strict: bool | None = None
    description: str = ""


@value(frozen=True, slots=True)
class JsonObject:
    """Output that is some JSON object."""


@value(frozen=True, slots=True)
class Regex:
    """Output that matches a regular expression."""

    pattern: str


@value(frozen=True, slots=True)
class Grammar:
    """Output that a grammar derives."""

    text: str


@value(frozen=True, slots=True)
class Choice:
    """Output that is one of these."""

    values: tuple[str, ...]


OutputFormat = JsonSchema | JsonObject | Regex | Grammar | Choice


class Objective(enum.Enum):
    """What routing rules should favour."""

    BALANCED = "BALANCED"
    LATENCY = "LATENCY"
    COST = "COST"
    QUALITY = "QUALITY"


class OnInterrupt(enum.Enum):
    """What happens when a stream breaks after content."""

    FAIL = "FAIL"
    RESTART = "RESTART"
    CONTINUE = "CONTINUE"


@value(frozen=True, slots=True)
class Fallback:
    """Where to go when the model's own targets are used up: another model, or one backend."""

    model: str = ""
    backend: str = ""


@value(frozen=True, slots=True)
class RoutingOptions:
    """The caller's say in routing."""

    policy: str = ""
    objective: Objective | None = None
    fallbacks: tuple[Fallback, ...] = ()
    allow_backends: tuple[str, ...] = ()
    deny_backends: tuple[str, ...] = ()
    session_id: str = ""
    priority: int = 0
    """-100 to 100; higher is more important."""
    max_attempts: int | None = None
    first_token_timeout_s: float | None = None
    max_queue_time_s: float | None = None
    strict_params: bool = False
    no_fallback: bool = False
    on_interrupt: OnInterrupt | None = None


@value(frozen=True, slots=True)
class StreamOptions:
    """How a stream is told."""

    include_usage_updates: bool = False
    coalesce_s: float | None = None
    """The merge window; None lets the server choose by its load, 0 merges nothing but what is ready together."""
    include_routing_events: bool = False


class CacheMode(enum.Enum):
    """How the response cache is used."""

    BYPASS = "BYPASS"
    READ_ONLY = "READ_ONLY"
    REFRESH = "REFRESH"
    READ_WRITE = "READ_WRITE"


@value(frozen=True, slots=True)
class CacheControl:
    """The caller's say in caching."""

    mode: CacheMode | None = None
    ttl_s: float | None = None
    namespace: str = ""
    prefix_cache_salt: str = ""


@value(frozen=True, slots=True)
class ProviderOptions:
    """Fields and headers for one dialect; `body_json` is the text of a JSON object, or empty."""

    body_json: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@value(frozen=True, slots=True)
class Call:
    """A whole request, decoded."""

    operation: ClassVar[Operation] = Operation.GENERATE

    model: str
    input: Conversation | Prompt | TokenIds
    generation: Generation = field(default_factory=Generation)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    output_format: OutputFormat | None = None
    routing: RoutingOptions = field(default_factory=RoutingOptions)
    stream_options: StreamOptions = field(default_factory=StreamOptions)
    cache: CacheControl | None = None
    end_user_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    provider_options: Mapping[str, ProviderOptions] = field(default_factory=dict)
    idempotency_key: str = ""
    provider_metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Warning, ...] = ()
    """What was done to it on its way in; the caller is told."""
