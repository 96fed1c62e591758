"""Triton Inference Server, and others of the Open Inference Protocol (KServe, MLServer): over HTTP and over gRPC."""

from pointsman_server.upstreams.dialects.triton import profiles
from pointsman_server.upstreams.dialects.triton.adapter import TritonAdapter
from pointsman_server.upstreams.provider import Provider

TRITON = Provider(
    profiles.TRITON, TritonAdapter, configure=profiles.over_http, findings=profiles.http_findings
)
KSERVE = Provider(
    profiles.KSERVE, TritonAdapter, configure=profiles.over_http, findings=profiles.http_findings
)
