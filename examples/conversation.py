"""Several turns, in either of the two ways to write messages."""

import os

import pointsman
from pointsman import system, user

TARGET = os.environ.get("POINTSMAN_TARGET", "localhost:50051")

with pointsman.Client(TARGET) as client:
    said = [system("Answer in one sentence."), user("Who wrote Faust?")]
    answer = client.generate(said, model="small")
    print(answer.text)

    said += [answer.message, user("When?")]
    print(client.generate(said, model="small").text)

    print(
        client.generate(
            [
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": "Who wrote Faust?"},
            ],
            model="small",
        ).text
    )
