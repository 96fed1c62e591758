"""Where the endpoints of a backend are found."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import Field

from pointsman_server.config.schema.values import Address, DnsLabel, Nameserver, Section


class DnsKind(enum.StrEnum):
    """Which records tell the endpoints."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"


class StaticDiscovery(Section):
    """Endpoints that are written down here."""

    type: Literal["static"]
    """This kind."""
    endpoints: tuple[Address, ...] = Field(min_length=1, max_length=256, strict=False)
    """`host:port` of each."""


class DnsDiscovery(Section):
    """Endpoints that DNS tells, asked again when its answer has expired. Consul is asked this way, too."""

    type: Literal["dns"]
    """This kind."""
    name: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$")
    """The name, as vllm.service.consul. The search list of /etc/resolv.conf holds, unless it ends with a dot or
    nameservers are written."""
    kind: DnsKind = Field(default=DnsKind.A, strict=False)
    """Which records: A, AAAA, or SRV, which tells ports, weights and priorities as well."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Of every address; required but for SRV, which tells its own."""
    nameservers: tuple[Nameserver, ...] = Field(default=(), max_length=3, strict=False)
    """IP addresses of the servers to ask, with a port where it is not 53 (as 127.0.0.1:8600, [::1]:53); those of
    /etc/resolv.conf without it."""
    min_ttl_s: Annotated[float, Field(ge=0.1, le=3600)] = 1
    """A shorter life of an answer counts as this, so that servers that tell 0 are not asked without end."""
    max_ttl_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60
    """A longer one is not believed."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 3
    """Of one question, other servers and TCP included."""


class KubernetesDiscovery(Section):
    """Endpoints of a Kubernetes Service, followed as they change. Needs list and watch of EndpointSlices."""

    type: Literal["kubernetes"]
    """This kind."""
    service: DnsLabel
    """Name of the Service; one without a cluster IP (headless) serves as well."""
    namespace: DnsLabel | None = None
    """Its namespace; without it the pod's own, as the file `namespace` beside kubernetes.token_file says."""
    port: DnsLabel | None = None
    """Name of the port as the Service calls it; may be left out where it has only one."""


Discovery = Annotated[StaticDiscovery | DnsDiscovery | KubernetesDiscovery, Field(discriminator="type")]


class Kubernetes(Section):
    """How the API server is reached, for backends that are discovered there. The defaults are those of a pod."""

    api_server: str = Field(default="", pattern=r"^(https?://[^\s@?#]+)?$")
    """URL; without it KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say where it is, as in every pod."""
    token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - where it is.
    """Bearer token, read again for each request, since it is renewed; empty for none. Never sent over plain http."""
    ca_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    """PEM file of authorities that vouch for the server; empty for the system's."""
