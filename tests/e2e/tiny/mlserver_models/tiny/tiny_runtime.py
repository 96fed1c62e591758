"""The tiny model as a runtime of one's own for MLServer: a response for each token."""

import os
import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse, ResponseOutput

sys.path.append(str(Path(__file__).resolve().parents[2]))
import qwen3


class Tiny(MLModel):
    """As MLServer wants it."""

    async def load(self):
        """Reads the weights."""
        self._model = qwen3.Model(os.environ["TINY_WEIGHTS"])
        return True

    async def predict(self, payload):
        """All tokens at once."""
        prompt, limit = self._asked(payload)
        return self._response("".join(self._model.generate(prompt, limit)), "length", prompt, limit)

    async def predict_stream(self, payloads):
        """Token by token, greedily."""
        async for payload in payloads:
            prompt, limit = self._asked(payload)
            for at, text in enumerate(self._model.generate(prompt, limit), start=1):
                yield self._response(text, "length" if at == limit else "", prompt, 1)

    @staticmethod
    def _asked(payload):
        inputs = {tensor.name: tensor for tensor in payload.inputs}
        return StringCodec.decode_input(inputs["text_input"])[0], inputs["max_tokens"].data.root[0]

    def _response(self, text, finish, prompt, told):
        read = len(self._model.encode(prompt))
        outputs = [
            StringCodec.encode_output("text_output", [text]),
            StringCodec.encode_output("finish_reason", [finish]),
            ResponseOutput(name="input_tokens", datatype="INT32", shape=[1], data=[read]),
            ResponseOutput(name="output_tokens", datatype="INT32", shape=[1], data=[told]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
