"""A call + a profile -> what the provider cannot honour, as warnings that name the contract's fields. Pure.

Dialects ask `wire_fields`, `effort_of` and `mode_of` for what they send, so that what is reported is what is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import assert_never

from pointsman_server.domain import (
    SYSTEM_ROLES,
    AnyCall,
    Call,
    Choice,
    Conversation,
    CountCall,
    EmbedCall,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Media,
    MediaKind,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningMode,
    Refusal,
    Regex,
    Role,
    Text,
    TokenIds,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
    Warning,
)
from pointsman_server.upstreams.translation.media import is_inline
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile

UNSUPPORTED_PARAMETER = "UNSUPPORTED_PARAMETER"
"""A field that this provider does not take; the call is sent without it."""
CONTENT_DROPPED = "CONTENT_DROPPED"
"""Something in the history that only its maker understands; the call is sent without it."""
UNSUPPORTED_CONTENT = "UNSUPPORTED_CONTENT"
"""Something without which the call makes no sense."""
INELIGIBLE_CODES = frozenset({UNSUPPORTED_CONTENT})
"""With one of these the provider must not be asked."""

SCALARS: tuple[str, ...] = (
    "max_output_tokens", "temperature", "top_p", "seed", "n", "top_k", "presence_penalty", "frequency_penalty",
    "top_logprobs", "verbosity", "min_p", "repetition_penalty", "truncate_prompt_tokens",
)  # fmt: skip
"""Fields of Generation that are None or one value."""
_SCALAR_PATHS = tuple((name, f"generation.{name}") for name in SCALARS)


def wire_fields(call: Call, profile: Profile) -> Mapping[str, str]:
    """The profile's fields that this kind of call may use."""
    return profile.fields if is_chat(call, profile) else profile.prompt_fields


def is_chat(call: Call, profile: Profile) -> bool:
    """Whether the call is sent as a conversation."""
    return isinstance(call.input, Conversation) or (isinstance(call.input, Prompt) and not profile.prompts)


def effort_of(config: ReasoningConfig, fields: Mapping[str, str], profile: Profile) -> str | None:
    """The wire's word for the effort, where there is one."""
    if config.effort is None or "generation.reasoning.effort" not in fields:
        return None
    if profile.effort_or_budget and config.budget_tokens is not None:
        return None
    return profile.efforts.get(config.effort)


def mode_of(config: ReasoningConfig, fields: Mapping[str, str], profile: Profile) -> str | int | None:
    """The wire's value for the mode, where there is one."""
    if config.mode is None or "generation.reasoning.mode" not in fields:
        return None
    return profile.modes.get(config.mode)


def budget_of(config: ReasoningConfig, fields: Mapping[str, str], profile: Profile) -> int | None:
    """The budget in tokens, where the wire can tell one beside the mode."""
    if "generation.reasoning.budget_tokens" not in fields:
        return None
    return config.budget_tokens if config.mode is None or config.mode in profile.budget_modes else None


def hides_reasoning(call: Call, profile: Profile) -> bool:
    """Whether reasoning that comes is not passed on, as the caller chose."""
    config = call.generation.reasoning
    return config is not None and config.include is False and "generation.reasoning.include" in profile.fields


def origin(profile: Profile, model: str) -> str:
    """Whose a signature is: only the same dialect and model can read it again."""
    return f"{profile.dialect}:{model}"


def unsupported(call: AnyCall, profile: Profile, model: str = "") -> tuple[Warning, ...]:
    """Everything that this profile cannot honour of the call with this model; nothing of it is sent."""
    match call:
        case EmbedCall() if profile.embeddings is not None:
            return tuple(_embedding(call, profile.embeddings, profile.media_schemes))
        case EmbedCall():
            return (Warning(UNSUPPORTED_CONTENT, "model", "the provider makes no embeddings"),)
        case Call() | CountCall() if not profile.generates:
            return (Warning(UNSUPPORTED_CONTENT, "model", "the provider makes embeddings only"),)
        case Call():
            return _question(call, profile, model)
        case CountCall(asked):
            return _question(asked, profile, model)
        case _:
            assert_never(call)


def _embedding(call: EmbedCall, profile: EmbeddingProfile, schemes: Collection[str]) -> Iterator[Warning]:
    for path, given in (
        ("dimensions", call.dimensions is not None),
        ("task", bool(call.task)),
        ("end_user_id", bool(call.end_user_id)),
        ("routing.priority", bool(call.routing.priority)),
    ):
        if given and path not in profile.fields:
            yield _parameter(path)
    if call.truncate and profile.truncation(call.truncate) is None:
        yield _parameter("truncate")
    for position, one in enumerate(call.inputs):
        match one:
            case Text():
                pass
            case TokenIds():
                if not profile.token_ids:
                    yield _ineligible(f"inputs[{position}].token_ids", "token ids")
            case Media():
                if not takes_image(one, profile, schemes):
                    yield _ineligible(f"inputs[{position}].image", "this image")
                elif one.detail is not None:
                    yield _parameter(f"inputs[{position}].image.detail")
            case _:
                assert_never(one)


def takes_image(image: Media, profile: EmbeddingProfile, schemes: Collection[str]) -> bool:
    """Whether the provider makes a vector of the image in the way that it is given."""
    if is_inline(image):
        return profile.images_inline
    return profile.images_by_url and image.url.partition(":")[0].lower() in schemes


def _question(call: Call, profile: Profile, model: str) -> tuple[Warning, ...]:
    fields = wire_fields(call, profile)
    found = [*_generation(call.generation, fields, profile), *_rest(call, fields)]
    if call.tools or call.tool_choice is not None:
        found.extend(_tools(call, fields, profile))
    match call.input:
        case Conversation(messages):
            if profile.strict_turns and not _in_turns(messages):
                found.append(_ineligible("conversation.messages", "what the user does not begin and end"))
            for position, message in enumerate(messages):
                if not _is_plain(message) or message.name:
                    found.extend(_message(f"conversation.messages[{position}]", message, profile, model))
        case Prompt() if not profile.prompts:
            found.append(Warning(UNSUPPORTED_PARAMETER, "prompt", "sent as what one user says"))
        case TokenIds() if not profile.token_ids:
            found.append(_ineligible("token_ids", "token ids"))
        case Prompt() | TokenIds():
            pass
        case _:
            assert_never(call.input)
    return tuple(found)


def _generation(generation: Generation, fields: Mapping[str, str], profile: Profile) -> Iterator[Warning]:
    for name, path in _SCALAR_PATHS:
        if getattr(generation, name) is not None and path not in fields:
            yield _parameter(path)
    if generation.stop_sequences:
        yield from _stop(len(generation.stop_sequences), fields, profile)
    alternatives = generation.top_logprobs and "generation.top_logprobs" in fields
    if alternatives and not profile.logprob_alternatives:
        text = "the provider tells the probabilities of the chosen tokens only"
        yield Warning(UNSUPPORTED_PARAMETER, "generation.top_logprobs", text)
    if generation.logit_bias and "generation.logit_bias" not in fields:
        yield _parameter("generation.logit_bias")
    if generation.reasoning is not None:
        yield from _reasoning(generation.reasoning, fields, profile)


def _stop(count: int, fields: Mapping[str, str], profile: Profile) -> Iterator[Warning]:
    path = "generation.stop_sequences"
    if path not in fields:
        yield _parameter(path)
    elif 0 < profile.max_stop_sequences < count:
        text = f"the provider takes {profile.max_stop_sequences} stop sequences; the others are not sent"
        yield Warning(UNSUPPORTED_PARAMETER, path, text)


def _reasoning(config: ReasoningConfig, fields: Mapping[str, str], profile: Profile) -> Iterator[Warning]:
    effort, mode = effort_of(config, fields, profile), mode_of(config, fields, profile)
    if config.effort is not None and effort is None:
        yield _parameter("generation.reasoning.effort")
    # An effort that is sent says by itself that the model is to reason.
    implied = config.mode is not None and config.mode is not ReasoningMode.DISABLED and effort is not None
    if config.mode is not None and mode is None and not implied:
        yield _parameter("generation.reasoning.mode")
    if config.budget_tokens is not None and budget_of(config, fields, profile) is None:
        yield _parameter("generation.reasoning.budget_tokens")
    if config.summary is not None and "generation.reasoning.summary" not in fields:
        yield _parameter("generation.reasoning.summary")
    taken = "generation.reasoning.include" in fields and (profile.returns_reasoning or not config.include)
    if config.include is not None and not taken:
        yield _parameter("generation.reasoning.include")


def only_tool(call: Call) -> str:
    """The name of the one tool that may be called; empty when there are others or none."""
    choice = call.tool_choice
    names = {tool.name for tool in call.tools}
    if choice is not None and choice.allowed_tools:
        names.intersection_update(choice.allowed_tools)
    return names.pop() if len(names) == 1 else ""


def _can_force(call: Call, fields: Mapping[str, str], profile: Profile) -> bool:
    """Whether the wire has a word for a call that must be made."""
    if "tool_choice.mode" not in fields:
        return False
    return bool(profile.required_tool_choice or (profile.named_tool_choice and only_tool(call)))


def _tools(call: Call, fields: Mapping[str, str], profile: Profile) -> Iterator[Warning]:
    choice = call.tool_choice
    if call.tools and "tools" not in fields:
        forced = choice is not None and choice.mode is ToolChoiceMode.REQUIRED
        yield _ineligible("tools", "tools") if forced else _parameter("tools")
        return
    for position, tool in enumerate(call.tools):
        if tool.strict and "tools.strict" not in fields:
            yield _parameter(f"tools[{position}].strict")
    if choice is None:
        return
    # Without the field, AUTO is what happens anyway, and NONE is said by offering no tools.
    if choice.mode is ToolChoiceMode.REQUIRED and not _can_force(call, fields, profile):
        yield _parameter("tool_choice.mode")
    if choice.allowed_tools and "tool_choice.allowed_tools" not in fields:
        yield _parameter("tool_choice.allowed_tools")
    if choice.parallel_calls is not None and "tool_choice.parallel_calls" not in fields:
        yield _parameter("tool_choice.parallel_calls")


def _rest(call: Call, fields: Mapping[str, str]) -> Iterator[Warning]:
    if call.output_format is not None and (path := format_path(call)) not in fields:
        yield _parameter(path)
    if call.end_user_id and "end_user_id" not in fields:
        yield _parameter("end_user_id")
    if call.provider_metadata and "provider_metadata" not in fields:
        yield _parameter("provider_metadata")
    if call.routing.priority and "routing.priority" not in fields:
        yield _parameter("routing.priority")
    if call.cache is not None and call.cache.prefix_cache_salt and "cache.prefix_cache_salt" not in fields:
        yield _parameter("cache.prefix_cache_salt")


def format_path(call: Call) -> str:
    """The contract field of the output format; empty without one."""
    match call.output_format:
        case None:
            return ""
        case JsonSchema():
            return "output_format.json_schema"
        case JsonObject():
            return "output_format.json_object"
        case Regex():
            return "output_format.regex"
        case Grammar():
            return "output_format.grammar"
        case Choice():
            return "output_format.choice"
        case _:
            assert_never(call.output_format)


def _in_turns(messages: Sequence[Message]) -> bool:
    """Whether somebody else than the assistant has the first and the last word."""
    speakers = [message.role for message in messages if message.role not in SYSTEM_ROLES]
    return bool(speakers) and speakers[0] is Role.USER and speakers[-1] is not Role.ASSISTANT


def _is_plain(message: Message) -> bool:
    """The common case: one bare text."""
    if len(message.parts) != 1:
        return False
    part = message.parts[0]
    return type(part.content) is Text and not (part.signature or part.citations or part.cache_breakpoint)


def takes_signature(part: Part, profile: Profile, model: str) -> bool:
    """Whether the part's signature goes back to its maker."""
    return bool(part.signature) and profile.signatures and part.origin == origin(profile, model)


def _message(path: str, message: Message, profile: Profile, model: str) -> Iterator[Warning]:
    spoken = message.role is Role.ASSISTANT
    if message.name and not profile.speaker_names:
        yield _dropped(f"{path}.name", "names of speakers")
    for position, part in enumerate(message.parts):
        here = f"{path}.parts[{position}]"
        if part.signature and not takes_signature(part, profile, model):
            what = "signatures of another origin" if profile.signatures else "signatures"
            yield _dropped(f"{here}.signature", what)
        if part.citations and not profile.citation_history:
            yield _dropped(f"{here}.citations", "citations in the history")
        if asks_breakpoint(part) and not takes_breakpoint(part, profile):
            yield _parameter(f"{here}.cache_breakpoint")
        yield from _part(here, part, profile, model, spoken=spoken)


def asks_breakpoint(part: Part) -> bool:
    """Whether a prefix worth keeping is to end with this part, or inside it."""
    content = part.content
    return part.cache_breakpoint or (
        isinstance(content, ToolResult) and any(inner.cache_breakpoint for inner in content.parts)
    )


def takes_breakpoint(part: Part, profile: Profile) -> bool:
    """Whether the provider can be told of it."""
    return profile.cache_breakpoints and not isinstance(part.content, Reasoning | ProviderPart)


def takes_provider_part(part: Part, profile: Profile, model: str) -> bool:
    """Whether a part that only one dialect knows is of this one, and of this model where it is bound to one."""
    content = part.content
    if not (
        isinstance(content, ProviderPart) and profile.provider_parts and content.dialect == profile.dialect
    ):
        return False
    return part.origin in ("", origin(profile, model))


def _part(path: str, part: Part, profile: Profile, model: str, *, spoken: bool) -> Iterator[Warning]:
    match content := part.content:
        case Text() | ToolCall() | Refusal():
            pass
        case Reasoning(text):
            if text and not (profile.reasoning_history or takes_signature(part, profile, model)):
                yield _dropped(f"{path}.reasoning", "reasoning in the history")
        case ToolResult(parts=parts):
            if not all(_taken_from_tool(inner, profile, model) for inner in parts):
                yield _ineligible(f"{path}.tool_result.parts", "anything but text from a tool")
        case Media(kind):
            if not takes_media(content, profile) or (spoken and not profile.spoken_media):
                yield _ineligible(f"{path}.{kind.value}", f"this {kind.value}")
            elif content.detail is not None and not profile.image_detail:
                yield _parameter(f"{path}.{kind.value}.detail")
        case ProviderPart(dialect):
            if not takes_provider_part(part, profile, model):
                here, what = f"{path}.provider_part", f"parts of the dialect {dialect}, or of another model"
                yield _dropped(here, what) if spoken else _ineligible(here, what)
        case _:
            assert_never(content)


def _taken_from_tool(part: Part, profile: Profile, model: str) -> bool:
    content = part.content
    if isinstance(content, ProviderPart):
        return profile.tool_result_media and takes_provider_part(part, profile, model)
    if isinstance(content, Media):
        return profile.tool_result_media and takes_media(content, profile)
    return isinstance(content, Text)


def takes_media(media: Media, profile: Profile) -> bool:
    """Whether the provider takes this image, audio or file in the way that it is given."""
    scheme = media.url.partition(":")[0].lower()
    inline = is_inline(media)
    if (not inline and scheme not in profile.media_schemes) or not _takes_type(media, profile):
        return False
    match media.kind:
        case MediaKind.IMAGE:
            return profile.images_inline if inline else profile.images_by_url
        case MediaKind.AUDIO:
            return profile.audio_inline if inline else profile.audio_by_url
        case MediaKind.FILE:
            return profile.files_inline if inline else profile.files_by_url
        case _:
            assert_never(media.kind)


def _takes_type(media: Media, profile: Profile) -> bool:
    """Whether the media type is one that the provider takes; one that is not told is not known to be another."""
    taken = profile.media_types.get(media.kind)
    told = media.media_type
    if media.url[:5].lower() == "data:":
        told = media.url[5:].partition(",")[0].partition(";")[0]
    return taken is None or not told or told.lower().startswith(taken)


def _parameter(path: str) -> Warning:
    return Warning(UNSUPPORTED_PARAMETER, path, "the provider does not take this; it is not sent")


def _dropped(path: str, what: str) -> Warning:
    return Warning(CONTENT_DROPPED, path, f"the provider does not take {what}; it is not sent")


def _ineligible(path: str, what: str) -> Warning:
    return Warning(UNSUPPORTED_CONTENT, path, f"the provider does not take {what}")
