"""How models behind the Open Inference Protocol want their inputs: usual ways, and what a configuration changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pointsman_server.config import schema

GENERATION = "generation."
MAX_TOKENS = "generation.max_output_tokens"
STOP = "generation.stop_sequences"
_SAME = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty")
_ALIKE = {MAX_TOKENS: "max_tokens", **{f"{GENERATION}{name}": name for name in _SAME}}

DATATYPES: Mapping[str, str] = {
    MAX_TOKENS: "INT32",
    "generation.temperature": "FP32",
    "generation.top_p": "FP32",
    "generation.top_k": "INT32",
    "generation.min_p": "FP32",
    "generation.seed": "UINT64",
    "generation.n": "INT32",
    STOP: "BYTES",
    "generation.presence_penalty": "FP32",
    "generation.frequency_penalty": "FP32",
    "generation.repetition_penalty": "FP32",
    "generation.truncate_prompt_tokens": "INT32",
    "end_user_id": "BYTES",
}
"""What a contract field is as a tensor, where the configuration does not know better."""


@dataclass(frozen=True, slots=True)
class Style:
    """One usual way."""

    fields: Mapping[str, str]
    """Contract field -> the model's name for it."""
    stream_input: str
    """Asks for an answer in pieces; empty where the call itself does."""
    batched: bool
    in_parameters: bool
    """Sampling goes under `parameters` in the generate extension."""
    lists: bool
    """`parameters` may hold lists."""
    packed: str = ""
    """The input that takes all of sampling as one JSON text, where the model has one."""
    constants: Mapping[str, bool] = field(default_factory=dict)


STYLES: Mapping[str, Style] = {
    # https://github.com/triton-inference-server/tensorrtllm_backend, its ensemble and its tensorrt_llm_bls.
    "trtllm": Style(
        {**_ALIKE, "generation.seed": "random_seed", STOP: "stop_words"},
        stream_input="stream", batched=True, in_parameters=False, lists=True,
    ),
    # https://github.com/triton-inference-server/vllm_backend: vLLM's own SamplingParams. Without the constant, an
    # answer repeats its prompt.
    "vllm": Style(
        {
            **_ALIKE,
            "generation.seed": "seed",
            "generation.min_p": "min_p",
            "generation.n": "n",
            "generation.truncate_prompt_tokens": "truncate_prompt_tokens",
            STOP: "stop",
            **dict.fromkeys(
                (f"output_format.{kind}" for kind in ("json_schema", "json_object", "regex", "grammar", "choice")),
                "structured_outputs",
            ),
        },
        stream_input="stream", batched=False, in_parameters=True, lists=False, packed="sampling_parameters",
        constants={"exclude_input_in_output": True},
    ),
    # https://github.com/kserve/open-inference-protocol, generate_rest.yaml, and names that speak for themselves.
    "oip": Style(
        {**_ALIKE, "generation.seed": "seed", STOP: "stop"},
        stream_input="", batched=False, in_parameters=True, lists=True,
    ),
}  # fmt: skip

DEFAULT_STYLE: Mapping[str, str] = {"triton": "trtllm", "kserve": "oip"}
"""Of each dialect."""
_DEFAULT_API = {"triton": "generate", "kserve": "infer"}
_VAGUE_400 = {"triton": True, "kserve": False}


@dataclass(frozen=True, slots=True)
class Setup:
    """A style as the configuration of a backend leaves it."""

    written: schema.OpenInference
    style: Style
    generate: bool
    """The generate extension; else tensors."""
    vague_400: bool
    """Status 400 is what all errors of a model become."""
    fields: Mapping[str, str]
    """Contract field -> the model's name for it; none is empty."""
    in_parameters: bool
    """Sampling goes into the request's parameters."""
    stream_input: str
    batched: bool
    constants: Mapping[str, str | bool | int | float]

    @property
    def packed(self) -> str:
        """The input that takes all of sampling; empty where each value goes by itself."""
        return self.style.packed if self.written.parameters_as is None else ""

    @property
    def single_stop(self) -> bool:
        """Whether there is room for one stop sequence only."""
        return self.in_parameters and not (self.packed or (self.generate and self.style.lists))

    def outputs(self) -> Iterator[str]:
        """The outputs that are read."""
        written = self.written
        names = (
            written.text_output, written.finish_reason_output, written.input_tokens_output,
            written.output_tokens_output,
        )  # fmt: skip
        return (name for name in names if name)


def setup_of(dialect: str, written: schema.OpenInference, *, http: bool) -> Setup:
    """What a backend of this dialect is configured to be."""
    style = STYLES[written.style or DEFAULT_STYLE[dialect]]
    generate = http and (written.api or _DEFAULT_API[dialect]) == "generate"
    names = {**style.fields, **{str(path): name for path, name in written.names.items()}}
    parameters_as = written.parameters_as
    return Setup(
        written=written,
        style=style,
        generate=generate,
        vague_400=generate and _VAGUE_400[dialect],
        fields={path: name for path, name in names.items() if name},
        in_parameters=generate and style.in_parameters
        if parameters_as is None
        else parameters_as == "parameters",
        stream_input=style.stream_input if written.stream_input is None else written.stream_input,
        batched=style.batched if written.batched is None else written.batched,
        constants={**style.constants, **written.constants},
    )
