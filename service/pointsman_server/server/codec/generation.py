"""GenerationConfig and OutputFormat -> domain."""

from __future__ import annotations

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.server.codec.enums import (
    REASONING_EFFORTS,
    REASONING_MODES,
    REASONING_SUMMARIES,
    VERBOSITIES,
    decode_enum,
)


def decode_generation(config: pb.GenerationConfig) -> domain.Generation:
    """Sampling and length; a field that is not set stays None."""
    has = config.HasField
    return domain.Generation(
        max_output_tokens=config.max_output_tokens if has("max_output_tokens") else None,
        temperature=config.temperature if has("temperature") else None,
        top_p=config.top_p if has("top_p") else None,
        stop_sequences=tuple(config.stop_sequences),
        reasoning=_decode_reasoning(config.reasoning) if has("reasoning") else None,
        seed=config.seed if has("seed") else None,
        n=config.n if has("n") else None,
        top_k=config.top_k if has("top_k") else None,
        presence_penalty=config.presence_penalty if has("presence_penalty") else None,
        frequency_penalty=config.frequency_penalty if has("frequency_penalty") else None,
        top_logprobs=config.top_logprobs if has("top_logprobs") else None,
        verbosity=decode_enum(VERBOSITIES, config.verbosity, "generation.verbosity"),
        min_p=config.min_p if has("min_p") else None,
        repetition_penalty=config.repetition_penalty if has("repetition_penalty") else None,
        truncate_prompt_tokens=config.truncate_prompt_tokens if has("truncate_prompt_tokens") else None,
        logit_bias=dict(config.logit_bias),
    )


def _decode_reasoning(config: pb.ReasoningConfig) -> domain.ReasoningConfig:
    path = "generation.reasoning."
    return domain.ReasoningConfig(
        mode=decode_enum(REASONING_MODES, config.mode, path + "mode"),
        effort=decode_enum(REASONING_EFFORTS, config.effort, path + "effort"),
        budget_tokens=config.budget_tokens if config.HasField("budget_tokens") else None,
        include=config.include if config.HasField("include") else None,
        summary=decode_enum(REASONING_SUMMARIES, config.summary, path + "summary"),
    )


def decode_output_format(output: pb.OutputFormat) -> domain.OutputFormat | None:
    """The form of the answer; a message without a form means free text, as no message does."""
    match output.WhichOneof("format"):
        case "json_schema":
            schema = output.json_schema
            strict = schema.strict if schema.HasField("strict") else None
            return domain.JsonSchema(schema.name, schema.schema_json, strict, schema.description)
        case "json_object":
            return domain.JsonObject()
        case "regex":
            return domain.Regex(output.regex)
        case "grammar":
            return domain.Grammar(output.grammar)
        case "choice":
            return domain.Choice(tuple(output.choice.values))
        case _:
            return None
