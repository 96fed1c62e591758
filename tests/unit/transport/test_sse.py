import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.sse import SseEvent, SseFraming

CAP = 4 * 1024 * 1024

EXAMPLES = [
    b"data: one\n\ndata: two\n\n",
    b"data:one\n\ndata:  two\n\n",
    b"data: one\r\n\r\ndata: two\r\n\r\n",
    b"data: one\r\rdata: two\r\r",
    b"data: one\r\n\rdata: two\n\r\n",
    b"\xef\xbb\xbfdata: one\n\n",
    b': ping\n\nevent: delta\ndata: {"a": 1}\n\n',
    b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n",
    b"data: one\ndata: two\ndata\n\n",
    b"data\n\ndata:\n\ndata: \n\nevent: x\n\n\n\n",
    b"retry: 3\ndata: caf\xc3\xa9 \xe2\x82\xac\n\n",
    b"data: last, cut off",
    b"data: last\n",
    b"\n\n\n\ndata: one\n\n\n\n\ndata: two\n\n",
    b"event: \xff\ndata: x\n\n: only a comment",
]


def decode(pieces: list[bytes], *, cap: int = CAP) -> list[SseEvent]:
    framing = SseFraming(cap)
    events = [event for piece in pieces for event in framing.feed(piece)]
    return events + framing.close()


def reference(body: bytes) -> list[SseEvent]:
    """The rules, line by line over the whole body."""
    events: list[SseEvent] = []
    data: list[bytes] = []
    comments: list[bytes] = []
    name = ""
    for line in [*re.split(b"\r\n|\r|\n", body.removeprefix(b"\xef\xbb\xbf")), b""]:
        if not line:
            if b"\n".join(data):
                events.append(SseEvent(b"\n".join(data), name, tuple(comments)))
            data, comments, name = [], [], ""
        elif line.startswith(b":"):
            comments.append(line[1:].strip())
        else:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode(errors="replace")
    return events


def test_common_event() -> None:
    """One read with one event gives its payload as bytes."""
    framing = SseFraming(CAP)
    assert framing.feed(b'data: {"a":1}\n\n') == [SseEvent(b'{"a":1}')]
    assert framing.feed(b'data: {"a":2}\n\n') == [SseEvent(b'{"a":2}')]
    assert framing.close() == []


def test_status_hidden_in_a_comment() -> None:
    """Comments travel with the event that they stand in."""
    (event,) = decode([b"id:1\nevent:error\n:HTTP_STATUS/429\ndata:{}\n\n"])
    assert (event.name, event.comments) == ("error", (b"HTTP_STATUS/429",))


def test_comments_are_counted() -> None:
    """A caller sees keep-alives although they are no events."""
    framing = SseFraming(CAP)
    for _ in range(3):
        assert framing.feed(b": ping\n\n") == []
    assert framing.comments == 3


def test_unterminated_event_is_handed_out_at_close() -> None:
    """What stood there when the body ended is for the caller to judge."""
    framing = SseFraming(CAP)
    assert framing.feed(b"data: [DO") == []
    assert framing.close() == [SseEvent(b"[DO")]


@pytest.mark.parametrize("body", EXAMPLES)
def test_every_cut_gives_the_same_events(body: bytes) -> None:
    """Two pieces, cut anywhere, and single bytes decode as the whole does."""
    expected = reference(body)
    assert decode([body]) == expected
    for at in range(len(body) + 1):
        assert decode([body[:at], body[at:]]) == expected, at
    assert decode([body[at : at + 1] for at in range(len(body))]) == expected


FIELDS = [
    b"data: x",
    b"data:y",
    b"data:  z",
    b"data",
    b"data:",
    b'data: {"t":"\xc3\xa9"}',
    b"data: \xef\xbb\xbf",
]
OTHERS = [b"event: e", b"event:", b"id: 1", b": c", b":", b"junk", b" data: no", b"\xff\xfe", b"dataset: 1"]
LINES = st.sampled_from([*FIELDS, *OTHERS, b"", b"", b"", b""])
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])
BODIES = st.builds(
    lambda bom, lines, rest: bom + b"".join(line + end for line, end in lines) + rest,
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]),
    st.lists(st.tuples(LINES, ENDS), max_size=24),
    LINES,
)


@settings(max_examples=500, deadline=None)
@given(body=BODIES, data=st.data())
def test_any_body_cut_anywhere_equals_the_reference(body: bytes, data: st.DataObject) -> None:
    """However the network cuts a body, its events are those of the rules."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert decode(pieces) == reference(body)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60), size=st.integers(1, 7))
def test_any_bytes_equal_the_reference(body: bytes, size: int) -> None:
    """Garbage gives what the rules give, never another exception."""
    assert decode([body[at : at + size] for at in range(0, len(body), size)]) == reference(body)


def outcome(pieces: list[bytes], cap: int) -> tuple[list[SseEvent], Reason | None]:
    framing, events = SseFraming(cap), []
    try:
        for piece in pieces:
            events += framing.feed(piece)
        events += framing.close()
    except ServiceError as error:
        return events, error.reason
    return events, None


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n"])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_cap_counts_the_event_alone(end: bytes, extra: int, size: int) -> None:
    """An event of exactly the cap passes, a longer one does not, however it is cut."""
    cap = 64
    body = b"data: before\n\n" + b"data: " + b"x" * (cap - 6 + extra) + end
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    events, fault = outcome(pieces, cap)
    assert events[0] == SseEvent(b"before")
    assert fault is (Reason.UPSTREAM_BAD_RESPONSE if extra else None)
    assert len(events) == 2 - extra


def test_many_short_lines_without_an_end_meet_the_cap() -> None:
    """The cap is on the event, not only on one line."""
    assert outcome([b"data: x\n"] * 100, 64) == ([], Reason.UPSTREAM_BAD_RESPONSE)


def test_events_ahead_of_the_fault_are_not_lost() -> None:
    """They are returned first; then every call raises."""
    framing = SseFraming(16)
    assert framing.feed(b"data: ok\n\ndata: " + b"x" * 50) == [SseEvent(b"ok")]
    for call in (lambda: framing.feed(b"data: ok\n\n"), framing.close):
        with pytest.raises(ServiceError):
            call()


def test_bare_json_between_events() -> None:
    """An event where it is asked for, as pretty as it is printed; nothing where it is not."""
    body = b'data: a\n\n{\n  "error": 1\n}\n\n[2]'
    told = [SseEvent(b"a"), SseEvent(b'{\n  "error": 1\n}'), SseEvent(b"[2]")]
    for at in range(len(body)):
        framing = SseFraming(CAP, bare_json=True)
        assert [*framing.feed(body[:at]), *framing.feed(body[at:]), *framing.close()] == told
    assert decode([body]) == [SseEvent(b"a")]


class CountedBytes(bytes):
    """Counts how many bytes are searched for the end of an event."""

    searched = 0

    def __contains__(self, item: object) -> bool:
        CountedBytes.searched += len(self)
        return super().__contains__(item)  # type: ignore[operator]


def test_endless_line_costs_linear_work() -> None:
    """Each byte of a line in small pieces is searched a fixed number of times."""
    framing = SseFraming(CAP)
    framing.feed(b"data: ")
    CountedBytes.searched = 0
    for _ in range(1000):
        assert framing.feed(CountedBytes(b"x" * 64)) == []
    assert CountedBytes.searched <= 3 * 64 * 1000
    assert framing.feed(b"\n\n")[0].data == b"x" * 64_000


def test_a_large_event_passes() -> None:
    """1 MiB in network-sized pieces is no fault."""
    body = b"data: " + b"x" * (1 << 20) + b"\n\n"
    assert len(decode([body[at : at + 65_536] for at in range(0, len(body), 65_536)])[0].data) == 1 << 20


@pytest.mark.parametrize(
    ("left", "cut"),
    [(b"", False), (b"data: x", False), (b": ping", False), (b"\n", False), (b"da", True), (b"data:", True),
     (b"event: x", True), (b": ping\nid", True)],
)  # fmt: skip
def test_what_is_left_of_an_event_shows(left, cut):
    """Where nothing but the end of the body ends an answer, the beginning of an event means that it was cut off."""
    framing = SseFraming(1024)
    framing.feed(b"data: a\n\n" + left)
    framing.close()
    assert framing.cut == cut
