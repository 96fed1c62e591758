"""A slow model for Triton's Python backend, one question at a time, behind a queue of one."""

import threading

import numpy as np
import triton_python_backend_utils as pb_utils

WORK_S = 3


class TritonPythonModel:
    """As the Python backend wants it."""

    def execute(self, requests):
        """Takes its time."""
        threading.Event().wait(WORK_S)
        output = pb_utils.Tensor("text_output", np.array([[b"served"]], dtype=object))
        return [pb_utils.InferenceResponse(output_tensors=[output]) for _ in requests]
