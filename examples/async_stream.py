"""Several answers at once, with asyncio."""

import asyncio
import os

import pointsman

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")


async def ask(client: pointsman.AsyncClient, question: str) -> str:
    """One answer, and who gives it."""
    async with client.stream(question, model="small") as stream:
        async for event in stream:
            if event.started:
                print(f"{event.started.backend} answers: {question}")
        return stream.result.text


async def main() -> None:
    """Both questions over one connection."""
    async with pointsman.AsyncClient(TARGET) as client:
        questions = ["Why is the sky blue?", "Why is grass green?"]
        for text in await asyncio.gather(*(ask(client, question) for question in questions)):
            print(text)


asyncio.run(main())
