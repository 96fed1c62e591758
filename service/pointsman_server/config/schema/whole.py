"""The whole file."""

from __future__ import annotations

from pydantic import Field

from pointsman_server.config.schema.auth import Auth
from pointsman_server.config.schema.backends import Backend
from pointsman_server.config.schema.compatibility import CompatibleService
from pointsman_server.config.schema.discovery import Kubernetes
from pointsman_server.config.schema.models import Model, Target
from pointsman_server.config.schema.resilience import Deadlines, Ejection, Retry
from pointsman_server.config.schema.server import Admin, Ops, Server
from pointsman_server.config.schema.telemetry import Telemetry
from pointsman_server.config.schema.values import Name, Seconds, Section


class Config(Section):
    """The whole file."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes that serve the public port together. With 1 there is no supervisor; with more, one process watches the
    others and answers for all of them on the ports of admin and ops (see docs/workers.md). A change needs a restart."""
    server: Server = Server()
    """The public gRPC server."""
    admin: Admin = Admin()
    """The admin gRPC server."""
    ops: Ops = Ops()
    """HTTP for probes and scrapers."""
    auth: Auth = Auth()
    """Who may call."""
    telemetry: Telemetry = Telemetry()
    """Traces and logs."""
    deadlines: Deadlines = Deadlines()
    """Bounds on a whole call."""
    retry: Retry = Retry()
    """Another attempt."""
    ejection: Ejection = Ejection()
    """Taking a failing backend out."""
    max_queue_time_s: Seconds = 1
    """How long a call waits for a free place at a backend at most, and never above a tenth of its deadline."""
    max_queued_calls: int = Field(default=2048, ge=0, le=1_000_000)
    """Calls that wait at once; one more is ROUTER_OVERLOADED. Divided among workers."""
    compatibility: dict[str, CompatibleService] = Field(default_factory=dict, max_length=16)
    """Earlier contracts of callers, by the full name of their service, as acme.llm.v1.Completion. Changed by a
    restart."""
    price_file: str = ""
    """JSON file of prices that go before those of the table that comes along (see docs/cost.md). Read again when it
    changes."""
    kubernetes: Kubernetes = Kubernetes()
    """How the API server is reached, for discovery."""
    backends: dict[Name, Backend] = Field(
        default_factory=lambda: {"simulator": Backend(provider="simulator")}, min_length=1, max_length=10_000
    )
    """Places that run models."""
    models: dict[Name, Model] = Field(
        default_factory=lambda: {"simulator": Model(targets=(Target(backend="simulator"),))},
        min_length=1,
        max_length=10_000,
    )
    """Names that callers ask for."""
