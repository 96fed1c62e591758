"""What every process of the service begins with: its configuration, its telemetry, and a calm garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from pointsman_server.clock import Clock
from pointsman_server.config.load import Checks, Loaded, load
from pointsman_server.server.compat import compatibility_findings
from pointsman_server.telemetry.otel import OtelTelemetry, build_telemetry
from pointsman_server.upstreams.registry import PROVIDERS, backend_findings, model_findings
from pointsman_server.upstreams.translation.templates import template_fault
from pointsman_server.upstreams.translation.vocabulary import vocabulary

ABANDON_S = 1.0
"""For the last lines of a start that failed, or of an end that is in a hurry."""


CHECKS: Checks = {
    "known_providers": PROVIDERS,
    "check_backend": backend_findings,
    "check_template": template_fault,
    "check_compatibility": compatibility_findings,
    "check_model": model_findings,
    "parse_tokenizer": vocabulary,
}
"""What the rooms that a configuration is for say of it."""


def load_config(path: str | None, environment: Mapping[str, str]) -> Loaded:
    """The configuration that a server runs on. Raises ConfigError with all its faults."""
    return load(
        path,
        environment=environment,
        **CHECKS,
    )


def telemetry_of(
    loaded: Loaded, clock: Clock, *, worker: int | None = None, shared: bool = False
) -> OtelTelemetry:
    """Telemetry as configured; `worker` numbers one of several processes, `shared` is one of several without number."""
    settings = loaded.config.telemetry
    headers = settings.otlp.headers if settings.otlp is not None else {}
    return build_telemetry(
        settings,
        clock,
        otlp_headers={name: loaded.secrets.get(ref).reveal() for name, ref in headers.items()},
        secrets=[secret.reveal() for secret in loaded.secrets.values()],
        version=server_version(),
        worker=worker,
        shared=shared or worker is not None,
    )


def server_version() -> str:
    """The installed version."""
    try:
        return version("pointsman-server")
    except PackageNotFoundError:
        return "0+unknown"


def calm_collector() -> None:
    """Look for cycles among what calls leave behind, less often, and never again among what start-up built.

    A call makes some hundreds of short-lived objects and nearly no cycles: with Python's defaults the collector runs
    every other call, and now and then over all that was ever imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
