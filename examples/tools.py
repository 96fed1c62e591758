"""A model that calls a function, and gets its result."""

import os

import pointsman
from pointsman import tool_result, user

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")

WEATHER = {
    "name": "weather",
    "description": "Tells the weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def weather(city: str) -> dict[str, object]:
    """Stands for whatever your program can do."""
    return {"city": city, "celsius": 7}


with pointsman.Client(TARGET) as client:
    said = [user("How warm is it in Oslo?")]
    answer = client.generate(said, model="small", tools=[WEATHER])
    while answer.tool_calls:
        said.append(answer.message)
        for call in answer.tool_calls:
            print("calling", call.name, call.arguments)
            said.append(tool_result(call.id, weather(**call.arguments), name=call.name))
        answer = client.generate(said, model="small", tools=[WEATHER])
    print(answer.text)
