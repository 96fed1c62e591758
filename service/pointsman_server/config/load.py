"""One file and the environment -> a checked configuration with its secrets, or every fault with its line.

Start, reload and `check-config` come through here. Reads files and blocks while it does; never opens a socket.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NotRequired, TextIO, TypedDict, Unpack

from pydantic import ValidationError

from pointsman_server.config.document import MAX_FILE_BYTES, Document, Value, parse
from pointsman_server.config.faults import ConfigError, ConfigFault, Path, dotted
from pointsman_server.config.messages import faults_of
from pointsman_server.config.prices import PriceTable, load_prices, shipped_prices
from pointsman_server.config.rules import CheckBackend, CheckModel, findings, no_model_findings
from pointsman_server.config.schema import ApiKey, CompatibleService, Config
from pointsman_server.config.secrets import Secret, SecretMissing, Secrets, read, references
from pointsman_server.config.templates import CheckTemplate, Templates, read_templates, templates_of
from pointsman_server.config.tokenizers import (
    ParseTokenizer,
    Tokenizers,
    read_tokenizers,
    tokenizers_of,
    unparsed,
)

ENV_CONFIG = "POINTSMAN_CONFIG"
"""Path of the file, where none is given."""
ENV_OVERRIDES: Mapping[str, Path] = {
    "POINTSMAN_LISTEN": ("server", "listen"),
    "POINTSMAN_ADMIN_LISTEN": ("admin", "listen"),
    "POINTSMAN_OPS_LISTEN": ("ops", "listen"),
    "POINTSMAN_LOG_LEVEL": ("telemetry", "log_level"),
}
"""Facts about where a process runs; nothing else is taken from the environment."""
DEFAULTS = "embedded defaults"

_HASH = re.compile(r"sha256:[0-9a-f]{64}\Z")


CheckCompatibility = Callable[[Mapping[str, CompatibleService]], Iterable[tuple[Path, str]]]
"""What is wrong with the services of callers' earlier contracts."""


class Checks(TypedDict):
    """What other rooms say of a configuration; see `load`."""

    known_providers: Collection[str]
    check_backend: CheckBackend
    check_template: CheckTemplate
    check_compatibility: NotRequired[CheckCompatibility]
    check_model: NotRequired[CheckModel]
    parse_tokenizer: NotRequired[ParseTokenizer]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used."""

    config: Config
    secrets: Secrets
    templates: Templates
    hash: str
    """Names the content: equal for equal configurations, templates and tokenizers, whatever their comments and order;
    secrets play no part."""
    source: str
    """The file's path, or that there was none."""
    files: tuple[FilePath, ...]
    """What a change of should lead to a reload: the file itself, the secrets' files, those of templates and tokenizers,
    and that of the prices."""
    prices: PriceTable = field(default_factory=shipped_prices)
    tokenizers: Tokenizers = field(default_factory=lambda: Tokenizers({}))


def load(
    path: str | FilePath | None,
    *,
    environment: Mapping[str, str],
    known_providers: Collection[str],
    check_backend: CheckBackend,
    check_template: CheckTemplate,
    check_compatibility: CheckCompatibility = lambda _: (),
    check_model: CheckModel = no_model_findings,
    parse_tokenizer: ParseTokenizer = unparsed,
) -> Loaded:
    """The configuration of a file, of POINTSMAN_CONFIG, or the embedded one. Raises ConfigError with all faults."""
    name = str(path) if path is not None else environment.get(ENV_CONFIG, "")
    document = parse(_bytes(name)) if name else Document({})
    overridden = _override(document, environment)
    config, faults = _validate(document)
    secrets, prices, templates, tokenizers = Secrets({}), PriceTable({}), Templates({}), Tokenizers({})
    if config is not None:
        prices, wrong = _prices(config, document)
        faults += wrong
        secrets, missing = _resolve(config, document, environment)
        faults += missing
        templates, unusable = read_templates(config, check_template)
        tokenizers, uncounting = read_tokenizers(config, parse_tokenizer)
        faults += [
            ConfigFault(dotted(where), document.line(where), text)
            for where, text in [
                *findings(config, known_providers, check_backend, check_model),
                *unusable,
                *uncounting,
                *check_compatibility(config.compatibility),
            ]
        ]
    faults += _written_nulls(document)
    if config is None or faults:
        raise ConfigError(tuple(_with_origin(fault, overridden) for fault in sorted(set(faults), key=_order)))
    return Loaded(
        config,
        secrets,
        templates,
        config_hash(config, templates, tokenizers),
        name or DEFAULTS,
        _files(name, config),
        prices,
        tokenizers,
    )


def _bytes(name: str) -> bytes:
    try:
        with FilePath(name).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError((ConfigFault("", 0, f"the file cannot be read: {reason}"),)) from error


def _override(document: Document, environment: Mapping[str, str]) -> dict[str, str]:
    """Puts the environment's facts into the document; the variables that were used, by dotted path."""
    used = {}
    for variable, (section, key) in ENV_OVERRIDES.items():
        if (text := environment.get(variable)) is None:
            continue
        values = document.value.setdefault(str(section), {})
        if isinstance(values, dict):
            values[str(key)] = text
            document.lines.pop((section, key), None)
            used[dotted((section, key))] = variable
    return used


def _with_origin(fault: ConfigFault, overridden: Mapping[str, str]) -> ConfigFault:
    variable = overridden.get(fault.path)
    return ConfigFault(fault.path, 0, f"{fault.message} (from {variable})") if variable else fault


def _validate(document: Document) -> tuple[Config | None, list[ConfigFault]]:
    """The schema's verdict. Where only unknown keys are at fault, what is left is still checked further."""
    try:
        return Config.model_validate(document.value), []
    except ValidationError as error:
        faults, unknown = faults_of(error, document, Config)
    if len(unknown) < len(faults):
        return None, faults
    for path in unknown:
        _remove(document.value, path)
    try:
        return Config.model_validate(document.value), faults
    except ValidationError:
        return None, faults


def _remove(root: dict[str, Value], path: Path) -> None:
    here: Value = root
    for step in path[:-1]:
        if isinstance(here, dict):
            here = here[str(step)]
        elif isinstance(here, list):
            here = here[int(step)]
    if isinstance(here, dict):
        here.pop(str(path[-1]), None)


def _resolve(
    config: Config, document: Document, environment: Mapping[str, str]
) -> tuple[Secrets, list[ConfigFault]]:
    values, faults = {}, []
    for path, ref in references(config):
        try:
            values[ref] = read(ref, environment)
        except SecretMissing as missing:
            faults.append(ConfigFault(dotted(path), document.line(path), str(missing)))
    for path, key in _key_hashes(config):
        secret = values.get(key.hash_from) if key.hash_from else None
        if secret is not None and not _HASH.match(secret.reveal()):
            faults.append(
                ConfigFault(
                    dotted(path), document.line(path), "what it leads to must be sha256: and 64 hex digits"
                )
            )
    return Secrets(values), faults


def _prices(config: Config, document: Document) -> tuple[PriceTable, list[ConfigFault]]:
    path: Path = ("price_file",)
    try:
        return load_prices(config.price_file), []
    except OSError as error:
        text = f"the file cannot be read: {error.strerror or type(error).__name__}"
    except ValueError as error:
        text = f"the file is no price table: {error}"
    return PriceTable({}), [ConfigFault(dotted(path), document.line(path), text)]


def _key_hashes(config: Config) -> list[tuple[Path, ApiKey]]:
    return [
        (("auth", "principals", position, "api_keys", number, "hash_from"), key)
        for position, principal in enumerate(config.auth.principals)
        for number, key in enumerate(principal.api_keys)
    ]


def _written_nulls(document: Document) -> list[ConfigFault]:
    """An access list whose entries were all commented out must not come to mean everything."""
    auth = document.value.get("auth")
    principals = auth.get("principals") if isinstance(auth, dict) else None
    faults = []
    for position, principal in enumerate(principals if isinstance(principals, list) else []):
        if isinstance(principal, dict) and "models" in principal and principal["models"] is None:
            path: Path = ("auth", "principals", position, "models")
            text = "write a list, or leave the key out to allow every model"
            faults.append(ConfigFault(dotted(path), document.line(path), text))
    return faults


def _order(fault: ConfigFault) -> tuple[int, str, str]:
    return fault.line, fault.path, fault.message


def _files(name: str, config: Config) -> tuple[FilePath, ...]:
    names = [name] if name else []
    names += [ref.file for _, ref in references(config) if ref.file]
    names += [config.price_file] if config.price_file else []
    names += [template.file for _, template in templates_of(config) if template.file]
    names += [tokenizer.file for _, tokenizer in tokenizers_of(config)]
    return tuple(FilePath(name) for name in dict.fromkeys(names))


def config_hash(config: Config, templates: Templates, tokenizers: Tokenizers) -> str:
    """16 hex digits that name the content of a configuration."""
    content = [config.model_dump(mode="json"), templates.files, tokenizers.digests]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def redacted(config: Config) -> dict[str, Any]:
    """The configuration in force as it may be shown: secrets are references anyway, hashes of keys are left out."""
    shown: dict[str, Any] = config.model_dump(mode="json")
    for principal in shown["auth"]["principals"]:
        for key in principal["api_keys"]:
            key["hash"] = "***" if key["hash"] else None
    return shown


def check_config(
    path: str | FilePath,
    *,
    environment: Mapping[str, str],
    out: TextIO | None = None,
    **checks: Unpack[Checks],
) -> int:
    """Check one file and list every fault as `file:line: path: message`; 0 when there is none, else 1."""
    out = out if out is not None else sys.stdout
    try:
        loaded = load(path, environment=environment, **checks)
    except ConfigError as error:
        for line in listing(str(path), error):
            print(line, file=out)
        return 1
    config = loaded.config
    print(
        f"{path}: good: {len(config.models)} model(s), {len(config.backends)} backend(s), hash {loaded.hash}",
        file=out,
    )
    return 0


def listing(source: str, error: ConfigError) -> list[str]:
    """The faults as lines of text."""
    return [
        ": ".join(
            part
            for part in (f"{source}:{fault.line}" if fault.line else source, fault.path, fault.message)
            if part
        )
        for fault in error.faults
    ]


__all__ = [
    "DEFAULTS",
    "ConfigError",
    "ConfigFault",
    "Loaded",
    "Secret",
    "Secrets",
    "check_config",
    "config_hash",
    "listing",
    "load",
    "redacted",
]
