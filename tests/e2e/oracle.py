"""What a tiny model says, on whichever engine: recorded once, to be said byte by byte through every backend."""

import sys
from pathlib import Path
from typing import Any

from pointsman import AsyncClient, FinishReason
from tests.e2e.parts import run

FOLDER = Path(__file__).parent / "tiny"
TEMPLATE = FOLDER / "chat_template.jinja"
QUESTION = "Which track?"
PROMPT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
"""What the template makes of the question."""
TOKENS = 24
SAID = "\ufffd\r!9\x1f, \ufffdq\\u\ufffd\u07eb\ufffd\u07eb\ufffd the\r\ufffd\ufffd\ufffd\ufffd\ufffd left"
"""Bytes that are no characters, characters of several tokens, and control characters. No other token comes near the one
that is said: 0.09 is the least lead."""
READ = 31
GREEDY = {"temperature": 0.0, "max_output_tokens": TOKENS}


def write_files(folder: Path) -> None:
    """Puts the model's files there: `tiny.npz` for numpy, `tiny.gguf` for llama.cpp."""
    run([sys.executable, FOLDER / "files.py", folder])


def model(backend: str) -> dict[str, Any]:
    """Its entry under `models`."""
    return {"targets": [{"backend": backend, "model": "tiny"}], "chat_template": {"file": str(TEMPLATE)}}


async def check_answers(target: str, model: str) -> None:
    """Asserts that a conversation and a prompt, unary and streamed, have the same answer and the same usage."""
    async with AsyncClient(target) as client:
        for asked in ([QUESTION], []):
            how = {"model": model, **GREEDY} if asked else {"model": model, "prompt": PROMPT, **GREEDY}
            whole = await client.generate(*asked, **how)
            async with client.stream(*asked, **how) as stream:
                pieces = [text async for text in stream.text_stream]
                streamed = stream.result
            assert whole.text == "".join(pieces) == streamed.text == SAID
            for answer in (whole, streamed):
                assert (answer.usage.input_tokens, answer.usage.output_tokens) == (READ, TOKENS)
                assert answer.finish_reason is FinishReason.MAX_TOKENS
