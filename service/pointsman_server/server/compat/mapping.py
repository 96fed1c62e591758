"""Rules -> a function from one message to another. What can be found wrong with a rule is found once, here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import StringValue

from pointsman_server.config.faults import Path
from pointsman_server.config.schema import FieldRule
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.server.compat.paths import FieldPath, PathFault, parse_path
from pointsman_server.server.compat.values import Misfit, convertible, put

MAX_ELEMENTS = 10_000
"""Of a list that is mapped."""

Finding = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class _Rule:
    written: FieldRule
    source: FieldPath | None
    target: FieldPath
    each: tuple[_Rule, ...] = ()


@dataclass(slots=True)
class Mapping:
    """One direction of one method."""

    target: type[Message]
    _rules: tuple[_Rule, ...]
    findings: list[Finding] = field(default_factory=list)
    """What is wrong with the rules; such a mapping must not be used."""

    @property
    def read_fields(self) -> set[str]:
        """Names of the top fields that are read."""
        return {rule.source.steps[0].field.name for rule in self._rules if rule.source is not None}

    def __call__(self, message: Message) -> Message | None:
        """The other message; None when no rule found anything.

        Raises ServiceError INVALID_REQUEST for a value that its field cannot take, named by the path that was read.
        """
        made = self.target()
        found = [_apply(rule, message, made, "") for rule in self._rules]
        return made if any(found) else None

    def source_of(self, path: str) -> str:
        """A field of the made message -> the field that it was read from; the same path where no rule wrote it."""
        found = [
            (len(rule.target.text), rule)
            for rule in self._rules
            if rule.source is not None
            and (
                path == rule.target.text or path.startswith((f"{rule.target.text}.", f"{rule.target.text}["))
            )
        ]
        if not found:
            return path
        _, rule = max(found, key=lambda pair: pair[0])
        assert rule.source is not None
        rest = path[len(rule.target.text) :]
        element, _, inner = rest.partition(".")
        if rule.each and inner:
            nested = Mapping(self.target, rule.each)
            return f"{rule.source.text}{element}.{nested.source_of(inner)}"
        return f"{rule.source.text}{element if rule.each else ''}"


def compile_mapping(
    rules: Sequence[FieldRule], source: Descriptor, target: type[Message], where: Path
) -> Mapping:
    """The mapping, with what is wrong with it."""
    findings: list[Finding] = []
    compiled = tuple(_compile(rules, source, cast(Descriptor, target.DESCRIPTOR), where, findings))
    return Mapping(target, compiled, findings)


def _compile(
    rules: Sequence[FieldRule], source: Descriptor, target: Descriptor, where: Path, findings: list[Finding]
) -> Iterator[_Rule]:
    for position, rule in enumerate(rules):
        here = (*where, position)
        try:
            reads = parse_path(rule.source, source) if rule.source else None
        except PathFault as fault:
            findings.append(((*here, "from"), str(fault)))
            continue
        try:
            writes = parse_path(rule.to, target)
        except PathFault as fault:
            findings.append(((*here, "to"), str(fault)))
            continue
        if text := _fault(rule, reads, writes):
            findings.append(((*here, "to"), text))
            continue
        each: tuple[_Rule, ...] = ()
        if rule.each:
            assert reads is not None
            assert reads.last.message_type is not None
            assert writes.last.message_type is not None
            each = tuple(
                _compile(
                    rule.each, reads.last.message_type, writes.last.message_type, (*here, "each"), findings
                )
            )
        yield _Rule(rule, reads, writes, each)


def _fault(rule: FieldRule, reads: FieldPath | None, writes: FieldPath) -> str:
    """What is wrong with a rule whose paths are good."""
    if any(step.every for step in writes.steps) or any(step.repeated for step in writes.steps[:-1]):
        return "cannot write into every element of a list: use [0], or each"
    if writes.steps[-1].index is not None:
        return "a list is appended to: leave out the index at the end"
    if reads is None:
        return _written_fault(rule.value, writes.last)
    return _kinds_fault(rule, reads, writes) or (
        "" if rule.default is None else _written_fault(rule.default, writes.last)
    )


def _kinds_fault(rule: FieldRule, reads: FieldPath, writes: FieldPath) -> str:
    target = writes.last
    if rule.each:
        both = reads.last.message_type is not None and target.message_type is not None and target.is_repeated
        return "" if both else "each maps a list of messages into a list of messages"
    if rule.present:
        return (
            ""
            if target.type == FieldDescriptor.TYPE_BOOL and not target.is_repeated
            else "must be a bool, with present"
        )
    if rule.join is not None and target.type != FieldDescriptor.TYPE_STRING:
        return "must be a string, with join"
    if reads.many and not target.is_repeated and rule.join is None:
        return f"{reads.text} may have several values, {writes.text} takes one: choose one with [0], or join them"
    if not convertible(reads.last, target) and not rule.names:
        return f"{reads.text} cannot be put into {writes.text}: they are of different kinds"
    return ""


def _written_fault(value: object, target: FieldDescriptor) -> str:
    try:
        assert target.containing_type is not None
        put(GetMessageClass(target.containing_type)(), target, value, None, {})
    except Misfit as fault:
        return f"the value that is written {fault}"
    return ""


def _apply(rule: _Rule, message: Message, made: Message, prefix: str) -> bool:
    """Whether the rule found anything; a value that is written always is nothing that was found."""
    written, target = rule.written, rule.target.last
    if rule.source is None:
        put(rule.target.owner(made), target, written.value, None, {})
        return False
    values = rule.source.read(message)
    path = f"{prefix}{rule.source.text}"
    try:
        if rule.each:
            return _apply_each(rule, values, made, path)
        if written.present:
            if values:
                put(rule.target.owner(made), target, bool(values), None, {})
            return bool(values)
        return _put_all(rule, values, made)
    except Misfit as fault:
        raise _invalid(path, str(fault)) from None


def _put_all(rule: _Rule, values: list[Any], made: Message) -> bool:
    written, target = rule.written, rule.target.last
    assert rule.source is not None
    source = rule.source.last
    if written.join is not None and values:
        # Each by its own word, so that enums and numbers can be joined, too.
        put(rule.target.owner(made), target, _joined(written, source, values), None, {})
        return True
    for value in values if target.is_repeated else values[:1]:
        put(rule.target.owner(made), target, value, source, written.names)
    if not values and written.default is not None:
        put(rule.target.owner(made), target, written.default, None, {})
    return bool(values)


def _joined(written: FieldRule, source: FieldDescriptor, values: list[Any]) -> str:
    texts = []
    for value in values:
        holder = StringValue()
        put(holder, holder.DESCRIPTOR.fields_by_name["value"], value, source, written.names)
        texts.append(holder.value)
    return (written.join or "").join(texts)


def _apply_each(rule: _Rule, values: list[Any], made: Message, path: str) -> bool:
    if len(values) > MAX_ELEMENTS:
        raise Misfit(f"must have at most {MAX_ELEMENTS} elements")
    elements: Any = getattr(rule.target.owner(made), rule.target.last.name)
    for position, value in enumerate(values):
        element = elements.add()
        for inner in rule.each:
            _apply(inner, value, element, f"{path}[{position}].")
    return bool(values)


def _invalid(path: str, text: str) -> ServiceError:
    return ServiceError(Reason.INVALID_REQUEST, f"{path} {text}", fields=(FieldFault(path, text),))
