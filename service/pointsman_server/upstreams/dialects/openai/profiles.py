"""The providers that speak the dialect, each a profile of it.

For `openai_compatible`, of whose server nothing is known, only the fields that such servers have shared for years are
listed: an extension that is not listed costs the caller a warning, one that is sent in vain costs a refusal by strict
servers or, worse, silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from pointsman_server.config import schema
from pointsman_server.domain import ReasoningEffort, ReasoningMode
from pointsman_server.errors import Reason
from pointsman_server.upstreams.translation import alibaba, baidu
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile, UnaryUpstream

_SHARED: Mapping[str, str] = {
    "generation.max_output_tokens": "max_tokens",
    "generation.temperature": "temperature",
    "generation.top_p": "top_p",
    "generation.stop_sequences": "stop",
    "generation.seed": "seed",
    "generation.presence_penalty": "presence_penalty",
    "generation.frequency_penalty": "frequency_penalty",
    # Taken by the decoder: reasoning that is not wanted is not passed on.
    "generation.reasoning.include": "",
    "tools": "tools",
    "tool_choice.allowed_tools": "",
    "output_format.json_schema": "response_format",
    "output_format.json_object": "response_format",
}
_CHOICES: Mapping[str, str] = {
    "generation.n": "n",
    "generation.top_logprobs": "top_logprobs",
    "generation.logit_bias": "logit_bias",
    "tool_choice.mode": "tool_choice",
    "tool_choice.parallel_calls": "parallel_tool_calls",
}
_SAMPLING: Mapping[str, str] = {
    "generation.top_k": "top_k",
    "generation.min_p": "min_p",
    "generation.repetition_penalty": "repetition_penalty",
}
_COMPLETIONS: Mapping[str, str] = {
    "generation.max_output_tokens": "max_tokens",
    "generation.top_logprobs": "logprobs",
}
"""Of completions, where they differ from chat."""
_EFFORT: Mapping[str, str] = {"generation.reasoning.effort": "reasoning_effort"}
_THINKING: Mapping[str, str] = {"generation.reasoning.mode": "chat_template_kwargs.enable_thinking"}
_THREE_EFFORTS: Mapping[ReasoningEffort, str] = {
    ReasoningEffort.LOW: "low",
    ReasoningEffort.MEDIUM: "medium",
    ReasoningEffort.HIGH: "high",
}
_SWITCH: Mapping[ReasoningMode, str | bool] = {ReasoningMode.DISABLED: False, ReasoningMode.ENABLED: True}
_OFF: Mapping[ReasoningMode, str | bool] = {ReasoningMode.DISABLED: "none"}
_ALL_EFFORTS: Mapping[ReasoningEffort, str] = {effort: effort.value.lower() for effort in ReasoningEffort}

_VECTOR_FIELDS: Mapping[str, str] = {"dimensions": "dimensions", "end_user_id": "user"}

OPENAI = Profile(
    provider="openai",
    dialect="openai",
    default_url="https://api.openai.com/v1",
    fields={
        **_SHARED,
        **_CHOICES,
        **_EFFORT,
        # max_tokens is deprecated there, and refused by models that reason.
        "generation.max_output_tokens": "max_completion_tokens",
        "generation.reasoning.mode": "reasoning_effort",
        "generation.verbosity": "verbosity",
        "tools.strict": "strict",
        "end_user_id": "safety_identifier",
        "provider_metadata": "metadata",
    },
    efforts=_ALL_EFFORTS,
    modes=_OFF,
    max_stop_sequences=4,
    audio_inline=True,
    files_inline=True,
    developer_role=True,
    allowed_tools_choice=True,
    refusal_history=True,
    returns_reasoning=False,
    request_id_header="x-client-request-id",
    caller_headers=frozenset({"x-request-id", "openai-beta"}),
    embeddings=EmbeddingProfile(fields=_VECTOR_FIELDS, max_tokens=300_000, token_ids=True, base64=True),
)

VLLM = Profile(
    provider="vllm",
    dialect="openai",
    counts_tokens=True,
    default_url="http://127.0.0.1:8000/v1",
    fields={
        **_SHARED,
        **_CHOICES,
        **_SAMPLING,
        **_EFFORT,
        **_THINKING,
        "generation.truncate_prompt_tokens": "truncate_prompt_tokens",
        "generation.reasoning.budget_tokens": "thinking_token_budget",
        "generation.reasoning.include": "include_reasoning",
        # The guided_* fields of old are ignored without a word by current servers.
        "output_format.regex": "structured_outputs.regex",
        "output_format.grammar": "structured_outputs.grammar",
        "output_format.choice": "structured_outputs.choice",
        "routing.priority": "priority",
        "cache.prefix_cache_salt": "cache_salt",
        "end_user_id": "user",
    },
    efforts=_THREE_EFFORTS,
    modes=_SWITCH,
    audio_by_url=True,
    audio_inline=True,
    prompts=True,
    prompt_names=_COMPLETIONS,
    token_ids=True,
    reasoning_history="reasoning",
    caller_headers=frozenset({"x-request-id", "x-session-id", "x-data-parallel-rank"}),
    embeddings=EmbeddingProfile(
        fields={**_VECTOR_FIELDS, "routing.priority": "priority"}, token_ids=True, base64=True
    ),
)

SGLANG = Profile(
    provider="sglang",
    dialect="openai",
    default_url="http://127.0.0.1:30000/v1",
    fields={
        **_SHARED,
        **_CHOICES,
        **_SAMPLING,
        **_EFFORT,
        **_THINKING,
        "output_format.regex": "regex",
        "output_format.grammar": "ebnf",
        "end_user_id": "user",
    },
    efforts=_THREE_EFFORTS,
    modes=_SWITCH,
    audio_by_url=True,
    prompts=True,
    prompt_names=_COMPLETIONS,
    token_ids=True,
    reasoning_history="reasoning_content",
    embeddings=EmbeddingProfile(fields=_VECTOR_FIELDS, token_ids=True),
)

LLAMACPP = Profile(
    provider="llamacpp",
    dialect="openai",
    default_url="http://127.0.0.1:8080/v1",
    fields={
        **_SHARED,
        **_THINKING,
        "generation.top_logprobs": "top_logprobs",
        "generation.logit_bias": "logit_bias",
        "generation.top_k": "top_k",
        "generation.min_p": "min_p",
        "generation.repetition_penalty": "repeat_penalty",
        "tool_choice.mode": "tool_choice",
        "tool_choice.parallel_calls": "parallel_tool_calls",
        "output_format.grammar": "grammar",
    },
    modes=_SWITCH,
    audio_inline=True,
    prompts=True,
    prompt_names=_COMPLETIONS,
    token_ids=True,
    named_tool_choice=False,
    reasoning_history="reasoning_content",
    unary_upstream=UnaryUpstream.STREAM,
    embeddings=EmbeddingProfile(token_ids=True, base64=True),
)

OLLAMA_COMPATIBLE = Profile(
    provider="ollama_compatible",
    dialect="openai",
    default_url="http://127.0.0.1:11434/v1",
    fields={**_SHARED, **_EFFORT, "generation.reasoning.mode": "reasoning_effort"},
    efforts=_THREE_EFFORTS,
    modes=_OFF,
    images_by_url=False,
    prompts=True,
    prompt_names=_COMPLETIONS,
    embeddings=EmbeddingProfile(fields={"dimensions": "dimensions"}),
)

OPENAI_COMPATIBLE = Profile(
    provider="openai_compatible",
    dialect="openai",
    default_url="",
    fields={**_SHARED, **_CHOICES, **_EFFORT, "end_user_id": "user"},
    efforts=_THREE_EFFORTS,
    prompts=True,
    prompt_names=_COMPLETIONS,
    embeddings=EmbeddingProfile(fields=_VECTOR_FIELDS),
)

AZURE_OPENAI = Profile(
    provider="azure_openai",
    dialect="openai",
    default_url="",
    key_header="api-key",
    fields={**OPENAI.fields, "end_user_id": "user"},
    efforts=_ALL_EFFORTS,
    modes=_OFF,
    max_stop_sequences=4,
    audio_inline=True,
    files_inline=True,
    developer_role=True,
    refusal_history=True,
    returns_reasoning=False,
    late_ratings=True,
    deployments=True,
    error_codes={
        "permissiondenied": Reason.UPSTREAM_PERMISSION_DENIED,
        "deploymentnotfound": Reason.UPSTREAM_MODEL_NOT_FOUND,
        "nocapacity": Reason.UPSTREAM_OVERLOADED,
    },
    answer_id_headers=("apim-request-id", "x-request-id"),
    request_id_header="x-ms-client-request-id",
    embeddings=EmbeddingProfile(fields=_VECTOR_FIELDS, max_tokens=300_000, token_ids=True, base64=True),
)

MISTRAL = Profile(
    provider="mistral",
    dialect="openai",
    default_url="https://api.mistral.ai/v1",
    fields={
        **_SHARED,
        **_EFFORT,
        "generation.seed": "random_seed",
        "generation.n": "n",
        "generation.top_logprobs": "top_logprobs",
        "generation.top_k": "top_k",
        "generation.repetition_penalty": "repetition_penalty",
        "generation.reasoning.mode": "prompt_mode",
        "generation.reasoning.mode.disabled": "reasoning_effort",
        "tools.strict": "strict",
        "tool_choice.mode": "tool_choice",
        "tool_choice.parallel_calls": "parallel_tool_calls",
        "provider_metadata": "metadata",
    },
    efforts=_ALL_EFFORTS,
    modes={ReasoningMode.ENABLED: "reasoning", ReasoningMode.DISABLED: "none"},
    audio_by_url=True,
    audio_inline=True,
    files_inline=True,
    # Today `required` is taken as well, by older servers of one's own it is not.
    required_tool_choice="any",
    tool_id_length=9,
    tool_result_names=True,
    speaker_names=False,
    media_objects=False,
    null_content=False,
    answer_prefix=True,
    reasoning_history="content",
    signatures=True,
    usage_option=False,
    answer_id_headers=("mistral-correlation-id", "x-request-id"),
    embeddings=EmbeddingProfile(
        fields={"dimensions": "output_dimension"}, max_inputs=512, max_tokens=16_000, base64=True
    ),
)

DASHSCOPE_COMPATIBLE = Profile(
    provider="dashscope_compatible",
    dialect="openai",
    default_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    fields={
        **{path: name for path, name in _SHARED.items() if path != "generation.frequency_penalty"},
        **_EFFORT,
        "generation.n": "n",
        "generation.top_logprobs": "top_logprobs",
        "generation.top_k": "top_k",
        "generation.repetition_penalty": "repetition_penalty",
        "generation.reasoning.mode": "enable_thinking",
        "generation.reasoning.budget_tokens": "thinking_budget",
        "tool_choice.mode": "tool_choice",
        "tool_choice.parallel_calls": "parallel_tool_calls",
    },
    efforts=_THREE_EFFORTS,
    modes=_SWITCH,
    required_tool_choice="",
    audio_inline=True,
    reasoning_history="reasoning_content",
    error_codes=alibaba.ERROR_CODES,
    caller_headers=frozenset({"x-request-id", "x-dashscope-datainspection", "x-dashscope-workspace"}),
    embeddings=EmbeddingProfile(fields={"dimensions": "dimensions"}, max_inputs=10),
)

QIANFAN = Profile(
    provider="qianfan",
    dialect="openai",
    default_url="https://qianfan.baidubce.com/v2",
    fields={
        **_SHARED,
        "generation.top_k": "top_k",
        "generation.repetition_penalty": "repetition_penalty",
        "generation.reasoning.mode": "enable_thinking",
        "generation.reasoning.budget_tokens": "thinking_budget",
        "tool_choice.mode": "tool_choice",
        "tool_choice.parallel_calls": "parallel_tool_calls",
        "end_user_id": "user",
    },
    modes=_SWITCH,
    max_stop_sequences=4,
    error_codes={
        **baidu.ERROR_CODES,
        "invalid_iam_token": Reason.UPSTREAM_CREDENTIALS_INVALID,
        "invalid_appid": Reason.UPSTREAM_CREDENTIALS_INVALID,
        "no_parameter_permission": Reason.UPSTREAM_PERMISSION_DENIED,
        "access_denied": Reason.UPSTREAM_PERMISSION_DENIED,
        "characters_too_long": Reason.CONTEXT_LENGTH_EXCEEDED,
        "tokens_too_long": Reason.CONTEXT_LENGTH_EXCEEDED,
        "messages_unsafe": Reason.CONTENT_BLOCKED,
        "image_url_unsafe": Reason.CONTENT_BLOCKED,
        "system_unsafe": Reason.CONTENT_BLOCKED,
        "user_setting_unsafe": Reason.CONTENT_BLOCKED,
        "functions_unsafe": Reason.CONTENT_BLOCKED,
    },
    answer_id_headers=("x-bce-request-id", "x-request-id"),
    caller_headers=frozenset({"x-request-id", "appid"}),
    embeddings=EmbeddingProfile(fields={"end_user_id": "user"}, max_inputs=16),
)

HUGGINGFACE = Profile(
    provider="huggingface",
    dialect="openai",
    default_url="https://router.huggingface.co/v1",
    # TGI ignores n and logit_bias, and has never heard of parallel_tool_calls.
    fields={
        **_SHARED,
        **_EFFORT,
        "generation.top_logprobs": "top_logprobs",
        "tool_choice.mode": "tool_choice",
    },
    efforts=_THREE_EFFORTS,
    max_stop_sequences=4,
)
"""The router of Hugging Face, and the chat route of TGI."""


def huggingface_configured(profile: Profile, backend: schema.Backend) -> Profile:
    """At another address than the router's there is TGI, which its own client tells a schema in another form."""
    router = urlsplit(profile.default_url).hostname
    if not backend.url or urlsplit(backend.url).hostname == router:
        return profile
    return replace(profile, schema_as_value=True)
