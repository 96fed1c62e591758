"""What Cohere takes. Its words for sampling are its own, and a tool cannot be forced by its name."""

from __future__ import annotations

from pointsman_server.domain import ReasoningMode
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile

COHERE = Profile(
    provider="cohere",
    dialect="cohere",
    default_url="https://api.cohere.com",
    fields={
        "generation.max_output_tokens": "max_tokens",
        "generation.temperature": "temperature",
        "generation.top_p": "p",
        "generation.top_k": "k",
        "generation.stop_sequences": "stop_sequences",
        "generation.seed": "seed",
        "generation.presence_penalty": "presence_penalty",
        "generation.frequency_penalty": "frequency_penalty",
        "generation.top_logprobs": "logprobs",
        "generation.reasoning.mode": "thinking.type",
        "generation.reasoning.budget_tokens": "thinking.token_budget",
        # Taken by the reader: reasoning that is not wanted is not passed on.
        "generation.reasoning.include": "",
        "tools": "tools",
        "tools.strict": "strict_tools",
        "tool_choice.mode": "tool_choice",
        "tool_choice.allowed_tools": "",
        "output_format.json_schema": "response_format",
        "output_format.json_object": "response_format",
        "routing.priority": "priority",
    },
    modes={ReasoningMode.DISABLED: "disabled", ReasoningMode.ENABLED: "enabled"},
    budget_modes=frozenset({ReasoningMode.ENABLED, ReasoningMode.ADAPTIVE}),
    max_stop_sequences=5,
    logprob_alternatives=False,
    named_tool_choice=False,
    speaker_names=False,
    reasoning_history="thinking",
    answer_id_headers=("x-debug-trace-id", "x-request-id"),
    caller_headers=frozenset({"x-request-id", "x-client-name"}),
    embeddings=EmbeddingProfile(
        fields={
            "dimensions": "output_dimension",
            "task": "input_type",
            "truncate": "truncate",
            "routing.priority": "priority",
        },
        tasks={"query": "search_query", "document": "search_document"},
        truncations={"none": "NONE", "start": "START", "end": "END"},
        max_inputs=96,
        images_inline=True,
    ),
)
