"""What the Responses API takes: no seed, no stop sequences, no penalties and one candidate."""

from __future__ import annotations

from pointsman_server.domain import ReasoningEffort, ReasoningMode
from pointsman_server.errors import Reason
from pointsman_server.upstreams.translation.profile import Profile

_IMAGE_FAULTS = (
    "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large",
    "image_too_small", "image_parse_error", "invalid_image_mode", "image_file_too_large",
    "unsupported_image_media_type", "empty_image_file", "failed_to_download_image", "image_file_not_found",
)  # fmt: skip

OPENAI_RESPONSES = Profile(
    provider="openai_responses",
    dialect="openai_responses",
    default_url="https://api.openai.com/v1",
    fields={
        "generation.max_output_tokens": "max_output_tokens",
        "generation.temperature": "temperature",
        "generation.top_p": "top_p",
        "generation.top_logprobs": "top_logprobs",
        "generation.verbosity": "text.verbosity",
        "generation.reasoning.mode": "reasoning.effort",
        "generation.reasoning.effort": "reasoning.effort",
        "generation.reasoning.summary": "reasoning.summary",
        "generation.reasoning.include": "include",
        "tools": "tools",
        "tools.strict": "strict",
        "tool_choice.mode": "tool_choice",
        "tool_choice.allowed_tools": "",
        "tool_choice.parallel_calls": "parallel_tool_calls",
        "output_format.json_schema": "text.format",
        "output_format.json_object": "text.format",
        "end_user_id": "safety_identifier",
        "provider_metadata": "metadata",
    },
    efforts={effort: effort.value.lower() for effort in ReasoningEffort},
    modes={ReasoningMode.DISABLED: "none"},
    files_by_url=True,
    files_inline=True,
    developer_role=True,
    speaker_names=False,
    allowed_tools_choice=True,
    refusal_history=True,
    signatures=True,
    tool_result_media=True,
    error_codes={
        **dict.fromkeys(_IMAGE_FAULTS, Reason.UPSTREAM_REJECTED),
        "bio_policy": Reason.CONTENT_BLOCKED,
        "misalignment_policy_violation": Reason.CONTENT_BLOCKED,
        "image_content_policy_violation": Reason.CONTENT_BLOCKED,
        "data_residency_mismatch": Reason.UPSTREAM_PERMISSION_DENIED,
        "vector_store_timeout": Reason.UPSTREAM_TIMEOUT,
        "server_error": Reason.UPSTREAM_ERROR,
    },
    request_id_header="x-client-request-id",
    caller_headers=frozenset({"x-request-id", "openai-beta"}),
)
