"""An answer in the form of a JSON schema."""

import os

import pointsman

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
    "required": ["city", "country"],
    "additionalProperties": False,
}

with pointsman.Client(TARGET) as client:
    answer = client.generate(
        "Name a capital.", model="small", json_schema=SCHEMA, routing={"strict_params": True}
    )
    print(answer.json()["city"])
