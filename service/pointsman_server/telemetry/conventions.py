"""The names of span attributes, once: the conventions of OpenTelemetry for RPC and GenAI, and ours (`router.`)."""

from __future__ import annotations

from collections.abc import Mapping

RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS = "rpc.status_code"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_STATUS = "http.response.status_code"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_CHOICES = "gen_ai.request.choice.count"
REQUEST_PRESENCE = "gen_ai.request.presence_penalty"
REQUEST_FREQUENCY = "gen_ai.request.frequency_penalty"
EMBEDDING_DIMENSIONS = "gen_ai.embeddings.dimension.count"
OUTPUT_TYPE = "gen_ai.output.type"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

REQUEST_ID = "router.request_id"
PRINCIPAL = "router.principal"
MODEL = "router.model"
BACKEND = "router.backend"
POLICY = "router.policy"
DECISION = "router.decision"
FALLBACK = "router.fallback_used"
ATTEMPT = "router.attempt"
ATTEMPTS = "router.attempts"
HEDGE = "router.hedge"
QUEUE_WAIT = "router.queue_wait_s"
FIRST_CONTENT = "router.time_to_first_content_s"
UPSTREAM_ID = "router.upstream_request_id"
CONNECT = "router.connect_s"

ATTRIBUTES = frozenset(
    value for name, value in tuple(globals().items()) if name.isupper() and isinstance(value, str)
)
"""All of them; anything else is kept off spans."""

SERVER_ERRORS = frozenset(
    ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)
"""The gRPC status codes that make a server span an error; the others are the caller's affair."""

PROVIDERS: Mapping[str, str] = {
    "openai": "openai",
    "openai_responses": "openai",
    "anthropic": "anthropic",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "moonshot": "moonshot_ai",
}
"""Our providers in the words of the GenAI conventions; one that they do not know keeps its own name."""
