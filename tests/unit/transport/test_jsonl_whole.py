import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.jsonl import JsonLinesFraming
from pointsman_server.transport.whole import WholeFraming


def lines(pieces: list[bytes]) -> list[bytes]:
    framing = JsonLinesFraming(1000)
    return [line for piece in pieces for line in framing.feed(piece)] + framing.close()


@given(
    body=st.lists(st.sampled_from([b'{"a":1}', b"\n", b"\r\n", b" ", b"x"])).map(b"".join),
    size=st.integers(1, 9),
)
def test_lines_do_not_depend_on_cuts(body: bytes, size: int) -> None:
    """Lines are what stands between newlines, blank ones left out, the last one without its newline too."""
    expected = [line.strip() for line in body.split(b"\n") if line.strip()]
    assert lines([body[at : at + size] for at in range(0, len(body), size)]) == expected


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("extra", [0, 1])
def test_line_cap(size: int, extra: int) -> None:
    """A line of exactly the cap passes, a longer one is the upstream's fault; lines ahead of it are kept."""
    framing, taken = JsonLinesFraming(32), []
    body = b"first\r\n" + b"x" * (32 + extra) + b"\r\n"

    def run() -> None:
        for at in range(0, len(body), size):
            taken.extend(framing.feed(body[at : at + size]))
        taken.extend(framing.close())

    if extra:
        with pytest.raises(ServiceError) as caught:
            run()
        assert caught.value.reason is Reason.UPSTREAM_BAD_RESPONSE
    else:
        run()
    assert taken == [b"first", b"x" * 32][: 2 - extra]


def test_whole_is_given_out_at_the_end() -> None:
    """A document is one piece, whatever it came in; an empty body is no document."""
    framing = WholeFraming(10)
    assert framing.feed(b'{"a"') == []
    assert framing.feed(b":1}") == []
    assert framing.close() == [b'{"a":1}']
    assert WholeFraming(10).close() == []


def test_whole_cap() -> None:
    """A body past the cap is the upstream's fault and is not kept."""
    framing = WholeFraming(4)
    framing.feed(b"1234")
    with pytest.raises(ServiceError) as caught:
        framing.feed(b"5")
    assert caught.value.reason is Reason.UPSTREAM_BAD_RESPONSE
