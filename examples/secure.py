"""TLS, an API key from a file, and one's own bounds."""

import os
from pathlib import Path

import pointsman

TARGET = os.environ.get("POINTSMAN_TARGET", "pointsman.internal:50051")
CA = Path(os.environ.get("POINTSMAN_CA", "/etc/pointsman/ca.pem"))
KEY = Path(os.environ.get("POINTSMAN_API_KEY_FILE", "/etc/pointsman/key"))

with pointsman.Client(
    TARGET,
    tls=pointsman.TlsConfig(ca=CA),
    api_key=KEY,
    timeout_s=20,
    metadata={"x-team": "search"},
) as client:
    for model in client.models(full=True):
        print(model.name, model.state, sorted(model.capabilities))
    answer = client.generate("Why is the sky blue?", model="small", request_id="order-4711")
    print(answer.request_id, answer.backend)
