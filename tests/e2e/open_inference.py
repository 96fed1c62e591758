"""What real servers of the Open Inference Protocol have in common here: their places, and models that tell stories.

A story's prompt is `NAME [WORD ...]`, and its model notes how the telling of NAME began and ended.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pointsman import AsyncClient, DeadlineExceeded
from tests.e2e.parts import Process, until
from tests.fakes.ports import HOST, free_port

WORDS = "w0 w1 w2 w3 w4 w5 "
"""A story of six words, where none were asked for."""


class Notes:
    """One server's folder of notes; its models write `NAME.begun`, and how it ended into `NAME`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def clear(self) -> None:
        """Forgets what earlier calls left."""
        for file in self.folder.iterdir():
            file.unlink()

    def of(self, name: str) -> str:
        """How that call ended; empty while it has not."""
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    async def begun(self, name: str) -> None:
        """Waits until a model has been given that call."""

        async def noted() -> bool:
            return (self.folder / f"{name}.begun").exists()

        await until(f"the model notes that {name} began", noted, within_s=30)

    async def ended(self, name: str) -> str:
        """Waits until that call has ended, and says how."""

        async def noted() -> str:
            return self.of(name)

        return await until(f"the model notes how {name} ended", noted, within_s=30)


class OpenInferenceServer(Process):
    """One server. `models` is its repository, `weights` a file for the models of it that read one."""

    def __init__(self, name: str, folder: Path, *, models: Path, weights: Path | None = None) -> None:
        super().__init__(name, folder / f"{name}.log")
        self.models, self.weights = models, weights
        self.notes = Notes(folder / f"{name}-notes")
        self.http, self.grpc, self.metrics = free_port(), free_port(), free_port()

    def launch(self) -> None:
        """Starts its program."""
        raise NotImplementedError

    async def ensure_running(self) -> None:
        """Starts it when it does not run, and waits until every model is ready."""
        if not self.alive:
            self.launch()
        await self.answers(f"http://{HOST}:{self.http}/v2/health/ready")

    def told_models(self) -> dict[str, str]:
        """What models find in their environment."""
        return {
            "STORY_NOTES": str(self.notes.folder),
            "TINY_WEIGHTS": str(self.weights or ""),
            # For matrices so small, numpy's threads would only wait for each other.
            "OPENBLAS_NUM_THREADS": "1",
        }

    def backend(self, provider: str, **open_inference: Any) -> dict[str, Any]:
        """Its entry under `backends`."""
        port = self.grpc if provider.endswith("_grpc") else self.http
        return {"provider": provider, "url": f"http://{HOST}:{port}", "open_inference": open_inference}


async def check_streaming(target: str, notes: Notes) -> None:
    """Asserts that the first word comes before the model has said the last, and that unary it is the same text."""
    async with AsyncClient(target) as client:
        async with client.stream(prompt="long", model="story", max_output_tokens=100) as stream:
            pieces = []
            async for text in stream.text_stream:
                if not pieces:
                    assert not notes.of("long")
                pieces.append(text)
        assert len(pieces) > 20
        assert "".join(pieces) == "".join(f"w{i} " for i in range(100))
        assert notes.of("long") == "told"
        whole = await client.generate(prompt="short", model="story", max_output_tokens=6)
    assert whole.text == WORDS
    assert await notes.ended("short") == "told"


async def check_leaving(target: str, notes: Notes) -> None:
    """Asserts that the model learns of a caller that goes, in a stream and in a unary call, and of a deadline."""
    async with AsyncClient(target) as client:
        async with client.stream(prompt="left", model="story", max_output_tokens=3000) as stream:
            async for _ in stream.text_stream:
                break
        assert await notes.ended("left") == "cancelled"
        with pytest.raises(DeadlineExceeded):
            await client.generate(prompt="late", model="story", max_output_tokens=3000, timeout_s=1)
        assert await notes.ended("late") == "cancelled"
        asking = asyncio.create_task(client.generate(prompt="gone", model="story", max_output_tokens=3000))
        await notes.begun("gone")
        asking.cancel()
        assert await notes.ended("gone") == "cancelled"
