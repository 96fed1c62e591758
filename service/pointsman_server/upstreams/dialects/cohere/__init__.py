"""Cohere's chat and embeddings, version 2."""

from pointsman_server.upstreams.dialects.cohere import profiles
from pointsman_server.upstreams.dialects.cohere.adapter import CohereAdapter
from pointsman_server.upstreams.dialects.cohere.embeddings import CohereEmbeddings
from pointsman_server.upstreams.provider import Provider

COHERE = Provider(profiles.COHERE, CohereAdapter, embeddings=CohereEmbeddings)
