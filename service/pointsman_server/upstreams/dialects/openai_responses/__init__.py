"""OpenAI's Responses API."""

from pointsman_server.upstreams.dialects.openai_responses import profiles
from pointsman_server.upstreams.dialects.openai_responses.adapter import ResponsesAdapter
from pointsman_server.upstreams.provider import Provider

OPENAI_RESPONSES = Provider(profiles.OPENAI_RESPONSES, ResponsesAdapter)
