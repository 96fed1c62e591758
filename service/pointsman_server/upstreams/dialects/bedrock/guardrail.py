"""What a guardrail thought of prompt and answer -> safety ratings. What matched is never told: it is content."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman_server.domain import SafetyRating
from pointsman_server.upstreams.translation.documents import as_list, as_object
from pointsman_server.upstreams.translation.faults import bounded_word

_MOST = 32
_FINDINGS = (
    ("contentPolicy", "filters"),
    ("topicPolicy", "topics"),
    ("wordPolicy", "customWords"),
    ("wordPolicy", "managedWordLists"),
    ("sensitiveInformationPolicy", "piiEntities"),
    ("sensitiveInformationPolicy", "regexes"),
    ("contextualGroundingPolicy", "filters"),
)
"""Where an assessment lists what it found."""


def map_safety(guardrail: object) -> tuple[SafetyRating, ...]:
    """Of the trace, which comes where the caller asked for it; each finding once."""
    trace = as_object(guardrail)
    found: dict[SafetyRating, None] = {}
    for assessment in as_object(trace.get("inputAssessment")).values():
        found.update(dict.fromkeys(_ratings(assessment, "input")))
    for assessments in as_object(trace.get("outputAssessments")).values():
        for assessment in as_list(assessments):
            found.update(dict.fromkeys(_ratings(assessment, "output")))
    return tuple(found)[:_MOST]


def _ratings(assessment: object, where: str) -> Iterator[SafetyRating]:
    for policy, findings in _FINDINGS:
        for finding in as_list(as_object(as_object(assessment).get(policy)).get(findings)):
            said = as_object(finding)
            # Words that match have no name of their own.
            category = bounded_word(said.get("name")) or bounded_word(said.get("type")) or policy
            yield SafetyRating(
                category, bounded_word(said.get("confidence")), said.get("action") == "BLOCKED", where
            )
