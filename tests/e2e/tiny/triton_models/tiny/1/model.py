"""The tiny model in Triton's Python backend: a response for each token."""

import os
import sys
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.append(str(Path(__file__).resolve().parents[3]))
import qwen3


class TritonPythonModel:
    """As the Python backend wants it."""

    def initialize(self, args):
        """Reads the weights."""
        self._model = qwen3.Model(os.environ["TINY_WEIGHTS"])

    def execute(self, requests):
        """One after the other, greedily."""
        for request in requests:
            inputs = {tensor.name(): tensor.as_numpy().flatten()[0] for tensor in request.inputs()}
            prompt, limit = inputs["text_input"].decode(), int(inputs["max_tokens"])
            read = len(self._model.encode(prompt))
            sender = request.get_response_sender()
            for at, text in enumerate(self._model.generate(prompt, limit), start=1):
                sender.send(self._response(text, "length" if at == limit else "", read))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    @staticmethod
    def _response(text, finish, read):
        outputs = {
            "text_output": np.array([text.encode()], dtype=object),
            "finish_reason": np.array([finish.encode()], dtype=object),
            "input_tokens": np.array([read], dtype=np.int32),
            "output_tokens": np.array([1], dtype=np.int32),
        }
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, told) for name, told in outputs.items()])
