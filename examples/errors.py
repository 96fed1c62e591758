"""What to do when a call fails."""

import os
import time

import pointsman

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")


def ask(client: pointsman.Client, question: str, *, patience_s: float = 30.0) -> str:
    """An answer, waiting out rate limits while patience lasts."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return client.generate(question, model="small").text
        except pointsman.RateLimited as error:
            # The server or the provider says how long: waiting less only costs another refusal.
            wait_s = error.retry_delay_s or 1.0
            if time.monotonic() + wait_s > give_up:
                raise
            time.sleep(wait_s)
        except pointsman.InvalidRequest as error:
            for violation in error.field_violations:
                print(f"mend {violation.field}: {violation.description}")
            raise


with pointsman.Client(TARGET) as client:
    try:
        print(ask(client, "Why is the sky blue?"))
    except pointsman.PointsmanError as error:
        print(f"failed: {error.reason or error.code.name}, may work later: {error.retryable}")
        print(f"ask whoever runs the server about {error.request_id}")
