from __future__ import annotations

import pytest

from pointsman_server.dispatch.commit import Preface, commits
from pointsman_server.domain import (
    Delta,
    DeltaKind,
    Finished,
    FinishReason,
    Opened,
    TokenLogprob,
    Usage,
    UsageReport,
)

OPENED, USAGE, ROLE = Opened("r"), UsageReport(Usage(1, 1)), Delta(0, 0, DeltaKind.TEXT)
TEXT, END = Delta(0, 0, DeltaKind.TEXT, "x"), Finished(0, FinishReason.STOP)
FAILED = Finished(1, FinishReason.ERROR, "MALFORMED")


@pytest.mark.parametrize(
    ("batch", "content"),
    [
        ([], False),
        ([OPENED], False),
        ([ROLE], False),
        ([USAGE], False),
        ([OPENED, ROLE, USAGE], False),
        ([OPENED, TEXT], True),
        ([END], True),
        ([FAILED], False),
        ([FAILED, END], True),
        ([Delta(0, 0, DeltaKind.TOOL_CALL, tool_name="f")], True),
        ([Delta(0, 0, DeltaKind.SIGNATURE, data=b"s")], True),
        ([Delta(0, 0, DeltaKind.REASONING, "hm")], True),
        ([Delta(0, 0, DeltaKind.TEXT, logprobs=(TokenLogprob("", -1),))], True),
    ],
)
def test_commits(batch, content):
    """A name, a role, running usage or a failure commit nothing; whatever a caller could see does."""
    assert commits(batch) is content


def test_preface():
    """The last name, the last usage and failed candidates come before the first content, however many there were."""
    preface = Preface()
    for batch in ([OPENED], [USAGE, ROLE], [UsageReport(Usage(1, 2))], [FAILED], [UsageReport(Usage(1, 3))]):
        preface.hold(batch)
    assert preface.before([TEXT]) == [OPENED, UsageReport(Usage(1, 3)), FAILED, TEXT]


def test_no_preface():
    """Without anything before it, the batch is handed on as it is."""
    batch = [OPENED, TEXT]
    assert Preface().before(batch) is batch
