"""Triton Inference Server, and others of the Open Inference Protocol (KServe, MLServer): over HTTP and over gRPC."""

from pointsman_server.upstreams.dialects.triton import profiles
from pointsman_server.upstreams.dialects.triton.adapter import TritonAdapter
from pointsman_server.upstreams.dialects.triton.rpc.upstream import build
from pointsman_server.upstreams.provider import Provider

TRITON = Provider(
    profiles.TRITON,
    TritonAdapter,
    variants=profiles.VARIANTS,
    configure=profiles.over_http,
    findings=profiles.http_findings,
)
KSERVE = Provider(
    profiles.KSERVE, TritonAdapter, configure=profiles.over_http, findings=profiles.http_findings
)
TRITON_GRPC = Provider(
    profiles.TRITON_GRPC,
    upstream=build,
    variants=profiles.VARIANTS,
    configure=profiles.over_grpc,
    findings=profiles.grpc_findings,
)
KSERVE_GRPC = Provider(
    profiles.KSERVE_GRPC, upstream=build, configure=profiles.over_grpc, findings=profiles.grpc_findings
)
