"""What a provider can do, as a value: contract field -> its name on the wire, and what no name can say.

A field that a profile does not list is not sent, and its use is reported.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from pointsman_server.domain import MediaKind, ReasoningEffort, ReasoningMode
from pointsman_server.errors import Reason


class UnaryUpstream(enum.StrEnum):
    """How a call for one whole answer is sent."""

    UNARY = "unary"
    STREAM = "stream"
    """For servers that go on with a unary call when its caller leaves, but stop a stream."""


@dataclass(frozen=True, slots=True)
class EmbeddingProfile:
    """What a provider takes of a call for vectors, and how much at once."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Contract field -> name on the wire; of `dimensions`, `task`, `truncate` and `end_user_id`."""
    max_inputs: int = 2048
    """Of one request; more go in several."""
    max_tokens: int = 0
    """Of one request, as far as an estimate can tell; 0: no bound that is known."""
    max_images: int = 1
    """Of one request."""
    token_ids: bool = False
    images_inline: bool = False
    images_by_url: bool = False
    base64: bool = False
    """Sends vectors as the base64 text of their bytes when it is asked to, which is far less to send and to read."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """The provider's words for what callers may call `query` or `document`; any other word goes as it is."""
    truncations: Mapping[str, object] = field(default_factory=dict)
    """Word of `truncate` -> the wire's value; where there are any, other words are not taken."""

    def truncation(self, word: str) -> object:
        """The wire's value of a word; None where it is not sent."""
        if not word or "truncate" not in self.fields:
            return None
        return self.truncations.get(word.lower()) if self.truncations else word

    def without(self, paths: Collection[str]) -> EmbeddingProfile:
        """The same, but not taking these contract fields."""
        kept = {path: name for path, name in self.fields.items() if path not in paths}
        return self if len(kept) == len(self.fields) else replace(self, fields=kept)


@dataclass(frozen=True, slots=True)
class Profile:
    """One provider, as far as its dialect has to know it."""

    provider: str
    dialect: str
    default_url: str
    """Empty: the configuration must name one."""
    fields: Mapping[str, str]
    """Contract field -> name on the wire; a dot leads into an object, an empty name: no field is needed."""
    efforts: Mapping[ReasoningEffort, str] = field(default_factory=dict)
    modes: Mapping[ReasoningMode, str | int] = field(default_factory=dict)
    """Values of the field of `generation.reasoning.mode`."""
    budget_modes: frozenset[ReasoningMode] = frozenset(ReasoningMode)
    """Modes beside which a budget can be told."""
    max_stop_sequences: int = 0
    """0: as many as the contract allows."""
    logprob_alternatives: bool = True
    """Without it, only the chosen tokens' probabilities are told."""
    images_by_url: bool = True
    images_inline: bool = True
    audio_by_url: bool = False
    audio_inline: bool = False
    files_inline: bool = False
    files_by_url: bool = False
    media_schemes: frozenset[str] = frozenset({"http", "https"})
    """Of addresses that the provider fetches media from."""
    spoken_media: bool = False
    """Takes back what the assistant showed."""
    media_types: Mapping[MediaKind, tuple[str, ...]] = field(default_factory=dict)
    """Beginnings of the media types that are taken, in lower case; a kind that is not listed: any."""
    prompts: bool = False
    """Takes plain text to continue; without it, the text is sent as what a user says."""
    prompt_names: Mapping[str, str] = field(default_factory=dict)
    """Fields that have another name where a prompt or tokens are continued."""
    prompt_lacks: tuple[str, ...] = (
        "tools", "tool_choice", "generation.reasoning", "generation.verbosity", "output_format.json",
    )  # fmt: skip
    """Beginnings of the fields that only a conversation has."""
    token_ids: bool = False
    """Takes tokens to continue."""
    chat_templates: bool = False
    """Takes plain text alone: a conversation is written in the model's chat template."""
    developer_role: bool = False
    """Without it, the words of a developer are sent as the system's."""
    strict_turns: bool = False
    """User and assistant take turns, and the user has the first and the last word, or a tool has it."""
    speaker_names: bool = True
    """Takes the name of who speaks; without it the name is dropped."""
    image_detail: bool = True
    """Takes how closely an image is to be looked at."""
    named_tool_choice: bool = True
    """Without it, one forced tool is offered alone and some call is required."""
    allowed_tools_choice: bool = False
    """Without it, tools that are not allowed are left out."""
    required_tool_choice: str = "required"
    """The word for any tool at all; empty: only a single one can be forced, by its name."""
    tool_id_length: int = 0
    """Ids of calls consist of so many letters and digits, and others are mapped; 0: any text will do."""
    tool_result_names: bool = False
    """A tool's result names the tool."""
    media_objects: bool = True
    """The address of media stands in an object of its own; without it, bare."""
    null_content: bool = True
    """A turn of the assistant without any text says so; without it, it has no content at all."""
    deployments: bool = False
    """Its URLs are those of Azure: a resource with deployments."""
    answer_prefix: bool = False
    """A last turn of the assistant is marked as the beginning of the answer."""
    reasoning_history: str = ""
    """Where earlier reasoning goes in a message of the assistant; `content`: among its pieces; empty: it is dropped,
    but for what is signed and goes back to its maker."""
    effort_or_budget: bool = False
    """Takes one of the two at a time; the budget is the finer word."""
    refusal_history: bool = False
    """Without it, an earlier refusal is sent as text."""
    signatures: bool = False
    """Takes the signatures of its own earlier answers back; without it they are dropped."""
    provider_parts: bool = True
    """Takes parts in the provider's own words."""
    citation_history: bool = False
    """Takes citations in the history; without it they are dropped."""
    tool_result_media: bool = False
    """Takes more than text from a tool."""
    schema_as_value: bool = False
    """Takes the schema of the output as the `value` of `json_object`, as TGI does, not as `json_schema`."""
    cache_breakpoints: bool = False
    """Is told where a prefix ends that is worth keeping."""
    returns_reasoning: bool = True
    usage_option: bool = True
    """Whether a stream must be asked for its usage."""
    api_version: str = ""
    """The version of the provider's API that this is the profile of, where it has several."""
    key_header: str = "authorization"
    """Where a key goes whose kind the configuration leaves open; `authorization` takes it as a bearer token."""
    late_ratings: bool = False
    """Judgements of an answer may come behind its finish reason."""
    error_codes: Mapping[str, Reason] = field(default_factory=dict)
    """Codes and types of its errors that mean something else, or more, than in the dialect; in lower case."""
    answer_id_headers: tuple[str, ...] = ("x-request-id",)
    """Where an answer tells the provider's own id of the request, the best first."""
    request_id_header: str = "x-request-id"
    caller_headers: frozenset[str] = frozenset({"x-request-id"})
    """What a caller may set through provider_options."""
    unary_upstream: UnaryUpstream = UnaryUpstream.UNARY
    streaming: bool = True
    """Without it, a streaming caller is answered in one piece."""
    generates: bool = True
    """Answers questions; without it, it is there for vectors alone."""
    embeddings: EmbeddingProfile | None = None
    """What it takes to make vectors; None: it makes none."""
    model_in_path: bool = False
    """Names the model in the path; without it the server has but one, or it is named in the body."""
    counts_tokens: bool = False
    """Counts the tokens of a question with the model's own tokenizer."""

    def streams(self, *, stream: bool) -> bool:
        """Whether the provider is asked for a stream: as the caller does, for unary callers too, or for nobody."""
        return self.streaming and (stream or self.unary_upstream is UnaryUpstream.STREAM)

    @property
    def prompt_fields(self) -> Mapping[str, str]:
        """`fields` where a prompt or tokens are continued: nothing that only a conversation has."""
        return {
            path: self.prompt_names.get(path, name)
            for path, name in self.fields.items()
            if not path.startswith(self.prompt_lacks)
        }

    def without(self, paths: Iterable[str]) -> Profile:
        """The same, but not taking these contract fields nor what is below them."""
        dropped = tuple(paths)
        kept = {
            path: name
            for path, name in self.fields.items()
            if not any(path == drop or path.startswith(f"{drop}.") for drop in dropped)
        }
        embeddings = None if self.embeddings is None else self.embeddings.without(dropped)
        if len(kept) == len(self.fields) and embeddings is self.embeddings:
            return self
        return replace(self, fields=kept, embeddings=embeddings)
