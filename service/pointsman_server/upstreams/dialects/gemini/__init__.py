"""Google's Gemini API: generateContent, streamGenerateContent and batchEmbedContents."""

from pointsman_server.upstreams.dialects.gemini import profiles
from pointsman_server.upstreams.dialects.gemini.adapter import GeminiAdapter
from pointsman_server.upstreams.dialects.gemini.counter import counter
from pointsman_server.upstreams.dialects.gemini.embeddings import GeminiEmbeddings
from pointsman_server.upstreams.provider import Provider

GEMINI = Provider(
    profiles.GEMINI,
    GeminiAdapter,
    embeddings=GeminiEmbeddings,
    counter=counter,
    versions={profile.api_version: profile for profile in (profiles.GEMINI, profiles.GEMINI_BETA)},
)
