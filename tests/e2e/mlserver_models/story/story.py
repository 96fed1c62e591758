"""A runtime of one's own for MLServer: it tells words one by one, and notes how each began and ended.

The prompt is `NAME [WORD ...]`: the words are said in turn, and `!STATUS` fails there with that status, `!` with an
exception; without any it says `w0 w1 w2 ...`. `max_tokens` words, and no more.
"""

import asyncio
import itertools
import os
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.errors import MLServerError
from mlserver.types import InferenceResponse

PAUSE_S = 0.02


class Story(MLModel):
    """As MLServer wants it."""

    async def predict(self, payload):
        """All words at once."""
        return self._response("".join([word async for word in self._told(payload)]))

    async def predict_stream(self, payloads):
        """A word in each response."""
        async for payload in payloads:
            async for word in self._told(payload):
                yield self._response(word)

    def _response(self, text):
        output = StringCodec.encode_output("text_output", [text])
        return InferenceResponse(model_name=self.name, outputs=[output])

    async def _told(self, payload):
        inputs = {tensor.name: tensor for tensor in payload.inputs}
        name, *said = StringCodec.decode_input(inputs["text_input"])[0].split()
        limit = inputs["max_tokens"].data.root[0] if "max_tokens" in inputs else 8
        end = "cancelled"
        self._note(f"{name}.begun")
        try:
            for word in itertools.islice(said or (f"w{i}" for i in itertools.count()), limit):
                if word.startswith("!"):
                    end = "failed"
                    raise self._failure(word[1:])
                yield f"{word} "
                await asyncio.sleep(PAUSE_S)
            end = "told"
        finally:
            self._note(name, end)

    @staticmethod
    def _note(name, text=""):
        Path(os.environ["STORY_NOTES"], name).write_text(text)

    @staticmethod
    def _failure(status):
        if status:
            return MLServerError("the story has no end", int(status))
        return RuntimeError("the story has no end")
