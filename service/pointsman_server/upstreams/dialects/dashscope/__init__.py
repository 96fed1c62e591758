"""DashScope's own interface to Alibaba's Model Studio: generation and embeddings, of texts and multimodal."""

from pointsman_server.upstreams.dialects.dashscope.adapter import DashScopeAdapter
from pointsman_server.upstreams.dialects.dashscope.embeddings import DashScopeEmbeddings
from pointsman_server.upstreams.dialects.dashscope.profiles import DASHSCOPE as PROFILE
from pointsman_server.upstreams.dialects.dashscope.profiles import configured
from pointsman_server.upstreams.provider import Provider

DASHSCOPE = Provider(PROFILE, DashScopeAdapter, embeddings=DashScopeEmbeddings, configure=configured)
