"""What Gemini takes. Sampling, formats and thinking are members of one object, the generation's configuration."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.domain import ReasoningEffort, ReasoningMode
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile

_TASKS = (
    "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION", "CLUSTERING",
    "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY",
)  # fmt: skip
"""Its words for what a vector is for, which are upper case on the wire."""

GEMINI = Profile(
    provider="gemini",
    dialect="gemini",
    default_url="https://generativelanguage.googleapis.com",
    counts_tokens=True,
    fields={
        "generation.max_output_tokens": "generationConfig.maxOutputTokens",
        "generation.temperature": "generationConfig.temperature",
        "generation.top_p": "generationConfig.topP",
        "generation.top_k": "generationConfig.topK",
        "generation.stop_sequences": "generationConfig.stopSequences",
        "generation.seed": "generationConfig.seed",
        "generation.n": "generationConfig.candidateCount",
        "generation.presence_penalty": "generationConfig.presencePenalty",
        "generation.frequency_penalty": "generationConfig.frequencyPenalty",
        "generation.top_logprobs": "generationConfig.logprobs",
        "generation.reasoning.mode": "generationConfig.thinkingConfig.thinkingBudget",
        "generation.reasoning.effort": "generationConfig.thinkingConfig.thinkingLevel",
        "generation.reasoning.budget_tokens": "generationConfig.thinkingConfig.thinkingBudget",
        "generation.reasoning.include": "generationConfig.thinkingConfig.includeThoughts",
        "tools": "tools",
        # Said by the mode: calls that are validated against their schemas.
        "tools.strict": "",
        "tool_choice.mode": "toolConfig.functionCallingConfig",
        "tool_choice.allowed_tools": "",
        "output_format.json_schema": "generationConfig.responseJsonSchema",
        "output_format.json_object": "generationConfig.responseMimeType",
        "output_format.choice": "generationConfig.responseSchema",
    },
    efforts={effort: effort.value for effort in ReasoningEffort if effort is not ReasoningEffort.MAX},
    # Budgets: none at all, and as much as the model finds fit.
    modes={ReasoningMode.DISABLED: 0, ReasoningMode.ENABLED: -1, ReasoningMode.ADAPTIVE: -1},
    budget_modes=frozenset({ReasoningMode.ENABLED, ReasoningMode.ADAPTIVE}),
    effort_or_budget=True,
    max_stop_sequences=5,
    audio_by_url=True,
    audio_inline=True,
    files_by_url=True,
    files_inline=True,
    media_schemes=frozenset({"http", "https", "gs"}),
    spoken_media=True,
    speaker_names=False,
    image_detail=False,
    allowed_tools_choice=True,
    reasoning_history="thought",
    signatures=True,
    tool_result_media=True,
    api_version="v1",
    key_header="x-goog-api-key",
    embeddings=EmbeddingProfile(
        fields={"dimensions": "outputDimensionality", "task": "taskType"},
        tasks={
            "query": "RETRIEVAL_QUERY",
            "document": "RETRIEVAL_DOCUMENT",
            **{word.lower(): word for word in _TASKS},
        },
        max_inputs=100,
        max_images=6,
        images_inline=True,
        images_by_url=True,
    ),
)
"""The version that Google's own client speaks."""

GEMINI_BETA = replace(GEMINI, api_version="v1beta")
