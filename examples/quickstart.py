"""One question, one answer."""

import os

import pointsman

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")

with pointsman.Client(TARGET) as client:
    answer = client.generate("Why is the sky blue?", model="small", max_output_tokens=200)
    print(answer.text)
    print(answer.backend, answer.usage.total_tokens, answer.finish_reason)
