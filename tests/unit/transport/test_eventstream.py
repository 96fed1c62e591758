import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.eventstream import MAX_HEADER_BYTES, EventMessage, EventStreamFraming
from tests.fakes.eventstream import event, message

CAP = 1024 * 1024
BODY = (
    event("messageStart", role="assistant") + event("contentBlockDelta", x="\u00e9" * 30) + message({}, b"")
)

VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40), st.text(max_size=20)
)
MESSAGES = st.builds(
    EventMessage, st.dictionaries(st.text(min_size=1, max_size=9), VALUES, max_size=4), st.binary(max_size=99)
)


def decode(*pieces: bytes, cap: int = CAP) -> list[EventMessage]:
    framing = EventStreamFraming(cap)
    found = [one for piece in pieces for one in framing.feed(piece)]
    return [*found, *framing.close()]


def fault(*pieces: bytes, cap: int = CAP) -> str:
    with pytest.raises(ServiceError) as raised:
        decode(*pieces, cap=cap)
    assert raised.value.reason is Reason.UPSTREAM_BAD_RESPONSE
    return raised.value.detail


def sealed(headers: bytes, payload: bytes = b"", *, headers_length: int | None = None) -> bytes:
    """A message with headers that need not make sense, and checksums that are right."""
    length = len(headers) if headers_length is None else headers_length
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), length)
    body = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack("!I", zlib.crc32(body))


def test_a_message_of_the_specification() -> None:
    """The example that AWS's own clients are tested with: a payload and no header."""
    data = bytes.fromhex("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936")
    assert decode(data) == [EventMessage({}, b"{'foo':'bar'}")]


def test_every_type_of_header() -> None:
    """Also those that no event of ours has."""
    stamp, uuid = struct.pack("!q", 1_700_000_000_000), bytes(range(16))
    headers = (
        b"\x01a\x00" b"\x01b\x01" b"\x01c\x02\xff" b"\x01d\x03\xff\xfe" b"\x01e\x04\x00\x00\x00\x07"
        b"\x01f\x06\x00\x02hi" b"\x01g\x07\x00\x02\xc3\xa9" b"\x01h\x08" + stamp + b"\x01i\x09" + uuid
    )  # fmt: skip
    (found,) = decode(sealed(headers))
    assert found.headers == {
        "a": True, "b": False, "c": -1, "d": -2, "e": 7, "f": b"hi", "g": "\u00e9", "h": 1_700_000_000_000, "i": uuid,
    }  # fmt: skip
    assert (found.word("g"), found.word("e"), found.word("none")) == ("\u00e9", "", "")


@given(messages=st.lists(MESSAGES, max_size=4), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_messages_come_back(messages: list[EventMessage], cuts: list[int]) -> None:
    """Whatever they hold, and whatever way their bytes are cut."""
    body = b"".join(message(one.headers, one.payload) for one in messages)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert decode(*pieces) == messages


def test_single_bytes() -> None:
    """And every split in two."""
    wanted = decode(BODY)
    assert decode(*(BODY[at : at + 1] for at in range(len(BODY)))) == wanted
    for at in range(len(BODY)):
        assert decode(BODY[:at], BODY[at:]) == wanted


def test_a_cut_message_is_none() -> None:
    """What came whole is told, the rest is not."""
    ends = [len(event("messageStart", role="assistant"))]
    for at in range(ends[0], len(BODY)):
        assert len(decode(BODY[:at])) in (1, 2)
    assert decode(BODY[:11]) == []


@pytest.mark.parametrize("at", range(len(event("a", x=1))))
def test_every_damaged_byte_is_seen(at: int) -> None:
    """Wherever it is: lengths, headers, payload and both checksums; what came ahead is told first."""
    good = event("a", x=1)
    bad = bytearray(good)
    bad[at] ^= 0x41
    framing = EventStreamFraming(CAP)
    assert len(framing.feed(good + bytes(bad))) == 1
    for again in (framing.feed, lambda _: framing.close()):
        with pytest.raises(ServiceError):
            again(b"")


@given(data=st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_noise_is_a_fault(data: bytes) -> None:
    """Nothing but our own error is raised, whatever the bytes, also where the checksums are right."""
    reasons = set()
    for body in (data, sealed(data), sealed(data, headers_length=len(data) // 2)):
        try:
            decode(body)
        except ServiceError as error:
            reasons.add(error.reason)
    assert reasons <= {Reason.UPSTREAM_BAD_RESPONSE}


@pytest.mark.parametrize(
    "headers",
    [b"\x05ab", b"\x01a\x0a", b"\x01a\x07\x00\x09ab", b"\x01a\x05\x00", b"\x01\xff\x00", b"\x01a\x07\x00\x01\xff",
     b"\x01a", b"\x01a\x09" + bytes(15)],
)  # fmt: skip
def test_headers_that_cannot_be(headers: bytes) -> None:
    """Cut short, of no known type, or no text."""
    assert "damaged" in fault(sealed(headers))


def test_lengths_are_bounded() -> None:
    """A length is believed only with its checksum, and waited for only below the cap."""
    assert "larger" in fault(message({}, bytes(100)), cap=100)
    assert decode(message({}, bytes(84)), cap=100)

    def prelude(total: int, headers: int) -> bytes:
        numbers = struct.pack("!II", total, headers)
        return numbers + struct.pack("!I", zlib.crc32(numbers))

    assert "larger" in fault(prelude(2**32 - 1, 0))
    for total, headers in ((0, 0), (15, 0), (20, 8), (2**20, MAX_HEADER_BYTES + 1)):
        assert "damaged" in fault(prelude(total, headers), cap=2**30)
