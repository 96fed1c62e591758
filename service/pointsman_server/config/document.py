"""The text of one YAML file -> plain values and their lines; refuses what could surprise a reader or exhaust us.

Plain scalars follow YAML 1.2 (`no` is text, not false); duplicate keys, merge keys, tags, several documents and
runaway aliases are faults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from pointsman_server.config.faults import ConfigError, ConfigFault, Path, dotted

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 200_000

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: Mapping[str, bool | float | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}
_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "timestamp", "value", "merge", "map", "seq")
)
"""What the composer gives to nodes on its own; another tag was written."""


@dataclass(slots=True)
class Document:
    """One file as plain values."""

    value: dict[str, Value]
    lines: dict[Path, int] = field(default_factory=dict)
    """The line of each key and each list item."""

    def line(self, path: Path) -> int:
        """The line of the path, or of the nearest part of it that is written; 0 when nothing is."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def has(self, path: Path) -> bool:
        """Whether the path is written in the file."""
        return path in self.lines


def parse(data: bytes) -> Document:
    """Read one file. Raises ConfigError."""
    text = _text(data)
    try:
        _check_shape(text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax(error) from error
    return _Builder().build(root)


def _text(data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError((ConfigFault("", 0, f"the file is larger than {MAX_FILE_BYTES // 1024} KiB"),))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError((ConfigFault("", line, "not UTF-8 text"),)) from error


def _syntax(error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    return ConfigError((ConfigFault("", mark.line + 1 if mark else 0, f"not valid YAML: {problem}"),))


def _check_shape(text: str) -> None:
    """Depth and number of documents, before the recursive composer sees the text."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ConfigError((ConfigFault("", line, "only one document is allowed"),))
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError((ConfigFault("", line, f"nested deeper than {MAX_DEPTH} levels"),))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    def __init__(self) -> None:
        self._lines: dict[Path, int] = {}
        self._faults: list[ConfigFault] = []
        self._nodes = 0

    def build(self, root: yaml.Node | None) -> Document:
        value: Value = {} if root is None else self._value(root, ())
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise ConfigError((ConfigFault("", 1, "the file must be a mapping of keys"),))
        if self._faults:
            raise ConfigError(tuple(self._faults))
        return Document(value, self._lines)

    def _value(self, node: yaml.Node, path: Path) -> Value:
        self._count(node, path)
        if node.tag not in _TAGS:
            self._fault(node, path, "tags are not supported")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path)
        return _scalar(node)

    def _count(self, node: yaml.Node, path: Path) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            self._fault(node, path[:MAX_DEPTH], "too large once its aliases are followed")
            raise ConfigError(tuple(self._faults))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            inner = (*path, key)
            if key in values:
                self._fault(key_node, inner, f"written twice; first on line {self._lines[inner]}")
                continue
            self._lines[inner] = key_node.start_mark.line + 1
            values[key] = self._value(value_node, inner)
        return values

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, path, "a key must be text")
        elif node.value == "<<" and _is_plain(node):
            self._fault(node, path, "merge keys (<<) are not supported; write the keys out")
        elif not node.value:
            self._fault(node, path, "a key must not be empty")
        else:
            return str(node.value)
        return None

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[Value]:
        values: list[Value] = []
        for position, item in enumerate(node.value):
            inner = (*path, position)
            self._lines[inner] = item.start_mark.line + 1
            values.append(self._value(item, inner))
        return values

    def _fault(self, node: yaml.Node, path: Path, message: str) -> None:
        self._faults.append(ConfigFault(dotted(path), node.start_mark.line + 1, message))


def _is_plain(node: yaml.Node) -> bool:
    """Whether the scalar stands without quotes; the C loader says that with an empty style."""
    return not getattr(node, "style", None)


def _scalar(node: yaml.Node) -> Value:
    text = str(node.value)
    if not _is_plain(node):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
