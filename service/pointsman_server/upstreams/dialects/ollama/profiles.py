"""What Ollama takes. Sampling is one object of options; what decides the form of the answer stands beside it."""

from __future__ import annotations

from pointsman_server.domain import ReasoningEffort, ReasoningMode
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile

OLLAMA = Profile(
    provider="ollama",
    dialect="ollama",
    default_url="http://127.0.0.1:11434",
    fields={
        "generation.max_output_tokens": "options.num_predict",
        "generation.temperature": "options.temperature",
        "generation.top_p": "options.top_p",
        "generation.top_k": "options.top_k",
        "generation.min_p": "options.min_p",
        "generation.seed": "options.seed",
        "generation.stop_sequences": "options.stop",
        "generation.presence_penalty": "options.presence_penalty",
        "generation.frequency_penalty": "options.frequency_penalty",
        "generation.repetition_penalty": "options.repeat_penalty",
        "generation.top_logprobs": "top_logprobs",
        "generation.reasoning.mode": "think",
        "generation.reasoning.effort": "think",
        # Taken by the reader: reasoning that is not wanted is not passed on.
        "generation.reasoning.include": "",
        "tools": "tools",
        "tool_choice.allowed_tools": "",
        "output_format.json_schema": "format",
        "output_format.json_object": "format",
    },
    efforts={
        ReasoningEffort.LOW: "low",
        ReasoningEffort.MEDIUM: "medium",
        ReasoningEffort.HIGH: "high",
    },
    modes={ReasoningMode.DISABLED: False, ReasoningMode.ENABLED: True},
    images_by_url=False,
    prompts=True,
    prompt_lacks=("tools", "tool_choice", "generation.reasoning"),
    speaker_names=False,
    provider_parts=False,
    image_detail=False,
    reasoning_history="thinking",
    embeddings=EmbeddingProfile(
        fields={"dimensions": "dimensions", "truncate": "truncate"},
        # Its own words are these of JSON; it cuts at the end, or refuses.
        truncations={"end": True, "true": True, "none": False, "false": False},
        max_inputs=512,
    ),
)
