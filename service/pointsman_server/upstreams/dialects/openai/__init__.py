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
AZURE_OPENAI = Provider(
    profiles.AZURE_OPENAI, OpenAIAdapter, version_form=r"\d{4}-\d{2}-\d{2}(-preview)?|v1|preview|latest"
)
MISTRAL = Provider(profiles.MISTRAL, OpenAIAdapter)
DASHSCOPE_COMPATIBLE = Provider(profiles.DASHSCOPE_COMPATIBLE, OpenAIAdapter)
QIANFAN = Provider(profiles.QIANFAN, OpenAIAdapter)
HUGGINGFACE = Provider(profiles.HUGGINGFACE, OpenAIAdapter)
