"""The built-in backend: no network, no model, but every kind of answer, pace and failure."""

from pointsman_server.upstreams.dialects.simulator import profile
from pointsman_server.upstreams.dialects.simulator.upstream import build
from pointsman_server.upstreams.provider import Provider

SIMULATOR = Provider(profile.SIMULATOR, upstream=build)
