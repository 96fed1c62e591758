"""What the built-in backend takes: everything that means something without a model, or may mean nothing."""

from __future__ import annotations

from pointsman_server.domain import ReasoningEffort, ReasoningMode
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile

SIMULATOR = Profile(
    provider="simulator",
    dialect="simulator",
    default_url="",
    # Sampling is taken and means nothing: there is nothing to sample from.
    fields=dict.fromkeys(
        (
            "cache.prefix_cache_salt", "end_user_id", "generation.frequency_penalty", "generation.logit_bias",
            "generation.max_output_tokens", "generation.min_p", "generation.n", "generation.presence_penalty",
            "generation.reasoning.budget_tokens", "generation.reasoning.effort", "generation.reasoning.include",
            "generation.reasoning.mode", "generation.repetition_penalty", "generation.seed",
            "generation.stop_sequences", "generation.temperature", "generation.top_k", "generation.top_p",
            "generation.truncate_prompt_tokens", "generation.verbosity", "output_format.choice",
            "output_format.json_object", "output_format.json_schema", "provider_metadata", "routing.priority",
            "tool_choice.allowed_tools", "tool_choice.mode", "tool_choice.parallel_calls", "tools", "tools.strict",
        ),
        "",
    ),
    efforts={effort: effort.value.lower() for effort in ReasoningEffort},
    modes=dict.fromkeys(ReasoningMode, True),
    audio_by_url=True,
    audio_inline=True,
    files_inline=True,
    prompts=True,
    token_ids=True,
    reasoning_history="reasoning",
    counts_tokens=True,
    embeddings=EmbeddingProfile(
        fields=dict.fromkeys(("dimensions", "task", "truncate", "end_user_id"), ""),
        token_ids=True,
        images_inline=True,
        images_by_url=True,
    ),
)  # fmt: skip
"""For load tests and demonstrations."""
