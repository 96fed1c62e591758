"""OpenAI's chat completions, and the many servers that speak it: each of them is a profile of this dialect."""

from pointsman_server.upstreams.dialects.openai import profiles
from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.provider import Provider

OPENAI = Provider(profiles.OPENAI, OpenAIAdapter)
VLLM = Provider(profiles.VLLM, OpenAIAdapter)
SGLANG = Provider(profiles.SGLANG, OpenAIAdapter)
LLAMACPP = Provider(profiles.LLAMACPP, OpenAIAdapter)
OLLAMA_COMPATIBLE = Provider(profiles.OLLAMA_COMPATIBLE, OpenAIAdapter)
OPENAI_COMPATIBLE = Provider(profiles.OPENAI_COMPATIBLE, OpenAIAdapter)
