"""A runtime of one's own for MLServer, with its own names for everything: it says what it was asked."""

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse, ResponseOutput


class Plain(MLModel):
    """As MLServer wants it; it knows no streams."""

    async def predict(self, payload):
        """The prompt, and every other input with its datatype."""
        inputs = {tensor.name: tensor for tensor in payload.inputs}
        prompt = StringCodec.decode_input(inputs.pop("PROMPT"))[0]
        others = [self._told(tensor) for _, tensor in sorted(inputs.items())]
        words = len(prompt.split())
        outputs = [
            StringCodec.encode_output("ANSWER", ["|".join([prompt, *others])]),
            StringCodec.encode_output("REASON", ["length"]),
            ResponseOutput(name="READ", datatype="INT64", shape=[1], data=[words]),
            ResponseOutput(name="SAID", datatype="INT32", shape=[1], data=[len(others) + 1]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)

    @staticmethod
    def _told(tensor):
        if tensor.datatype == "BYTES":
            return f"{tensor.name}:BYTES={StringCodec.decode_input(tensor)[0]}"
        return f"{tensor.name}:{tensor.datatype}={tensor.data.root[0]}"
