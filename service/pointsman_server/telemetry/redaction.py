"""Foreign text -> text without what looks like a credential. A last defence: our own lines carry no foreign text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import TracebackType

HIDDEN = "***"
MAX_FRAMES = 8
MAX_CAUSES = 4

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(://)[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(https?://[^\s?#]*)[?#]\S+"), rf"\1?{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;]+"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)\b([a-z_-]*(?:api[-_]?key|authorization|token|secret|password|passwd))"
            r"([\"']?\s*[:=]\s*)(?:[\"'][^\"']*[\"']|[^\s\"',;}]+)"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|ghp|gho|ghs|xox[abps])[-_][A-Za-z0-9_-]{8,}"), HIDDEN),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{20,}|\bAKIA[0-9A-Z]{12,}"), HIDDEN),
    (re.compile(r"\b[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{24,}"), HIDDEN),
    (re.compile(r"[A-Za-z0-9+/_=-]{40,}"), HIDDEN),
)


class Redactor:
    """Hides known secrets and what has the form of one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted((secret for secret in set(secrets) if len(secret) >= 4), key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(secret) for secret in known)) if known else None

    def clean(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text


def failure_fields(error: BaseException) -> dict[str, object]:
    """What may be logged of an exception: types and places, never its text, which may quote a prompt or a key."""
    types: list[str] = []
    here: BaseException | None = error
    while here is not None and len(types) < MAX_CAUSES:
        types.append(_type_name(here))
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
    fields: dict[str, object] = {"error_type": types[0], "error_at": _frames(error.__traceback__)}
    if len(types) > 1:
        fields["error_causes"] = types[1:]
    return fields


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _frames(trace: TracebackType | None) -> list[str]:
    """The innermost frames, as `module.function:line`."""
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        module = trace.tb_frame.f_globals.get("__name__", "?")
        frames.append(f"{module}.{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames[-MAX_FRAMES:]
