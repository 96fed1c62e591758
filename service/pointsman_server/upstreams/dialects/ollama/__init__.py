"""Ollama's own API: /api/chat for conversations, /api/generate for prompts, /api/embed for vectors."""

from pointsman_server.upstreams.dialects.ollama import profiles
from pointsman_server.upstreams.dialects.ollama.adapter import OllamaAdapter
from pointsman_server.upstreams.dialects.ollama.embeddings import OllamaEmbeddings
from pointsman_server.upstreams.provider import Provider

OLLAMA = Provider(profiles.OLLAMA, OllamaAdapter, OllamaEmbeddings)
