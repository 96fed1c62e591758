"""Reading ahead of who takes, within bounds."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_server.upstreams.dialects.triton.rpc.inbox import MOST_BYTES, MOST_MESSAGES, Inbox


class Source:
    """Messages as they are put in; counts what was read."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.read_so_far = 0

    def put(self, *messages: bytes | Exception | None) -> None:
        for message in messages:
            self._messages.put_nowait(message)

    async def read(self) -> bytes | None:
        message = await self._messages.get()
        self.read_so_far += 1
        if isinstance(message, Exception):
            raise message
        return message


async def settle() -> None:
    """Whatever can run has run."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def inbox(source):
    inbox = Inbox(source.read)
    yield inbox
    inbox.stop()
    await settle()


async def test_all_that_came_is_taken_at_once(source, inbox):
    """And then what comes next, and nothing at the end, as often as one asks."""
    source.put(b"a", b"b", b"c")
    await settle()
    assert await inbox.take() == [b"a", b"b", b"c"]
    waiting = asyncio.create_task(inbox.take())
    await settle()
    assert not waiting.done()
    source.put(b"d", None)
    assert await waiting == [b"d"]
    assert (await inbox.take(), await inbox.take()) == ([], [])


@pytest.mark.parametrize(
    ("message", "held"), [(b"x", MOST_MESSAGES), (b"x" * (MOST_BYTES // 4), 4), (b"x" * (MOST_BYTES * 2), 1)]
)
async def test_no_more_is_read_than_may_wait(source, inbox, message, held):
    """By number and by size; one message is always taken in."""
    source.put(*[message] * (MOST_MESSAGES + 50))
    for _ in range(MOST_MESSAGES):
        await settle()
    assert source.read_so_far == held
    assert len(await inbox.take()) == held
    await settle()
    assert source.read_so_far > held


async def test_a_fault_comes_after_what_came_before_it(source, inbox):
    """Each time that one asks."""
    source.put(b"a", OSError("gone"))
    await settle()
    assert await inbox.take() == [b"a"]
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await inbox.take()


async def test_a_fault_wakes_who_waits(source, inbox):
    """It does not wait for a message that will not come."""
    waiting = asyncio.create_task(inbox.take())
    await settle()
    source.put(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await waiting


async def test_an_inbox_that_is_stopped_leaves_nothing_behind(source):
    """No task, whatever it was at, and no word of a fault that nobody heard."""
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    full, failed, waiting = (Inbox(source.read) for _ in range(3))
    source.put(*[b"x"] * (MOST_MESSAGES * 2), OSError("gone"))
    for _ in range(MOST_MESSAGES):
        await settle()
    for inbox in (full, failed, waiting):
        inbox.stop()
    del inbox, full, failed, waiting
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not heard
