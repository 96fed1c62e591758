"""A decoupled model for Triton's Python backend: it tells words one by one, and notes how each began and ended.

The prompt is `NAME [WORD ...]`: the words are said in turn, and `!` fails there; without any it says `w0 w1 w2 ...`.
`max_tokens` words, and no more.
"""

import itertools
import os
import threading
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

PAUSE_S = 0.02


class TritonPythonModel:
    """As the Python backend wants it."""

    def execute(self, requests):
        """Answers from threads, so that one telling does not wait for another."""
        for request in requests:
            prompt = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy().flatten()[0].decode()
            limit = pb_utils.get_input_tensor_by_name(request, "max_tokens")
            words = int(limit.as_numpy().flatten()[0]) if limit is not None else 8
            told = (request.get_response_sender(), prompt, words)
            threading.Thread(target=self._tell, args=told, daemon=True).start()

    def _tell(self, sender, prompt, limit):
        name, *said = prompt.split()
        self._note(f"{name}.begun")
        words = said or (f"w{i}" for i in itertools.count())
        end = self._say(sender, itertools.islice(words, limit))
        self._note(name, end)
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    @staticmethod
    def _note(name, text=""):
        Path(os.environ["STORY_NOTES"], name).write_text(text)

    @staticmethod
    def _say(sender, words):
        for word in words:
            if sender.is_cancelled():
                return "cancelled"
            if word == "!":
                failed = pb_utils.TritonError("the story has no end")
                sender.send(pb_utils.InferenceResponse(output_tensors=[], error=failed))
                return "failed"
            output = pb_utils.Tensor("text_output", np.array([f"{word} ".encode()], dtype=object))
            sender.send(pb_utils.InferenceResponse(output_tensors=[output]))
            threading.Event().wait(PAUSE_S)
        return "told"
