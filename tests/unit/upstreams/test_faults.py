"""Bounds, redaction, waits and statuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.errors import Reason, UpstreamFault
from pointsman_server.upstreams.translation.faults import (
    DETAILS,
    Said,
    bounded_message,
    bounded_word,
    clean_text,
    duration_s,
    provider_error,
    rate_reset_s,
    reason_by_status,
    retry_after_s,
    should_retry,
    whole_number,
)

SECRETS = {
    "Incorrect API key provided: sk-proj-abcdefghijklmnop1234": "abcdefghijklmnop1234",
    "Authorization: Bearer abc.def-ghi": "abc.def-ghi",
    "bad header Basic dXNlcjpwYXNzd29yZA==": "dXNlcjpwYXNzd29yZA",
    "cannot reach https://admin:hunter2@db.example/x": "hunter2",
    "see https://blob.example/f?sig=topsecretvalue&x=1": "topsecretvalue",
    'config {"api_key": "shh-very-quiet"}': "shh-very-quiet",
    "password=correcthorsebattery": "correcthorsebattery",
    "token AKIAABCDEFGHIJKLMNOP used": "AKIAABCDEFGHIJKLMNOP",
    "key AIzaSyA1234567890abcdefghijklmnop": "AIzaSyA1234567890abcdefghijklmnop",
    "hf_abcdefghijklmnop failed": "hf_abcdefghijklmnop",
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl here": "eyJhbGciOiJIUzI1NiJ9",
    "blob " + "QUJD" * 20: "QUJD" * 20,
}


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_hidden(text):
    """Keys, tokens, passwords and long runs do not reach callers or logs."""
    assert SECRETS[text] not in bounded_message(text)
    assert "***" in bounded_message(text)


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 140213 tokens.",
        "Incorrect API key provided: sk-test**0000.",
        "'max_tokens' or 'max_completion_tokens' is too large: 999999.",
        "The model `gpt-none` does not exist or you do not have access to it.",
        "Invalid value: 'tools[0].function.name' must match ^[a-zA-Z0-9_-]+$",
    ],
)
def test_useful_messages_stay(text):
    """Redaction leaves what a caller needs to repair a request."""
    assert bounded_message(text) == text


def test_messages_are_one_short_printable_line():
    """Bounded, without line breaks and control characters, and fit for a status."""
    message = bounded_message("first\r\nsecond\tthird\x00\ud800" + " long" * 1000)
    assert message.startswith("first second third\N{REPLACEMENT CHARACTER}")
    assert len(message) == 256
    message.encode()


@given(st.text(st.characters()))
def test_any_message_is_bounded(text):
    """Whatever it is."""
    assert len(bounded_message(text)) <= 256


@given(st.lists(st.sampled_from(["\ud83d", "\ude00", "a", "\u00e9"])).map("".join))
def test_any_text_can_be_encoded(text):
    """Lone surrogates are replaced, pairs joined, the rest kept."""
    clean_text(text).encode()
    assert clean_text("\ud83d\ude00") == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("abc", "abc"),
        (404, "404"),
        (None, ""),
        (True, ""),
        ({"a": 1}, ""),
        ("a\nb", ""),
        ("x" * 300, "x" * 128),
        (10**30, ""),
    ],
)
def test_codes_are_short_strings(value, word):
    """Numbers as digits, anything that is no word as nothing."""
    assert bounded_word(value) == word


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), (3.0, 3), (0, 0), (-1, None), (1.5, None), (True, None), ("3", None), (2**63, None), (float("nan"), None),
     (float("inf"), None), (None, None)],
)  # fmt: skip
def test_counts_are_whole_and_fit(value, count):
    """Only what an int64 field can hold, and nothing negative."""
    assert whole_number(value) == count


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "2", "retry-after-ms": "1533"}, 1.533),
        ({"retry-after-ms": "nonsense", "retry-after": "3"}, 3.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Tue, 99 Nov 2026 10:00:30 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, None),
    ],
)
def test_waits_from_headers(headers, wait_s):
    """Milliseconds before seconds before a date, which is measured against the answer's own."""
    assert retry_after_s(headers) == wait_s


@pytest.mark.parametrize(
    ("text", "found_s"),
    [("6m0s", 360.0), ("1.533s", 1.533), ("20ms", 0.02), ("1h2m3s", 3723.0), ("7", 7.0), ("", None), ("2d", None),
     ("m", None), ("-1s", None), ("1s" * 40, None)],
)  # fmt: skip
def test_durations(text, found_s):
    """The forms that rate limit headers use."""
    assert duration_s(text) == found_s


def test_only_used_up_limits_count():
    """With both limits told, the wait is that of the one that ran out; of two that did, the longer."""
    left = {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "9s"}
    empty = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s"}
    assert rate_reset_s({**left, **empty}) == 2.0
    assert rate_reset_s({**left, **empty, "x-ratelimit-remaining-requests": "0"}) == 9.0
    assert rate_reset_s({"x-ratelimit-reset-requests": "3s"}) == 3.0
    assert rate_reset_s({}) is None


@pytest.mark.parametrize(("text", "word"), [("true", True), ("False", False), ("maybe", None), ("", None)])
def test_should_retry(text, word):
    """The provider's own word, where it is one."""
    assert should_retry({"x-should-retry": text}) is word


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, Reason.UPSTREAM_BAD_RESPONSE), (400, Reason.UPSTREAM_REJECTED),
        (401, Reason.UPSTREAM_CREDENTIALS_INVALID),
        (402, Reason.UPSTREAM_QUOTA_EXHAUSTED), (403, Reason.UPSTREAM_PERMISSION_DENIED),
        (404, Reason.UPSTREAM_MODEL_NOT_FOUND), (408, Reason.UPSTREAM_TIMEOUT), (409, Reason.UPSTREAM_CONFLICT),
        (413, Reason.REQUEST_TOO_LARGE), (418, Reason.UPSTREAM_REJECTED), (422, Reason.UPSTREAM_REJECTED),
        (429, Reason.UPSTREAM_RATE_LIMITED), (500, Reason.UPSTREAM_ERROR), (501, Reason.UPSTREAM_UNIMPLEMENTED),
        (502, Reason.UPSTREAM_UNAVAILABLE), (503, Reason.UPSTREAM_UNAVAILABLE), (504, Reason.UPSTREAM_TIMEOUT),
        (524, Reason.UPSTREAM_TIMEOUT), (529, Reason.UPSTREAM_OVERLOADED), (599, Reason.UPSTREAM_ERROR),
        (600, Reason.UPSTREAM_BAD_RESPONSE),
    ],
)  # fmt: skip
def test_statuses(status, reason):
    """What a status means by itself."""
    assert reason_by_status(status) is reason


def test_every_reason_of_a_status_has_a_detail():
    """No error goes out without a text of ours."""
    assert {reason_by_status(status) for status in range(100, 700)} <= set(DETAILS)


def test_details_quote_what_the_caller_can_repair_and_nothing_else():
    """A rejected request is explained; a failure of the provider, or our key, is not."""
    said, where = Said("the words"), UpstreamFault(http_status=400)
    assert provider_error(Reason.UPSTREAM_REJECTED, said, where).detail.endswith("the words")
    for reason in (Reason.UPSTREAM_ERROR, Reason.UPSTREAM_CREDENTIALS_INVALID, Reason.UPSTREAM_RATE_LIMITED):
        assert "the words" not in provider_error(reason, said, where).detail


def test_a_used_up_quota_keeps_its_wait():
    """Waiting does not help the caller, who is never told to (the reason has no RetryInfo); the cool-down needs it."""
    error = provider_error(Reason.UPSTREAM_QUOTA_EXHAUSTED, Said(), UpstreamFault(), retry_after=5.0)
    assert error.retry_after_s == 5.0
