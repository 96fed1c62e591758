"""The validator's errors -> faults that a platform engineer can act on: no jargon of its own, and never the value."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointsman_server.config.document import Document, Value
from pointsman_server.config.faults import ConfigFault, Path, dotted

_FORMS: Mapping[str, str] = {
    "*": "has a form that is not allowed",
    "listen": "must be host:port, as 0.0.0.0:50051",
    "hash": "must be sha256: and 64 hex digits, as `pointsman-server new-key` prints it",
    "url": "must be an http(s) URL without user information, query or fragment",
    "headers.*": "must have printable ASCII characters only",
    "token_url": "must be an http(s) URL without user information and fragment",
    "tenant": "must be a directory's id or domain",
    "authority": "must be an http(s) URL without user information, query or fragment",
    "endpoint": "must be an http(s) URL without user information",
    "proxy_url": "must be an http URL without user information",
    "api_server": "must be an http(s) URL without user information, query or fragment",
    "dns.name": "must be a DNS name",
    "endpoints.*": "must be host:port, as 10.0.0.7:8000",
    "nameservers.*": "must be an IP address, with a port where it is not 53, as 127.0.0.1:8600",
    "kubernetes.service": "must be a Service's name: lower-case letters, digits and -",
    "kubernetes.namespace": "must be a namespace's name: lower-case letters, digits and -",
    "kubernetes.port": "must be a port's name: lower-case letters, digits and -",
    "id": "may hold letters, digits, _ and - only",
    "api_version": "may hold letters, digits, dots, _ and - only",
    "name": "must begin with a letter or digit; letters, digits and . _ : / @ - may follow",
    "[key]": "a name must begin with a letter or digit; letters, digits and . _ : / @ - may follow",
}
_TEXTS: Mapping[str, str] = {
    "missing": "this key is required",
    "string_type": "must be text (put it in quotes)",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entry(ies)",
    "too_long": "must have at most {max_length} entries",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "union_tag_not_found": "must be a mapping of keys",
    "union_tag_invalid": "type must be one of {expected_tags}",
    "value_error": "{error}",
}


def faults_of(
    error: ValidationError, document: Document, root: type[BaseModel]
) -> tuple[list[ConfigFault], list[Path]]:
    """The faults, and the paths of unknown keys among them."""
    faults, unknown = [], []
    details = [
        (_path(detail["loc"], document.value, written=detail["type"] == "value_error"), detail)
        for detail in error.errors(include_url=False, include_input=False)
    ]
    for path, detail in details:
        if detail["type"] == "too_short" and any(
            len(path) < len(other) and other[: len(path)] == path for other, _ in details
        ):
            continue  # a list is short because its entries are at fault, which is told
        faults.append(ConfigFault(dotted(path), document.line(path), _message(detail, path, root)))
        if detail["type"] == "extra_forbidden":
            unknown.append(path)
    return faults, unknown


def _path(location: tuple[int | str, ...], value: Value, *, written: bool) -> Path:
    """The validator's location without what it adds of its own (tags of unions, marks of keys).

    `written`: the last step is there as well, since it is not a key that is missing.
    """
    path: list[str | int] = []
    here: Value = value
    for position, step in enumerate(location):
        if isinstance(here, dict) and step in here:
            here = here[str(step)]
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        elif position < len(location) - 1 or step == "[key]" or written:
            continue
        path.append(step)
    return tuple(path)


def _message(detail: ErrorDetails, path: Path, root: type[BaseModel]) -> str:
    kind, location = detail["type"], detail["loc"]
    last = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return _unknown_key(last, path, root)
    if kind == "string_pattern_mismatch":
        return _form(location, last)
    if kind == "union_tag_not_found" and last == "discovery":
        return "needs a type: static, dns or kubernetes"
    return _TEXTS.get(kind, "is not valid").format(**_words(detail.get("ctx", {})))


def _form(location: tuple[int | str, ...], last: str) -> str:
    """What text in this place must look like; `kind.key` and `list.*` go before the bare key."""
    own, outer = location[-1], location[-2] if len(location) > 1 else ""
    names = (f"{outer}.*" if isinstance(own, int) else f"{outer}.{own}", f"{outer}.*", str(own), last, "*")
    return next(_FORMS[name] for name in names if name in _FORMS)


def _words(context: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in context.items()}


def _unknown_key(key: str, path: Path, root: type[BaseModel]) -> str:
    section = _section(root, path[:-1])
    known = list(section.model_fields) if section else []
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"unknown key {key[:64]!r}; did you mean {close[0]!r}?"
    return (
        f"unknown key {key[:64]!r}; known here: {', '.join(known)}" if known else f"unknown key {key[:64]!r}"
    )


def _section(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The section of the schema that a path leads to."""
    here: object = root
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(step))
            here = field.annotation if field else None
        else:
            here = _element(here)
        here = _without_none(here)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _without_none(annotation: object) -> object:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(annotation) if option is not type(None)]
        return _without_none(options[0]) if len(options) == 1 else None
    return annotation


def _element(annotation: object) -> object:
    """What a list or mapping holds."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if arguments else None
