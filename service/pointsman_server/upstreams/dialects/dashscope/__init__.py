"""DashScope's own interface to Alibaba's Model Studio: text generation and multimodal generation."""

from pointsman_server.upstreams.dialects.dashscope.adapter import DashScopeAdapter
from pointsman_server.upstreams.dialects.dashscope.profiles import DASHSCOPE as PROFILE
from pointsman_server.upstreams.provider import Provider

DASHSCOPE = Provider(PROFILE, DashScopeAdapter)
