"""Discovery sections: what is good, and every fault with its place and a remedy."""

from __future__ import annotations

import pytest

from pointsman_server.config.schema import DnsKind
from tests.config.conftest import Faults, Load


def written(discovery: str, *, url: str = "http://gpu.internal/v1", more: str = "") -> str:
    return (
        f"backends:\n  gpu:\n    provider: vllm\n    url: {url}\n    discovery: {discovery}\n{more}"
        "models: {m: {targets: [{backend: gpu}]}}\n"
    )


GOOD = [
    "{type: static, endpoints: ['10.0.0.7:8000', '[fd00::7]:8000', 'gpu-1.internal:8000']}",
    "{type: dns, name: vllm.internal, port: 8000}",
    "{type: dns, name: vllm.internal., kind: AAAA, port: 8000, nameservers: [10.0.0.2, '[fd00::2]:5353']}",
    "{type: dns, name: _http._tcp.vllm.internal, kind: SRV, min_ttl_s: 5}",
    "{type: kubernetes, service: vllm, namespace: models, port: http}",
    "{type: kubernetes, service: vllm}",
]


@pytest.mark.parametrize("discovery", GOOD)
def test_every_kind_can_be_written(loading: Load, discovery: str) -> None:
    """As the documentation shows it."""
    backend = loading(written(discovery)).config.backends["gpu"]
    assert backend.discovery is not None
    assert getattr(backend.discovery, "kind", DnsKind.A) in DnsKind


CASES = {
    "no_type": ("{name: x}", "backends.gpu.discovery", "needs a type: static, dns or kubernetes"),
    "other_type": ("{type: consul}", "backends.gpu.discovery", "type must be one of 'static', 'dns', 'kubernetes'"),
    "no_section": ("vllm", "backends.gpu.discovery", "must be a mapping of keys"),
    "unknown_key": ("{type: dns, nmae: x, port: 1}", "backends.gpu.discovery.nmae", "unknown key 'nmae'"),
    "no_name": ("{type: dns, port: 1}", "backends.gpu.discovery.name", "this key is required"),
    "bad_name": ("{type: dns, name: 'a b', port: 1}", "backends.gpu.discovery.name", "must be a DNS name"),
    "no_port": ("{type: dns, name: x}", "backends.gpu.discovery.port", "this key is required with kind A"),
    "srv_port": (
        "{type: dns, name: x, kind: SRV, port: 80}", "backends.gpu.discovery.port", "kind SRV tells ports itself",
    ),
    "bad_kind": (
        "{type: dns, name: x, kind: MX}", "backends.gpu.discovery.kind", "must be one of 'A', 'AAAA' or 'SRV'",
    ),
    "ttls": (
        "{type: dns, name: x, port: 1, min_ttl_s: 9, max_ttl_s: 5}", "backends.gpu.discovery.min_ttl_s",
        "must be at most max_ttl_s (5)",
    ),
    "nameserver_is_a_name": (
        "{type: dns, name: x, port: 1, nameservers: [dns.internal]}", "backends.gpu.discovery.nameservers[0]",
        "must be an IP address",
    ),
    "nameserver_is_no_ip": (
        "{type: dns, name: x, port: 1, nameservers: [10.0.0.999]}", "backends.gpu.discovery.nameservers[0]",
        "is not an IP address",
    ),
    "nameserver_port": (
        "{type: dns, name: x, port: 1, nameservers: ['10.0.0.2:99999']}", "backends.gpu.discovery.nameservers[0]",
        "the port must be from 1 to 65535",
    ),
    "endpoint_without_port": (
        "{type: static, endpoints: [10.0.0.7]}", "backends.gpu.discovery.endpoints[0]", "must be host:port",
    ),
    "endpoint_port": (
        "{type: static, endpoints: ['10.0.0.7:0']}", "backends.gpu.discovery.endpoints[0]", "the port must be from 1",
    ),
    "endpoint_twice": (
        "{type: static, endpoints: ['a:1', 'a:1']}", "backends.gpu.discovery.endpoints[1]", "is written twice",
    ),
    "no_endpoints": ("{type: static, endpoints: []}", "backends.gpu.discovery.endpoints", "at least 1 entry"),
    "service": ("{type: kubernetes, service: V_LLM}", "backends.gpu.discovery.service", "must be a Service's name"),
    "port_number": ("{type: kubernetes, service: v, port: 80}", "backends.gpu.discovery.port", "must be text"),
    "port_name": ("{type: kubernetes, service: v, port: HTTP}", "backends.gpu.discovery.port", "must be a port's name"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_fault_has_a_place_and_a_remedy(faults: Faults, case: str) -> None:
    """Told with the line of the section, and never in the validator's own words."""
    discovery, path, message = CASES[case]
    found = faults(written(discovery))
    assert [(fault[0], fault[1]) for fault in found if message in fault[2]] == [(5, path)], found
    assert not any(word in str(found).lower() for word in ("pydantic", "input should", "value error"))


def test_discovery_needs_the_url_of_all_endpoints(faults: Faults) -> None:
    """Scheme, path and the name for TLS come from there, not from a provider's default."""
    found = faults(written(GOOD[4], url="''"))
    assert [(fault[1], fault[2][:38]) for fault in found] == [
        ("backends.gpu.url", "this key is required with discovery: s")
    ]


def test_names_of_endpoints_are_taken(faults: Faults) -> None:
    """A backend by such a name would be mistaken for an endpoint, in lists and by operators."""
    more = "  gpu@10.0.0.7:8000: {provider: vllm, url: 'http://x'}\n"
    found = faults(written(GOOD[4], more=more))
    assert [(fault[1], fault[2]) for fault in found] == [
        ('backends["gpu@10.0.0.7:8000"]', "a name that begins with gpu@ is one of gpu's endpoints")
    ]


def test_files_of_a_pod_are_looked_for_only_where_they_are_written(loading: Load, faults: Faults) -> None:
    """A configuration for a cluster is checked outside of it; a path that somebody wrote must be there."""
    loading(written(GOOD[4]))
    more = "kubernetes: {api_server: 'https://10.0.0.1:6443', token_file: /nowhere/token, ca_file: ''}\n"
    assert [(fault[1], fault[2]) for fault in faults(written(GOOD[4], more=more))] == [
        ("kubernetes.token_file", "file /nowhere/token cannot be read: No such file or directory")
    ]
