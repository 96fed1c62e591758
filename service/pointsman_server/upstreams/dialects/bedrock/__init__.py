"""AWS Bedrock: Converse and ConverseStream, one wire for the models of many makers."""

from pointsman_server.upstreams.dialects.bedrock import profiles
from pointsman_server.upstreams.dialects.bedrock.adapter import BedrockAdapter
from pointsman_server.upstreams.provider import Provider

BEDROCK = Provider(profiles.BEDROCK, BedrockAdapter)
