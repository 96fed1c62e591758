"""An answer as it comes."""

import os

import pointsman

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")

with pointsman.Client(TARGET) as client:
    with client.stream("Why is the sky blue?", model="small") as stream:
        for event in stream:
            print(event.text, end="", flush=True)
    print()
    print(stream.result.usage.output_tokens, "tokens from", stream.result.backend)
