"""What only some providers have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pointsman_server.config.schema.values import PositiveSeconds, Section


class DashScope(Section):
    """How Alibaba's own interface is used."""

    interface: Literal["auto", "multimodal"] = "auto"
    """Which one is asked: `multimodal` for models that answer there alone, text calls included, such as qwen-vl and
    qwen3.5; `auto` takes it for calls with images or audio, and text generation for all others. What is embedded goes
    to multimodal embedding with `multimodal`, and to text embedding, which takes no images, with `auto`."""


class Simulator(Section):
    """How the built-in backend behaves; for load tests and demonstrations."""

    first_token_ms: Annotated[float, Field(ge=0, le=600_000)] = 0
    """Wait before the first token."""
    tokens_per_s: Annotated[float, Field(ge=0, le=1_000_000)] = 0
    """Pace after that; 0 sends all at once."""
    output_tokens: int = Field(default=16, ge=0, le=1_000_000)
    """Tokens of an answer, unless the call bounds it lower."""
    dimensions: int = Field(default=8, ge=1, le=16_384)
    """Length of its vectors, unless the call names another."""
    script: tuple[str, ...] = Field(default=(), max_length=1000, strict=False)
    """What successive calls do, round and round: `ok`, an error reason as `UPSTREAM_OVERLOADED`, `hang`, or `break:N`
    (break off after N tokens)."""


TensorName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
"""A tensor or request parameter of a model."""
NoTensor = Annotated[str, Field(max_length=128, pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$")]
"""The same; empty for none."""
Datatype = Literal[
    "BOOL", "BYTES", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"
]
SamplingField = Literal[
    "generation.max_output_tokens", "generation.temperature", "generation.top_p", "generation.top_k",
    "generation.min_p", "generation.seed", "generation.n", "generation.stop_sequences", "generation.presence_penalty",
    "generation.frequency_penalty", "generation.repetition_penalty", "generation.truncate_prompt_tokens",
    "end_user_id",
]  # fmt: skip


class OpenInference(Section):
    """How the models of a backend that speaks the Open Inference Protocol (the providers triton, triton_grpc, kserve
    and kserve_grpc) take a text and give one. Their tensors are their own: a backend whose models differ is written
    once for each kind.
    """

    style: Literal["trtllm", "vllm", "oip"] | None = None
    """What the rest is where it is not written: the ensembles of Triton's TensorRT-LLM backend (the default for
    Triton), the models of its vLLM backend, or the protocol's own names (the default for KServe)."""
    api: Literal["generate", "infer"] | None = None
    """Over HTTP: the generate extension (the default for Triton), or tensors (the default for KServe)."""
    model_version: str = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9._-]*$")
    """Version of the models; the server's choice without it."""
    text_input: TensorName = "text_input"
    """Input for the prompt."""
    text_output: TensorName = "text_output"
    """Output with the answer; several elements are several candidates."""
    finish_reason_output: NoTensor = ""
    """Output with the reason why an answer ended."""
    input_tokens_output: NoTensor = ""
    """Output with the number of tokens of the prompt."""
    output_tokens_output: NoTensor = ""
    """Output with the number of tokens of each response; they are added up."""
    stream_input: NoTensor | None = None
    """Input of type BOOL that asks for an answer in pieces; the style's without it, none if empty."""
    parameters_as: Literal["inputs", "parameters"] | None = None
    """Whether sampling goes into inputs of its own or into the request's parameters; the style's choice without it."""
    names: dict[SamplingField, NoTensor] = Field(default_factory=dict, max_length=32)
    """Contract field -> the model's name for it, beside those of the style; empty: the model has none, and callers are
    warned."""
    datatypes: dict[TensorName, Datatype] = Field(default_factory=dict, max_length=64)
    """Datatypes of inputs that differ from the usual ones, by the model's names."""
    constants: dict[TensorName, str | bool | int | float] = Field(default_factory=dict, max_length=64)
    """Inputs or parameters that every call sends."""
    batched: bool | None = None
    """Whether shapes of tensors begin with the size of a batch, as models with a max_batch_size want it; the style's
    choice without it."""
    cumulative: bool = False
    """Whether each response of a stream holds the whole text so far."""
    streaming: bool | None = None
    """Whether answers can come in pieces. Without it: of Triton, but for tensors over HTTP."""


class Grpc(Section):
    """The connection to a backend that is reached over gRPC."""

    keepalive_s: PositiveSeconds | None = None
    """While calls run, a silent connection is pinged after this. Never without it: servers end connections that ping
    more often than they allow, most of them every five minutes."""
    ping_timeout_s: PositiveSeconds = 20
    """A ping unanswered for this long ends the connection."""
    max_request_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """The largest request that is sent; the largest answer is max_body_bytes."""
