"""A tokenizer file in a service of several processes: each counts with what the supervisor has checked."""

import asyncio
import os
import signal

from pointsman import AsyncClient
from tests.e2e.test_workers import Pod, until
from tests.fakes.channels import OWN_CONNECTION
from tests.fakes.tokenizer import counted, make_tokenizer, save

TEXT = "The quick brown fox jumps over the lazy dog."


async def counts(pod: Pod) -> set[tuple[int, bool]]:
    """What the workers say: enough calls, on connections of their own, to reach both."""

    async def one() -> tuple[int, bool]:
        async with AsyncClient(pod.target, retries=0, options=OWN_CONNECTION) as client:
            count = await client.count_tokens(prompt=TEXT, model="chat")
            return count.input_tokens, count.exact

    return set(await asyncio.gather(*(one() for _ in range(16))))


async def test_every_worker_counts_with_the_file_that_was_checked(tmp_path):
    """Also one that starts while the file is broken; and with another file, once that is there."""
    file = save(make_tokenizer(), tmp_path / "tokenizer.json")
    settings = {
        "workers": 2,
        "backends": {"gpu": {"provider": "sglang", "url": "http://127.0.0.1:9/v1"}},
        "models": {"chat": {"targets": [{"backend": "gpu"}], "tokenizer": {"file": str(file)}}},
    }
    async with Pod(tmp_path, settings) as pod:
        assert await counts(pod) == {(counted(TEXT), True)}
        file.write_text("{}")
        await until("it is refused", lambda: pod.events("config_refused"))
        [refused] = pod.events("config_refused")
        assert "models.chat.tokenizer.file, line" in refused["fault"]
        os.kill(pod.pids()[1], signal.SIGKILL)
        await until("a worker takes its place", lambda: len(pod.events("worker_started")) == 3)
        assert await counts(pod) == {(counted(TEXT), True)}
        save(make_tokenizer(265), file)
        await until("it is in force", lambda: pod.events("config_reloaded"))
        assert await counts(pod) == {(counted(TEXT, size=265), True)}
