"""What the schema alone cannot say: rules between keys. Pure, apart from looking whether named files can be read."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path as FilePath

from pointsman_server.config.discovery import discovery_findings
from pointsman_server.config.faults import Path
from pointsman_server.config.schema import AuthMode, Backend, Config, Model
from pointsman_server.config.share import too_small
from pointsman_server.domain import Generation, ReasoningConfig

Finding = tuple[Path, str]
CheckBackend = Callable[[Backend], Iterable[tuple[str, str]]]
"""A backend of a known provider -> keys that are at fault there, and why."""
CheckModel = Callable[[Model, Mapping[str, Backend]], Iterable[tuple[str, str]]]
"""A model on backends that are there -> keys that are at fault there, and why."""

DROPPABLE = frozenset(
    [f"generation.{field.name}" for field in dataclasses.fields(Generation)]
    + [f"generation.reasoning.{field.name}" for field in dataclasses.fields(ReasoningConfig)]
    + [
        "tools",
        "tools.strict",
        "tool_choice",
        "tool_choice.mode",
        "tool_choice.allowed_tools",
        "tool_choice.parallel_calls",
        "output_format",
        "dimensions",
        "task",
        "truncate",
        "end_user_id",
        "provider_metadata",
        "routing.priority",
        "cache.prefix_cache_salt",
    ]
)
"""Contract fields that a backend may be configured not to take."""
OWN_HEADERS = frozenset(
    {
        "accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length",
        "content-type", "cookie", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that a backend's configuration does not set: they frame the request, or are credentials."""


def findings(
    config: Config, known_providers: Collection[str], check_backend: CheckBackend, check_model: CheckModel
) -> Iterator[Finding]:
    """Everything that is wrong between keys."""
    yield from _server(config)
    yield from _workers(config)
    yield from _telemetry(config)
    yield from _retry(config)
    yield from _auth(config)
    yield from _principals(config)
    yield from _backends(config, known_providers, check_backend)
    yield from discovery_findings(config)
    yield from _kubernetes(config)
    yield from _models(config, known_providers, check_model)
    yield from _names(config)


def no_model_findings(_model: Model, _backends: Mapping[str, Backend]) -> Iterable[tuple[str, str]]:
    """Where nothing is known of what providers can do."""
    return ()


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach the address."""
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _server(config: Config) -> Iterator[Finding]:
    for section, listen in (
        ("server", config.server.listen),
        ("admin", config.admin.listen),
        ("ops", config.ops.listen),
    ):
        if int(listen.rpartition(":")[2]) > 65_535:
            yield (section, "listen"), "the port must be at most 65535"
    if config.server.http2.max_connection_age_grace_s < config.deadlines.maximum_s:
        yield (
            ("server", "http2", "max_connection_age_grace_s"),
            f"must be at least deadlines.maximum_s ({config.deadlines.maximum_s:g}), or calls are cut off",
        )
    for name in ("unary_default_s", "stream_default_s"):
        if getattr(config.deadlines, name) > config.deadlines.maximum_s:
            yield ("deadlines", name), f"must be at most deadlines.maximum_s ({config.deadlines.maximum_s:g})"
    if (tls := config.server.tls) is not None:
        for name in ("certificate_file", "key_file", "client_ca_file"):
            yield from _readable(("server", "tls", name), getattr(tls, name))


def _workers(config: Config) -> Iterator[Finding]:
    for path, _ in too_small(config):
        yield path, f"must be at least workers ({config.workers}): each of them gets a part"


def _readable(path: Path, name: str | None) -> Iterator[Finding]:
    if not name:
        return
    try:
        with FilePath(name).open("rb"):
            pass
    except OSError as error:
        yield path, f"file {name} cannot be read: {error.strerror or type(error).__name__}"


def _telemetry(config: Config) -> Iterator[Finding]:
    otlp = config.telemetry.otlp
    if otlp is not None and otlp.batch_size > otlp.queue_size:
        yield ("telemetry", "otlp", "batch_size"), f"must be at most queue_size ({otlp.queue_size})"


def _retry(config: Config) -> Iterator[Finding]:
    retry, ejection = config.retry, config.ejection
    if retry.max_attempts > retry.max_attempts_limit:
        yield ("retry", "max_attempts"), f"must be at most max_attempts_limit ({retry.max_attempts_limit})"
    if retry.backoff_base_s > retry.backoff_max_s:
        yield ("retry", "backoff_base_s"), f"must be at most backoff_max_s ({retry.backoff_max_s:g})"
    if ejection.base_s > ejection.max_s:
        yield ("ejection", "base_s"), f"must be at most max_s ({ejection.max_s:g})"


def _auth(config: Config) -> Iterator[Finding]:
    auth = config.auth
    if auth.mode is None and not is_loopback(config.server.listen):
        yield (
            ("auth", "mode"),
            "must be written down when server.listen is not loopback: api_key, mtls, or none to let everybody in",
        )
    if auth.effective_mode is AuthMode.API_KEY and not any(
        principal.api_keys for principal in auth.principals
    ):
        yield ("auth", "principals"), "mode api_key needs at least one principal with api_keys"
    if auth.effective_mode is AuthMode.MTLS:
        if config.server.tls is None or config.server.tls.client_ca_file is None:
            yield ("auth", "mode"), "mode mtls needs server.tls.client_ca_file"
        if not any(principal.mtls_identities for principal in auth.principals):
            yield ("auth", "principals"), "mode mtls needs at least one principal with mtls_identities"
    if auth.effective_mode is AuthMode.NONE and auth.principals:
        yield ("auth", "mode"), "principals are written but nobody would be asked; set api_key or mtls"


def _principals(config: Config) -> Iterator[Finding]:
    names, ids, identities = _Seen(), _Seen(), _Seen()
    for position, principal in enumerate(config.auth.principals):
        here: Path = ("auth", "principals", position)
        yield from names.look(principal.name, (*here, "name"), "this name")
        for number, key in enumerate(principal.api_keys):
            yield from ids.look(key.id, (*here, "api_keys", number, "id"), "this key id")
        for number, identity in enumerate(principal.mtls_identities):
            yield from identities.look(identity, (*here, "mtls_identities", number), "this identity")
        for number, model in enumerate(principal.models or ()):
            if model not in config.models:
                yield (*here, "models", number), _no_such("model", model, config.models)


class _Seen:
    """Names that must not come twice."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def look(self, name: str, path: Path, what: str) -> Iterator[Finding]:
        if name in self._seen:
            yield path, f"{what} is used twice"
        self._seen.add(name)


def _backends(
    config: Config, known_providers: Collection[str], check_backend: CheckBackend
) -> Iterator[Finding]:
    for name, backend in config.backends.items():
        here: Path = ("backends", name)
        if backend.provider not in known_providers:
            yield (*here, "provider"), _no_such("provider", backend.provider, known_providers)
        else:
            yield from (((*here, key), text) for key, text in check_backend(backend))
        if backend.more_credentials and backend.credentials is None:
            yield (*here, "more_credentials"), "the first of them belongs under credentials"
        yield from _readable((*here, "ca_file"), backend.ca_file)
        for header in backend.headers:
            if header.lower() in OWN_HEADERS or header.lower().startswith("grpc-"):
                yield (*here, "headers", header), "is not for the configuration; a key goes under credentials"
        for position, parameter in enumerate(backend.drop_params):
            if parameter not in DROPPABLE:
                yield (*here, "drop_params", position), _no_such("parameter", parameter, DROPPABLE)


def _kubernetes(config: Config) -> Iterator[Finding]:
    """Files that somebody wrote down; those of the defaults are there only in a pod."""
    for name in sorted(config.kubernetes.model_fields_set & {"token_file", "ca_file"}):
        yield from _readable(("kubernetes", name), getattr(config.kubernetes, name))


def _models(config: Config, known_providers: Collection[str], check_model: CheckModel) -> Iterator[Finding]:
    if "models" not in config.model_fields_set and "backends" in config.model_fields_set:
        yield ("models",), "this key is required when backends are written"
        return
    for name, model in config.models.items():
        here: Path = ("models", name)
        if not any(target.weight for target in model.targets):
            yield (*here, "targets"), "every target has weight 0"
        for position, target in enumerate(model.targets):
            if target.backend not in config.backends:
                yield (
                    (*here, "targets", position, "backend"),
                    _no_such("backend", target.backend, config.backends),
                )
        for position, fallback in enumerate(model.fallbacks):
            if fallback == name:
                yield (*here, "fallbacks", position), "a model cannot fall back to itself"
            elif fallback not in config.models:
                yield (*here, "fallbacks", position), _no_such("model", fallback, config.models)
        targets = [config.backends.get(target.backend) for target in model.targets]
        if all(backend is not None and backend.provider in known_providers for backend in targets):
            yield from (((*here, key), text) for key, text in check_model(model, config.backends))
        yield from _summary(config, name)
        yield from _bounds(config, name)


def _summary(config: Config, name: str) -> Iterator[Finding]:
    context = config.models[name].context
    if context is None or context.summary is None:
        return
    here: Path = ("models", name, "context", "summary", "model")
    model = context.summary.model
    if model not in config.models:
        yield here, _no_such("model", model, config.models)
    elif config.models[model].context is not None:
        yield here, "must be a model without a context of its own, so that a summary is never summarised"


def _bounds(config: Config, name: str) -> Iterator[Finding]:
    defaults, bounds = config.models[name].defaults, config.models[name].bounds
    here: Path = ("models", name, "defaults")
    if bounds.temperature_min > bounds.temperature_max:
        yield ("models", name, "bounds", "temperature_min"), "must be at most temperature_max"
    elif (
        defaults.temperature is not None
        and not bounds.temperature_min <= defaults.temperature <= bounds.temperature_max
    ):
        yield (
            (*here, "temperature"),
            f"must be from {bounds.temperature_min:g} to {bounds.temperature_max:g}, as bounds say",
        )
    if (defaults.max_output_tokens or 0) > (bounds.max_output_tokens or float("inf")):
        yield (*here, "max_output_tokens"), f"must be at most {bounds.max_output_tokens}, as bounds say"
    if len(defaults.stop_sequences) > bounds.max_stop_sequences:
        yield (
            (*here, "stop_sequences"),
            f"must have at most {bounds.max_stop_sequences} entries, as bounds say",
        )


def _names(config: Config) -> Iterator[Finding]:
    """Every name and alias of a model leads to one model."""
    owners: dict[str, str] = {}
    for name, model in config.models.items():
        for position, alias in enumerate(model.aliases):
            path: Path = ("models", name, "aliases", position)
            if alias in config.models:
                yield path, f"{alias!r} is the name of a model"
            elif alias in owners:
                yield path, f"{alias!r} is already an alias of model {owners[alias]!r}"
            owners.setdefault(alias, name)


def _no_such(what: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"no {what} {name[:128]!r}; did you mean {close[0]!r}?"
    listed = sorted(known)
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    return f"no {what} {name[:128]!r}; known: {', '.join(listed[:12])}{more}"
