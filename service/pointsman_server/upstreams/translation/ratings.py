"""Providers' judgements of content -> SafetyRating, in their own words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pointsman_server.domain import SafetyRating
from pointsman_server.upstreams.translation.documents import as_object
from pointsman_server.upstreams.translation.faults import bounded_word, whole_number

MAX_RATINGS = 32
_SEVERITIES = ("", "safe", "low", "medium", "high")
_NOT_SHOWN = 3
"""Baidu's flags from here on mean content that must not be shown."""


def worst(ratings: Iterable[SafetyRating]) -> tuple[SafetyRating, ...]:
    """The gravest rating of each category and explanation, in the order of their first appearance."""
    found: dict[tuple[str, str], SafetyRating] = {}
    for rating in ratings:
        key = rating.category, rating.explanation
        known = found.get(key)
        if known is None and len(found) >= MAX_RATINGS:
            continue
        if known is None or _gravity(rating) > _gravity(known):
            found[key] = rating
    return tuple(found.values())


def _gravity(rating: SafetyRating) -> tuple[bool, int]:
    word = rating.severity
    return rating.blocked, _SEVERITIES.index(word) if word in _SEVERITIES else len(_SEVERITIES)


def filter_ratings(results: object, explanation: str = "") -> Iterator[SafetyRating]:
    """Those of Azure's content filters: an object with a verdict by category."""
    for name, verdict in as_object(results).items():
        said = as_object(verdict)
        if "filtered" not in said and "detected" not in said:
            continue
        severity = bounded_word(said.get("severity"))
        if not severity and said.get("detected") is True:
            severity = "detected"
        if category := bounded_word(name):
            yield SafetyRating(category, severity, said.get("filtered") is True, explanation)


def flag_ratings(said: Mapping[str, object]) -> Iterator[SafetyRating]:
    """Those of Baidu: a flag from 1 to 4, the round that it is about, and whether the history must be cleared.

    1 is a low risk, with 2 the conversation must end, from 3 on the answer must not be shown. Round -1 is the last one.
    """
    flag, banned = whole_number(said.get("flag")), said.get("ban_round")
    where = f"ban_round {banned}" if type(banned) is int and -1 <= banned <= 2**31 and banned else ""
    if flag:
        yield SafetyRating("flag", str(flag), flag >= _NOT_SHOWN, where)
    if said.get("need_clear_history") is True:
        yield SafetyRating("need_clear_history", explanation=where)
