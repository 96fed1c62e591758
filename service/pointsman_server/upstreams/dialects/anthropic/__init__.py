"""Anthropic's Messages, in each version of the API."""

from pointsman_server.upstreams.dialects.anthropic import profiles
from pointsman_server.upstreams.dialects.anthropic.adapter import AnthropicAdapter
from pointsman_server.upstreams.dialects.anthropic.counter import counter
from pointsman_server.upstreams.provider import Provider

ANTHROPIC = Provider(profiles.CURRENT, AnthropicAdapter, counter=counter, versions=profiles.VERSIONS)
