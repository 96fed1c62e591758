"""OpenAI's chat completions, and the many servers that speak it: each of them is a profile of this dialect."""

from pointsman_server.upstreams.dialects.openai import profiles
from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.dialects.openai.counter import counter
from pointsman_server.upstreams.dialects.openai.embeddings import OpenAIEmbeddings
from pointsman_server.upstreams.provider import Provider

OPENAI = Provider(profiles.OPENAI, OpenAIAdapter, OpenAIEmbeddings)
VLLM = Provider(profiles.VLLM, OpenAIAdapter, OpenAIEmbeddings, counter=counter)
SGLANG = Provider(profiles.SGLANG, OpenAIAdapter, OpenAIEmbeddings)
LLAMACPP = Provider(profiles.LLAMACPP, OpenAIAdapter, OpenAIEmbeddings)
OLLAMA_COMPATIBLE = Provider(profiles.OLLAMA_COMPATIBLE, OpenAIAdapter, OpenAIEmbeddings)
OPENAI_COMPATIBLE = Provider(profiles.OPENAI_COMPATIBLE, OpenAIAdapter, OpenAIEmbeddings)
AZURE_OPENAI = Provider(
    profiles.AZURE_OPENAI,
    OpenAIAdapter,
    OpenAIEmbeddings,
    version_form=r"\d{4}-\d{2}-\d{2}(-preview)?|v1|preview|latest",
)
MISTRAL = Provider(profiles.MISTRAL, OpenAIAdapter, OpenAIEmbeddings)
DASHSCOPE_COMPATIBLE = Provider(profiles.DASHSCOPE_COMPATIBLE, OpenAIAdapter, OpenAIEmbeddings)
QIANFAN = Provider(profiles.QIANFAN, OpenAIAdapter, OpenAIEmbeddings)
HUGGINGFACE = Provider(profiles.HUGGINGFACE, OpenAIAdapter, configure=profiles.huggingface_configured)
