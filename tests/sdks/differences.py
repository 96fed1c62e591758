"""Where a provider's own client differs from what was recorded, or from what the adapters send: declared, each with its
reason. A row that no longer holds fails its test as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pointsman_server.domain import Media, MediaKind, Refusal
from pointsman_server.upstreams.translation.media import is_inline

_NO_GENERATE = "Triton's client has no call for the generate extension, which is plain HTTP"
SPEECHLESS: Mapping[str, str] = {
    "triton/error_400_unknown_model": _NO_GENERATE,
    "triton/generate_stream": _NO_GENERATE,
    "triton/generate_trtllm": _NO_GENERATE,
    "triton/generate_vllm_backend": _NO_GENERATE,
}
"""Exchanges that no client of the provider's can have."""

OVER_TLS: Mapping[str, str] = {
    "bedrock/converse_bearer_token": "the client sends a key, which it does not sign with, over TLS alone",
}
"""Exchanges whose client wants a certificate first."""

MISHEARD: Mapping[str, tuple[frozenset[str], str]] = {
    "dashscope/stream_error_mid": (
        frozenset({"usage.input_tokens", "usage.output_tokens"}),
        "the client tells zeros where no usage came",
    ),
    "dashscope-compatible/error_400_event_stream_body": (
        frozenset({"error.code", "error.message", "error.request_id"}),
        "the client reads no event stream in the body of an error: the status alone is told",
    ),
    "dashscope-compatible/stream_error_mid": (
        frozenset({"error.request_id"}),
        "the client tells no more of an event than its error object",
    ),
    "ernie-legacy/error_200_token_expired": (
        frozenset({"error.code", "error.message"}),
        "the client tells this one by the class alone",
    ),
    "huggingface-tgi/generate": (
        frozenset({"usage.input_tokens", "usage.total_tokens"}),
        "the prompt's tokens stand in a header, which the client does not show",
    ),
    "huggingface-tgi/generate_grammar": (
        frozenset({"usage.input_tokens", "usage.total_tokens"}),
        "the prompt's tokens stand in a header, which the client does not show",
    ),
    "mistral/stream_error_mid": (
        frozenset({"error.code", "error.message", "error.type"}),
        "the client knows no error within a stream: the event fails its check of a chunk's form",
    ),
    "openai-compatible/vllm_error_401_string": (
        frozenset({"error.message"}),
        "the client reads an error that is an object, and tells the status of any other",
    ),
    "qianfan/stream_call_answered_by_json": (
        frozenset({"error", "error.code", "error.message", "error.type"}),
        "the client takes a document in place of a stream for a stream without events: it hears nothing at all",
    ),
}
"""Recording -> what its client hears in another way than expected."""

UNLIKE: Mapping[str, tuple[frozenset[str], str]] = {
    "azure-openai/v1_api_no_version": (
        frozenset({"api-key"}),
        "the key may come in either header: the client sends it as a bearer token",
    ),
    "kserve": (frozenset({"content-type"}), "the client names no type of its JSON"),
    "triton": (frozenset({"content-type"}), "the client names no type of its JSON"),
}
"""Recording, or folder of recordings -> parts of the request that its client sends in another way."""

EXTRA: Mapping[str, tuple[frozenset[str], str]] = {
    "anthropic": (
        frozenset({"temperature", "top_k", "top_p"}),
        "this version of the API has none: they are recorded as an extra body that is refused",
    ),
    "dashscope-compatible": (
        frozenset({
            "enable_search", "enable_thinking", "reasoning_content", "repetition_penalty", "thinking_budget", "top_k",
        }),
        "Alibaba's own, in OpenAI's client",
    ),
    "openai-compatible": (
        frozenset({
            "chat_template_kwargs", "ignore_eos", "include_reasoning", "min_p", "priority", "reasoning",
            "repetition_penalty", "stop_token_ids", "structured_outputs", "thinking_token_budget", "top_k",
        }),
        "vLLM's own, in OpenAI's client",
    ),
    "qianfan": (
        frozenset({"enable_thinking", "extra_parameters", "repetition_penalty", "thinking_budget", "top_k"}),
        "Baidu's own, in OpenAI's client",
    ),
}  # fmt: skip
"""Folder of recordings -> fields, of a body or of a message, that its client declares nowhere and still sends."""
_NO_MODELS = "the client declares nothing here: it sends whatever it is given"
PASSED_ON: Mapping[tuple[str, str], str] = {
    ("dashscope", "body"): _NO_MODELS,
    ("dashscope", "message"): _NO_MODELS,
    ("huggingface-chat", "body"): _NO_MODELS,
    ("huggingface-chat", "message"): _NO_MODELS,
    ("ernie-legacy", "body"): _NO_MODELS,
    ("ernie-legacy", "message"): _NO_MODELS,
}
"""Folder of recordings and place in a body -> why a field that nobody knows goes unnoticed there."""
UNDECLARED: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "openai-responses": (
        lambda content: isinstance(content, Refusal),
        "the client wants the id and status of a message with a refusal, which callers may not have kept",
    ),
    "openai-compatible": (
        lambda content: (
            isinstance(content, Media) and content.kind is MediaKind.AUDIO and not is_inline(content)
        ),
        "sound by URL is vLLM's own",
    ),
}
"""Folder of recordings -> content of the history that its client does not declare so, and why."""
WHOLE = frozenset({"triton"})
"""Clients that have no stream over HTTP."""

_STATUSES = {
    400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
    409: "ConflictError", 422: "UnprocessableEntityError", 429: "RateLimitError", 500: "InternalServerError",
}  # fmt: skip
ERRORS: Mapping[str, Mapping[int, str]] = {
    "anthropic": {**_STATUSES, 529: "OverloadedError"},
    "cohere": {
        400: "BadRequestError", 401: "UnauthorizedError", 403: "ForbiddenError", 404: "NotFoundError",
        422: "UnprocessableEntityError", 429: "TooManyRequestsError", 500: "InternalServerError",
        503: "ServiceUnavailableError",
    },
    "gemini": {**dict.fromkeys(range(400, 500), "ClientError"), **dict.fromkeys(range(500, 600), "ServerError")},
    "huggingface": {402: "HfHubHTTPError"},
    "mistral": {200: "ResponseValidationError", 401: "SDKError", 422: "HTTPValidationError", 429: "SDKError"},
    "ollama": dict.fromkeys(range(400, 600), "ResponseError"),
    "openai": {200: "APIError", **_STATUSES, 503: "InternalServerError"},
    "qianfan": {200: "APIError"},
    "triton": dict.fromkeys(range(400, 600), "InferenceServerException"),
}  # fmt: skip
"""Client -> status of the answer -> the class of its error; 200 is an error within a success."""
NAMED_BY_CODE = frozenset({"bedrock"})
"""Clients whose errors have a class for each of the provider's codes."""
OTHER_ERRORS: Mapping[str, str] = {
    "ernie-legacy/error_200_token_expired": "AccessTokenExpiredError",
    "huggingface-chat/stream_error_mid": "GenerationError",
    "huggingface-tgi/error_422_validation": "ValidationError",
    "huggingface-tgi/error_429_overloaded": "OverloadedError",
}
"""Recording -> the class of its error, where the status does not tell it."""
PACKAGES: Mapping[str, str] = {
    "bedrock": "botocore",
    # Its client returns errors; `clients/dashscope.py` raises them.
    "dashscope": "tests",
    "gemini": "google",
    "huggingface": "huggingface_hub",
    "mistral": "mistralai",
    "triton": "tritonclient",
}
"""Client -> the package that its errors come from, where it is not of the same name."""
