"""What the adapters make of the providers' answers."""

from __future__ import annotations

import re

import pytest

from pointsman_server.domain.fold import Fold
from pointsman_server.errors import Reason
from tests.conformance.result import KINDS, Outcome, check_expected, decode, neutral
from tests.conformance.vendors import CASES, Case

ANSWERED = [case for case in CASES if not case.refused]
STREAMED = [case for case in ANSWERED if case.streamed and not case.failed and case.vendor.marked]
UNMARKED = [case for case in ANSWERED if case.streamed and not case.failed and not case.vendor.marked]
BROKEN = [case for case in ANSWERED if case.streamed and case.failed]
EVENTS = [case for case in ANSWERED if case.sse]
WHOLE = [case for case in ANSWERED if not case.streamed]
SNIFFED = [case for case in ANSWERED if case.sse or not case.streamed]
"""Those whose framing no label has to tell."""


def outcome(case: Case, *pieces: bytes, end: bool = True) -> Outcome:
    """What comes of these reads."""
    decoder = case.adapter.decoder(case.attempt, case.status, case.headers)
    return decode(decoder, pieces, end=end)


def variant(case: Case, body: bytes) -> None:
    """The body says the same in another way."""
    end = not case.dropped
    result = outcome(case, body, end=end)
    assert neutral(result) == neutral(outcome(case, case.body, end=end))
    check_expected(result, case.record["expect"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_is_what_was_recorded(case: Case) -> None:
    """Text, calls, reasons, usage and errors as expected."""
    if case.refused:
        error = case.adapter.refusal(case.status, case.headers, case.body)
        check_expected(Outcome(Fold().answer(), error), case.record["expect"])
    else:
        check_expected(outcome(case, *case.chunks, end=not case.dropped), case.record["expect"])


@pytest.mark.parametrize("case", ANSWERED, ids=str)
def test_an_answer_may_be_cut_into_reads_anywhere(case: Case) -> None:
    """Two reads, split at every offset, and single bytes give the same answer."""
    body = case.body
    end = not case.dropped
    wanted = neutral(outcome(case, body, end=end))
    for at in range(1, len(body)):
        assert neutral(outcome(case, body[:at], body[at:], end=end)) == wanted, at
    assert neutral(outcome(case, *(body[at : at + 1] for at in range(len(body))), end=end)) == wanted


@pytest.mark.parametrize("case", STREAMED, ids=str)
def test_a_stream_that_ends_before_its_finish_is_no_success(case: Case) -> None:
    """Wherever it is cut, cleanly or not; behind the finish a clean end is enough, a broken one is not."""
    body = case.body
    finish, text = case.vendor.finish_end(body), neutral(outcome(case, body))["text"]
    for at in range(len(body)):
        clean, broken = outcome(case, body[:at]), outcome(case, body[:at], end=False)
        if at < finish:
            assert clean.error is not None, at
            assert clean.error.reason is Reason.UPSTREAM_TRUNCATED, at
            assert broken.error is not None, at
        else:
            assert clean.error is None, at
            assert neutral(clean)["text"] == text, at
            assert (broken.error is None) == case.vendor.ended(body[:at]), at


@pytest.mark.parametrize("case", UNMARKED, ids=str)
def test_a_stream_without_an_end_of_its_own_ends_between_its_events(case: Case) -> None:
    """With the body, cleanly, after whole events: within one it is cut off, and a broken body is no success ever."""
    body = case.body
    text = neutral(outcome(case, body))["text"]
    for at in range(len(body)):
        clean, broken = outcome(case, body[:at]), outcome(case, body[:at], end=False)
        assert broken.error is not None, at
        tail = body[:at].rpartition(b"\n\n")[2].rstrip(b"\n")
        if not tail or body[at : at + 1] == b"\n":
            assert clean.error is None, at
            assert text.startswith(neutral(clean)["text"] or ""), at
        elif tail.startswith(b"data:"):
            assert clean.error is not None, at
            assert clean.error.reason is Reason.UPSTREAM_TRUNCATED, at


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_stream_that_tells_an_error_is_no_success(case: Case) -> None:
    """Wherever it is cut."""
    for at in range(len(case.body) + 1):
        for end in (True, False):
            assert outcome(case, case.body[:at], end=end).error is not None, at


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_a_document_that_ends_early_is_no_success(case: Case) -> None:
    """Wherever it is cut."""
    body = case.body.rstrip()
    for at in range(len(body)):
        assert outcome(case, body[:at]).error is not None, at
        assert outcome(case, body[:at], end=False).error is not None, at


@pytest.mark.parametrize("case", EVENTS, ids=str)
def test_every_line_ending_is_one(case: Case) -> None:
    """CRLF and CR separate lines as well."""
    body = case.body.replace(b"\r\n", b"\n")
    for ending in (b"\n", b"\r\n", b"\r"):
        variant(case, body.replace(b"\n", ending))


@pytest.mark.parametrize("case", EVENTS, ids=str)
def test_comments_and_other_fields_say_nothing(case: Case) -> None:
    """Keep-alives between and inside events, ids and retry hints."""
    body = case.body.replace(b"\r\n", b"\n")
    variant(case, b": open\n\n" + body.replace(b"\n\n", b"\n\n: keep-alive\n\n"))
    variant(case, re.sub(rb"(?m)^data:", b": ping\nid: 7\nretry: 10\ndata:", body))


@pytest.mark.parametrize("case", EVENTS, ids=str)
def test_the_last_blank_line_may_be_missing(case: Case) -> None:
    """And the blank after the colon, and a byte order mark may stand in front."""
    variant(case, case.body.rstrip(b"\r\n"))
    variant(case, re.sub(rb"(?m)^(data|event|id): ", rb"\1:", case.body))
    variant(case, b"\xef\xbb\xbf" + case.body)


@pytest.mark.parametrize("case", SNIFFED, ids=str)
@pytest.mark.parametrize("kind", ["", "text/plain", "application/json", "text/event-stream"])
def test_the_framing_is_that_of_the_bytes(case: Case, kind: str) -> None:
    """A server may answer a stream call with a document, and may mislabel both."""
    headers = {**case.headers, "content-type": kind}
    decoder = case.adapter.decoder(case.attempt, case.status, headers)
    check_expected(decode(decoder, [case.body], end=not case.dropped), case.record["expect"])


def test_every_upstream_reason_has_a_kind() -> None:
    """The recordings' words cover our vocabulary."""
    assert {reason for reason in Reason if reason.value.startswith("UPSTREAM_")} <= set(KINDS)
