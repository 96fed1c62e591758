from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pointsman_server.config.faults import ConfigError, ConfigFault
from pointsman_server.config.load import Loaded, load
from pointsman_server.config.schema import Backend
from pointsman_server.upstreams.translation.templates import template_fault

PROVIDERS = ("openai", "openai_compatible", "simulator", "vllm")


def no_findings(backend: Backend) -> tuple[tuple[str, str], ...]:
    """Stands for the providers' own rules."""
    return ()


Load = Callable[..., Loaded]
Faults = Callable[..., list[tuple[int, str, str]]]


@pytest.fixture
def loading(tmp_path: Path) -> Load:
    """Loads a text as a file, with the environment that is given and no other."""

    def do(text: str | bytes, environment: dict[str, str] | None = None) -> Loaded:
        path = tmp_path / "pointsman.yaml"
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return load(
            path,
            environment=environment or {},
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
        )

    return do


@pytest.fixture
def faults(loading: Load) -> Faults:
    """The faults of a text as (line, path, message)."""

    def do(text: str | bytes, environment: dict[str, str] | None = None) -> list[tuple[int, str, str]]:
        with pytest.raises(ConfigError) as caught:
            loading(text, environment)
        assert all(isinstance(fault, ConfigFault) for fault in caught.value.faults)
        return [(fault.line, fault.path, fault.message) for fault in caught.value.faults]

    return do
