"""What is in force, and replacing it: a whole new configuration is built and checked, then one reference is swapped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from pointsman_server.admission.auth import Authenticator, build_authenticator
from pointsman_server.admission.gate import ConfiguredModels
from pointsman_server.config.faults import ConfigError, ConfigFault
from pointsman_server.config.load import Loaded
from pointsman_server.config.schema import Config
from pointsman_server.runtime import Runtime
from pointsman_server.telemetry.facade import Telemetry


@dataclass(frozen=True, slots=True)
class InForce:
    """One configuration with everything that was built from it."""

    loaded: Loaded
    runtime: Runtime
    authenticator: Authenticator
    models: ConfiguredModels


Load = Callable[[], Loaded]
Prepare = Callable[[Config], Awaitable[None]]
Compile = Callable[[Loaded, Runtime | None], Runtime]


def put_in_force(loaded: Loaded, compile_: Compile, previous: Runtime | None) -> InForce:
    """Build everything of a configuration; the old one stays as it is."""
    return InForce(
        loaded=loaded,
        runtime=compile_(loaded, previous),
        authenticator=build_authenticator(loaded.config.auth, loaded.secrets),
        models=ConfiguredModels(loaded.config),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reload did."""

    applied: bool
    config_hash: str
    faults: tuple[ConfigFault, ...]


class Reloader:
    """Holds what is in force; a call takes `current` once and keeps it."""

    def __init__(
        self, current: InForce, *, load: Load, compile_: Compile, prepare: Prepare, telemetry: Telemetry
    ) -> None:
        """`prepare` is awaited before a new configuration is built: what it needs from outside is fetched there."""
        self.current = current
        self._prepare = prepare
        self._load = load
        self._compile = compile_
        self._telemetry = telemetry
        self._lock = asyncio.Lock()

    async def reload(self, *, validate_only: bool) -> Outcome:
        """Read the configuration again; keeps the old one when the new has a fault, and says which."""
        async with self._lock:
            try:
                loaded = await asyncio.get_running_loop().run_in_executor(None, self._load)
            except ConfigError as error:
                if not validate_only:
                    tell_refused(error, self._telemetry)
                return Outcome(applied=False, config_hash=self.current.loaded.hash, faults=error.faults)
            if not validate_only:
                old = self.current.loaded
                await self._put(loaded)
                tell_reloaded(old, loaded, self._telemetry)
            return Outcome(applied=not validate_only, config_hash=loaded.hash, faults=())

    async def apply(self, loaded: Loaded) -> None:
        """Put this in force, without a word."""
        async with self._lock:
            await self._put(loaded)

    async def _put(self, loaded: Loaded) -> None:
        await self._prepare(loaded.config)
        old = self.current
        self.current = put_in_force(loaded, self._compile, old.runtime)
        old.runtime.give_way()

    def refresh(self) -> None:
        """Build the runtime anew from the same configuration: what was found outside has changed."""
        old = self.current
        self.current = replace(old, runtime=self._compile(old.loaded, old.runtime))
        old.runtime.give_way()


def tell_refused(error: ConfigError, telemetry: Telemetry) -> None:
    """Log and count a configuration that is not taken."""
    first = error.faults[0]
    where = f"{first.path}, line {first.line}" if first.line else first.path
    telemetry.event("config_refused", faults=len(error.faults), fault=f"{where}: {first.message}")


def tell_reloaded(old: Loaded, new: Loaded, telemetry: Telemetry) -> None:
    """Log and count a configuration that is in force now."""
    fixed = ", ".join(needs_restart(old.config, new.config))
    telemetry.event("config_reloaded", config_hash=new.hash, needs_restart=fixed or None)


FIXED = ("workers", "server", "admin", "ops", "telemetry", "compatibility")
"""What takes effect with the next start, but for the keys below."""
LIVE: Mapping[str, frozenset[str]] = {
    "server": frozenset(
        {
            "drain",
            "max_batch_concurrency",
            "max_batch_items",
            "max_calls",
            "max_coalesce_s",
            "max_request_bytes",
        }
    ),
    "telemetry": frozenset({"access_log", "log_level"}),
}


def needs_restart(old: Config, new: Config) -> list[str]:
    """Sections whose change takes effect only with the next start."""
    kept = pinned(old, new)
    return [name for name in FIXED if getattr(kept, name) != getattr(new, name)]


def pinned(first: Config, new: Config) -> Config:
    """What of `new` is in force in processes that were started with `first`."""
    kept: dict[str, object] = {}
    for name in FIXED:
        before, after = getattr(first, name), getattr(new, name)
        live = {key: getattr(after, key) for key in LIVE.get(name, ())}
        kept[name] = before.model_copy(update=live) if live else before
    return new.model_copy(update=kept)
