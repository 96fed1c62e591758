"""The configuration's one schema: strict, frozen, every key with a meaning, a default that works and a bound."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")]
"""A name that callers, logs and metrics carry."""
Listen = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$")]
"""`host:port`; port 0 takes a free one."""
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}$", max_length=261)]
"""`host:port` of a server."""
Nameserver = Annotated[
    str, Field(pattern=r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\])(:\d{1,5})?$", max_length=64)
]
"""An IP address (IPv6 in brackets), and a port where it is not 53."""
DnsLabel = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
"""A name as Kubernetes has them."""
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
TemplateVariable = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""A name inside a chat template."""
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
HeaderValue = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[\x20-\x7e]+$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Section(BaseModel):
    """Frozen; an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class SecretRef(Section):
    """Where a secret is; never the secret itself. Exactly one of the two."""

    env: str | None = Field(default=None, min_length=1, max_length=256)
    """Name of an environment variable."""
    file: str | None = Field(default=None, min_length=1, max_length=4096)
    """Path of a file; surrounding white space is dropped. Read again on reload."""

    @model_validator(mode="after")
    def _check_one(self) -> SecretRef:
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of env and file")
        return self


class TlsServer(Section):
    """Certificates of the public server, PEM files; read again when they change."""

    certificate_file: str = Field(min_length=1)
    """Chain, leaf first."""
    key_file: str = Field(min_length=1)
    """Private key of the leaf."""
    client_ca_file: str | None = None
    """Authorities for client certificates; setting it demands one from every client (mTLS)."""


class Http2(Section):
    """Limits of the gRPC transport."""

    max_concurrent_streams: int = Field(default=1024, ge=1, le=1_000_000)
    """Calls at once on one connection. Near the limit clients see UNAVAILABLE, so set at least twice the real need;
    256 where the port is exposed."""
    max_connections: int = Field(default=1000, ge=1, le=1_000_000)
    """Connections at once. Divided among workers, with some room for an uneven spread."""
    max_connection_idle_s: PositiveSeconds = 300
    """A connection without calls is closed after this."""
    max_connection_age_s: PositiveSeconds = 300
    """A connection is asked to go after this, so that clients spread again; its calls finish."""
    max_connection_age_grace_s: PositiveSeconds = 630
    """How long calls may go on after that; must not be below deadlines.maximum_s."""
    keepalive_s: PositiveSeconds = 60
    """A silent connection is pinged after this."""
    ping_timeout_s: PositiveSeconds = 20
    """A ping unanswered for this long ends the connection."""
    min_ping_interval_s: PositiveSeconds = 10
    """Clients that ping more often without calls are told to go."""
    handshake_timeout_s: PositiveSeconds = 10
    """For TLS and HTTP/2 settings on a new connection."""


class Drain(Section):
    """What happens between SIGTERM and exit."""

    delay_s: Seconds = 5
    """Health says NOT_SERVING, calls are still taken: time for balancers to look away."""
    grace_s: Seconds = 600
    """Calls in flight may finish; what is left then ends with SHUTTING_DOWN."""
    flush_s: Seconds = 5
    """For telemetry, at the very end."""


class Server(Section):
    """The public gRPC server."""

    listen: Listen = "127.0.0.1:50051"
    """Address of InferenceService, ModelService, health and reflection."""
    tls: TlsServer | None = None
    """Plain text without it."""
    http2: Http2 = Http2()
    """Limits of the transport."""
    drain: Drain = Drain()
    """Shutting down."""
    reflection: bool = True
    """Whether grpcurl and ghz can ask for the schema."""
    max_request_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=20 * 1024 * 1024)
    """A larger request is REQUEST_TOO_LARGE. The transport itself refuses above 20 MiB."""
    max_calls: int = Field(default=4096, ge=1, le=1_000_000)
    """Calls at once in all; one more is ROUTER_OVERLOADED. Health and reflection are not counted. Divided among
    workers."""
    max_batch_items: int = Field(default=1000, ge=1, le=100_000)
    """Items of one BatchGenerate at most."""
    max_batch_concurrency: int = Field(default=32, ge=1, le=100_000)
    """Items of one BatchGenerate that run at once at most; each counts as a call under max_calls."""
    max_coalesce_s: Annotated[float, Field(ge=0, le=1)] = 0.25
    """The longest window in which a loaded server merges deltas of a stream when the caller leaves it open;
    0 turns that off."""


class Admin(Section):
    """The admin gRPC server: RouterAdminService and channelz. It has no authentication of its own."""

    listen: Listen = "127.0.0.1:50052"
    """Address; keep it on loopback or behind a network policy."""
    enabled: bool = True
    """Whether it is there at all."""


class Ops(Section):
    """HTTP for probes and scrapers: /metrics, /livez, /readyz, /config (redacted)."""

    listen: Listen = "127.0.0.1:9464"
    """Address; without authentication."""
    enabled: bool = True
    """Whether it is there at all."""


class AuthMode(enum.StrEnum):
    """How callers prove who they are."""

    NONE = "none"
    API_KEY = "api_key"
    MTLS = "mtls"


class ApiKey(Section):
    """One key of a principal. Keys look like `id.secret`; only a hash of the secret is kept."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    """The part before the dot; unique over all principals."""
    hash: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    """`sha256:` and the hex digest of the secret after the dot, as `pointsman-server new-key` prints it."""
    hash_from: SecretRef | None = None
    """The same text, by reference."""

    @model_validator(mode="after")
    def _check_one(self) -> ApiKey:
        if (self.hash is None) == (self.hash_from is None):
            raise ValueError("name exactly one of hash and hash_from")
        return self


class Principal(Section):
    """A caller."""

    name: Name
    """How logs and metrics call it."""
    api_keys: tuple[ApiKey, ...] = Field(default=(), max_length=16, strict=False)
    """Several, so that they can be rotated."""
    mtls_identities: tuple[str, ...] = Field(default=(), max_length=64, strict=False)
    """Subject alternative names (DNS or URI, as spiffe://...) or the common name of its certificate; exact match."""
    models: tuple[Name, ...] | None = Field(default=None, strict=False)
    """The models it may use, by their own names; all without it."""


class Auth(Section):
    """Who may call."""

    mode: AuthMode | None = Field(default=None, strict=False)
    """Left out it is none on loopback; on any other address it must be written down."""
    principals: tuple[Principal, ...] = Field(default=(), max_length=10_000, strict=False)
    """The callers that api_key and mtls know."""

    @property
    def effective_mode(self) -> AuthMode:
        """The mode in force."""
        return self.mode or AuthMode.NONE


class Otlp(Section):
    """Export of traces over OTLP/HTTP."""

    endpoint: str = Field(pattern=r"^https?://[^\s@?#]+$")
    """Base URL of the collector, as http://collector:4318; /v1/traces is added unless it ends so."""
    headers: dict[str, SecretRef] = Field(default_factory=dict, max_length=16)
    """Headers to send, values by reference."""
    timeout_s: PositiveSeconds = 2
    """Of one export."""
    queue_size: int = Field(default=8192, ge=1, le=1_000_000)
    """Spans that wait at most; more are dropped and counted."""
    batch_size: int = Field(default=512, ge=1, le=100_000)
    """Spans of one export at most; not above queue_size."""
    delay_s: PositiveSeconds = 1
    """Between exports."""


class LogLevel(enum.StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Telemetry(Section):
    """Traces and logs; metrics are always on."""

    otlp: Otlp | None = None
    """Traces go nowhere without it."""
    sample_ratio: Share = 1.0
    """Share of new traces that are recorded; a caller's own decision is followed."""
    service_name: str = Field(default="pointsman", min_length=1, max_length=128)
    """service.name of all spans."""
    log_level: LogLevel = Field(default=LogLevel.INFO, strict=False)
    """The least that is logged."""
    access_log: bool = True
    """One line per call."""
    max_metric_series: int = Field(default=2000, ge=500, le=1_000_000)
    """The most time series that are kept; what comes later is counted under `_other`. A histogram takes 15 to 19 per
    label set."""


class Deadlines(Section):
    """Bounds on a whole call."""

    unary_default_s: PositiveSeconds = 60
    """For a Generate that names none."""
    stream_default_s: PositiveSeconds = 300
    """For a StreamGenerate that names none."""
    maximum_s: PositiveSeconds = 600
    """A longer one is cut to this."""


class Retry(Section):
    """Another attempt, until something was handed to the caller."""

    max_attempts: int = Field(default=3, ge=1, le=10)
    """In all, the first included; a call may ask for another number up to max_attempts_limit."""
    max_attempts_limit: int = Field(default=5, ge=1, le=10)
    """The most that a call may ask for."""
    budget_ratio: Share = 0.1
    """Retries per call over budget_window_s; failing over to an untried backend after a connect failure is free."""
    budget_window_s: PositiveSeconds = 10
    """The window of the budget."""
    budget_floor: int = Field(default=3, ge=0, le=1000)
    """Retries at once that are allowed while the share of the calls comes to less. Divided among workers, with at least
    1 for each unless it is 0."""
    backoff_base_s: PositiveSeconds = 0.1
    """Before the first retry of the same backend: uniformly between 0 and this, doubling."""
    backoff_max_s: PositiveSeconds = 2
    """The cap of that."""
    retry_after_max_s: PositiveSeconds = 300
    """A provider's longer wait is not believed."""


class Ejection(Section):
    """Taking a failing backend out of rotation."""

    consecutive_failures: int = Field(default=5, ge=1, le=1000)
    """Failures in a row that eject."""
    failure_share: Share = 0.5
    """Or this share of at least failure_min_calls over failure_window_s."""
    failure_min_calls: int = Field(default=10, ge=1, le=100_000)
    """See failure_share."""
    failure_window_s: PositiveSeconds = 10
    """See failure_share."""
    base_s: PositiveSeconds = 30
    """First ejection; the n-th in a row lasts n times as long."""
    max_s: PositiveSeconds = 300
    """The cap of that."""
    jitter: Share = 0.1
    """Random part added to it."""
    max_ejected_share: Share = 0.5
    """Of a model's backends; with more in trouble the surplus is used all the same."""


class Timeouts(Section):
    """Bounds on one attempt at a backend."""

    connect_s: PositiveSeconds = 2
    """For a new connection, TLS included."""
    first_content_s: PositiveSeconds = 30
    """From the request to the first content of a stream; headers, roles and comments are not content."""
    idle_s: PositiveSeconds = 20
    """Between two events of a stream."""
    total_s: PositiveSeconds = 600
    """For the whole attempt; the call's own deadline may be earlier."""


class Key(Section):
    """A key, put where the provider looks for one: most want `Authorization: Bearer`, others a header of their own."""

    type: Literal["key"] = "key"
    """This kind; the one that is meant where none is written."""
    secret: SecretRef
    """The key."""


class Bearer(Section):
    """Authorization: Bearer ..."""

    type: Literal["bearer"] = "bearer"
    """This kind."""
    secret: SecretRef
    """The token."""


class HeaderKey(Section):
    """A key in a named header."""

    type: Literal["header"]
    """This kind."""
    name: HeaderName
    """The header, as x-api-key."""
    secret: SecretRef
    """Its value."""


class QueryKey(Section):
    """A key in the query of the URL. A header is the better place wherever the provider takes one: proxies write URLs
    into their logs.
    """

    type: Literal["query"]
    """This kind."""
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """The parameter, as key."""
    secret: SecretRef
    """Its value."""


class OAuth2(Section):
    """A bearer token from an OAuth 2.0 token endpoint, by client credentials (RFC 6749, 4.4); fetched when it is first
    needed, again ahead of its expiry, and once more when the backend refuses it. The endpoint is reached as the backend
    is: through its proxy_url, with its ca_file.
    """

    type: Literal["oauth2"]
    """This kind."""
    token_url: str = Field(pattern=r"^https?://[^\s@#]+$", max_length=2048)
    """The token endpoint."""
    client_id: str = Field(min_length=1, max_length=256)
    """The client."""
    client_secret: SecretRef
    """Its secret."""
    scope: str = Field(default="", max_length=1024)
    """What the token is for, separated by blanks; the endpoint's default without it."""
    client_authentication: Literal["basic", "body"] = "basic"
    """Where the client's id and secret go: into the header Authorization, or into the form."""
    parameters: dict[str, str] = Field(default_factory=dict, max_length=16)
    """Further fields of the form, as audience or resource; no secrets."""


class Entra(Section):
    """A bearer token of Microsoft Entra, for an application: by its secret, or by the token of the workload that runs
    here. Fetched and renewed as under oauth2.
    """

    type: Literal["entra"]
    """This kind."""
    tenant: str = Field(pattern=r"^[A-Za-z0-9.-]{1,128}$")
    """Id or domain of the directory."""
    client_id: str = Field(min_length=1, max_length=128)
    """Id of the application."""
    client_secret: SecretRef | None = None
    """The application's secret."""
    workload_token_file: str = Field(default="", max_length=4096)
    """In its place: a file with the workload's own token, as AZURE_FEDERATED_TOKEN_FILE names it; always read anew."""
    scope: str = Field(default="https://cognitiveservices.azure.com/.default", min_length=1, max_length=1024)
    """What the token is for."""
    authority: str = Field(default="https://login.microsoftonline.com", pattern=r"^https?://[^\s@?#]+$")
    """Where tokens come from; another one in sovereign clouds."""

    @model_validator(mode="after")
    def _check_one(self) -> Entra:
        if (self.client_secret is None) == (not self.workload_token_file):
            raise ValueError("name exactly one of client_secret and workload_token_file")
        return self


class BaiduKeys(Section):
    """An API key and a secret key of Baidu, exchanged for an access token; fetched and renewed as under oauth2."""

    type: Literal["baidu"]
    """This kind."""
    api_key: SecretRef
    """The API key (AK)."""
    secret_key: SecretRef
    """The secret key (SK)."""
    token_url: str = Field(
        default="https://aip.baidubce.com/oauth/2.0/token", pattern=r"^https?://[^\s@?#]+$", max_length=2048
    )
    """Where they are exchanged."""


class SigV4(Section):
    """Requests signed with AWS Signature Version 4."""

    type: Literal["sigv4"]
    """This kind."""
    access_key_id: SecretRef
    """Who signs."""
    secret_access_key: SecretRef
    """What it is proved with."""
    session_token: SecretRef | None = None
    """For keys that are lent for a time; with the keys it is read again on reload."""
    region: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    """The region that serves, as us-east-1."""
    service: str = Field(default="bedrock", pattern=r"^[a-z0-9-]{1,64}$")
    """The service's name in signatures."""


def _kind(written: object) -> str | None:
    """The kind of credentials that a section is of; None for what is no section."""
    kind = written.get("type", "key") if isinstance(written, Mapping) else getattr(written, "type", None)
    return kind if kind is None or isinstance(kind, str) else "another"


Credentials = Annotated[
    Annotated[Key, Tag("key")]
    | Annotated[Bearer, Tag("bearer")]
    | Annotated[HeaderKey, Tag("header")]
    | Annotated[QueryKey, Tag("query")]
    | Annotated[OAuth2, Tag("oauth2")]
    | Annotated[Entra, Tag("entra")]
    | Annotated[BaiduKeys, Tag("baidu")]
    | Annotated[SigV4, Tag("sigv4")],
    Discriminator(_kind),
]


class DnsKind(enum.StrEnum):
    """Which records tell the endpoints."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"


class StaticDiscovery(Section):
    """Endpoints that are written down here."""

    type: Literal["static"]
    """This kind."""
    endpoints: tuple[Address, ...] = Field(min_length=1, max_length=256, strict=False)
    """`host:port` of each."""


class DnsDiscovery(Section):
    """Endpoints that DNS tells, asked again when its answer has expired. Consul is asked this way, too."""

    type: Literal["dns"]
    """This kind."""
    name: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$")
    """The name, as vllm.service.consul. The search list of /etc/resolv.conf holds, unless it ends with a dot or
    nameservers are written."""
    kind: DnsKind = Field(default=DnsKind.A, strict=False)
    """Which records: A, AAAA, or SRV, which tells ports, weights and priorities as well."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Of every address; required but for SRV, which tells its own."""
    nameservers: tuple[Nameserver, ...] = Field(default=(), max_length=3, strict=False)
    """IP addresses of the servers to ask, with a port where it is not 53 (as 127.0.0.1:8600, [::1]:53); those of
    /etc/resolv.conf without it."""
    min_ttl_s: Annotated[float, Field(ge=0.1, le=3600)] = 1
    """A shorter life of an answer counts as this, so that servers that tell 0 are not asked without end."""
    max_ttl_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60
    """A longer one is not believed."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 3
    """Of one question, other servers and TCP included."""


class KubernetesDiscovery(Section):
    """Endpoints of a Kubernetes Service, followed as they change. Needs list and watch of EndpointSlices."""

    type: Literal["kubernetes"]
    """This kind."""
    service: DnsLabel
    """Name of the Service; one without a cluster IP (headless) serves as well."""
    namespace: DnsLabel | None = None
    """Its namespace; without it the pod's own, as the file `namespace` beside kubernetes.token_file says."""
    port: DnsLabel | None = None
    """Name of the port as the Service calls it; may be left out where it has only one."""


Discovery = Annotated[StaticDiscovery | DnsDiscovery | KubernetesDiscovery, Field(discriminator="type")]


class DashScope(Section):
    """How Alibaba's own interface is used."""

    interface: Literal["auto", "multimodal"] = "auto"
    """Which one is asked: `multimodal` for models that answer there alone, text calls included, such as qwen-vl and
    qwen3.5; `auto` takes it for calls with images or audio, and text generation for all others."""


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


class Embedding(Section):
    """How inputs of an Embed are sent to a backend."""

    max_inputs: int | None = Field(default=None, ge=1, le=10_000)
    """The most inputs of one request, where the server takes fewer or more than its provider usually does. An Embed
    with more is sent in several requests."""
    requests_at_once: int = Field(default=4, ge=1, le=64)
    """Requests of one Embed under way at once; together they take one place of max_concurrency."""


class Backend(Section):
    """A place that runs models."""

    provider: str = Field(min_length=1, max_length=64)
    """Who or what serves there, as openai or vllm: a name from docs/providers.md."""
    url: str = Field(default="", pattern=r"^(https?://[^\s@?#]+)?$")
    """Base URL, as https://api.openai.com/v1; the profile's own default without it. With discovery it must be written:
    scheme, path, and the host that requests and TLS name, while each endpoint has an address of its own."""
    discovery: Discovery | None = None
    """Where the endpoints of this backend are found; without it the backend is one place, the one at its URL."""
    api_version: str = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9._-]*$")
    """Version of the provider's API, where it has several (anthropic: 2026-10-21 or 2023-06-01); the provider's default
    without it."""
    default_max_output_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """Sent for calls that name no max_output_tokens and models without a default, where the provider demands a number
    (anthropic); without it the model's output_token_limit, and 4096 where that is unknown."""
    credentials: Credentials | None = None
    """None for servers without keys."""
    more_credentials: tuple[Credentials, ...] = Field(default=(), max_length=64, strict=False)
    """Further ones of any kind, used in turn with the first. One that is refused (401, 402, 403, 429) rests for as long
    as the provider asks, else for a minute, after a rate limit for 1 to 30 s; the call goes on with the next."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=16)
    """Further headers of every request, as OpenAI-Organization or X-DashScope-WorkSpace; they stand above those of
    callers. No secrets: those are credentials."""
    timeouts: Timeouts = Timeouts()
    """Bounds on one attempt."""
    max_concurrency: int = Field(default=1024, ge=1, le=1_000_000)
    """Attempts at once, at each endpoint; more wait a little, or go elsewhere. Divided among workers."""
    proxy_url: str = Field(default="", pattern=r"^(http://[^\s@?#]+)?$")
    """HTTP proxy for egress."""
    ca_file: str = ""
    """PEM file of authorities, in place of the system's."""
    propagate_trace: bool = False
    """Whether it is ours: trace context is sent along."""
    unary_upstream: Literal["unary", "stream"] | None = None
    """How a Generate asks it; the profile's choice without it."""
    max_event_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Of one event of its streams."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Of one answer, decompressed."""
    drop_params: tuple[str, ...] = Field(default=(), max_length=64, strict=False)
    """Contract fields (as generation.seed) that this server does not take, beyond what its profile says; callers are
    warned."""
    dashscope: DashScope = DashScope()
    """Only for the provider dashscope."""
    embedding: Embedding = Embedding()
    """How inputs of an Embed are sent."""
    simulator: Simulator = Simulator()
    """Only for the provider simulator."""
    open_inference: OpenInference = OpenInference()
    """Only for triton, triton_grpc, kserve and kserve_grpc."""
    grpc: Grpc = Grpc()
    """Only for providers that are reached over gRPC."""


Amount = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PriceTier(Section):
    """Prices in units of the currency per million tokens. What is left out costs what its whole does: cached and
    written input as input, reasoning as output.
    """

    input: Amount | None = None
    """Of the prompt."""
    output: Amount | None = None
    """Of the answer."""
    cached_input: Amount | None = None
    """Of the part of the prompt that the provider had in its cache."""
    cache_write: Amount | None = None
    """Of the part of the prompt that it put there."""
    reasoning: Amount | None = None
    """Of the part of the answer that is reasoning."""


class LongInput(PriceTier):
    """Prices for longer inputs, in place of the others."""

    tokens: int = Field(ge=1, le=100_000_000)
    """They count for inputs of more tokens than this."""


class Price(PriceTier):
    """Prices in units of the currency per million tokens. What is left out costs what its whole does: cached and
    written input as input, reasoning as output.
    """

    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    """ISO 4217; USD without it."""
    above: LongInput | None = None
    """Prices for longer inputs."""


class ChatTemplate(Section):
    """How a conversation becomes one text, for backends that take no messages: a Jinja template as Hugging Face's
    models have, in a sandbox. Exactly one of text and file.
    """

    text: str | None = Field(default=None, min_length=1, max_length=256 * 1024)
    """The template itself."""
    file: str | None = Field(default=None, min_length=1, max_length=4096)
    """Path of a file that holds it, at most 256 KiB of UTF-8; read again on reload."""
    bos_token: str = Field(default="", max_length=256)
    """What the template calls bos_token."""
    eos_token: str = Field(default="", max_length=256)
    """What the template calls eos_token."""
    variables: dict[TemplateVariable, str | bool | int | float] = Field(default_factory=dict, max_length=32)
    """Further words that the template knows, as enable_thinking."""

    @model_validator(mode="after")
    def _check_one(self) -> ChatTemplate:
        if (self.text is None) == (self.file is None):
            raise ValueError("name exactly one of text and file")
        return self


class Target(Section):
    """One backend that serves a model."""

    backend: Name
    """Its name under backends."""
    model: str = Field(default="", max_length=256)
    """The name of the model there; the model's own name without it."""
    weight: int = Field(default=1, ge=0, le=1_000_000)
    """Share under the policy weighted, divided among the endpoints of a discovered backend; 0 takes it out."""
    group: int = Field(default=0, ge=0, le=1000)
    """Priority group: a higher number is used only when no lower one can serve."""
    input_token_limit: int = Field(default=0, ge=0, le=100_000_000)
    """Its context size, where it differs from the model's; a call that is too long elsewhere goes only to a larger."""
    price: Price | None = None
    """What it costs there; the model's own price, or the table's, without it."""
    chat_template: ChatTemplate | None = None
    """In place of the model's."""


class Policy(enum.StrEnum):
    """How candidates of one group are ordered."""

    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_OUTSTANDING = "least_outstanding"


class Defaults(Section):
    """Generation settings for calls that leave them unset."""

    max_output_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """Unset leaves it to the provider."""
    temperature: float | None = Field(default=None, ge=0, le=10)
    """Unset leaves it to the provider."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Unset leaves it to the provider."""
    stop_sequences: tuple[str, ...] = Field(default=(), max_length=64, strict=False)
    """Used when the call names none."""


class Bounds(Section):
    """What a call may ask for; beyond it is INVALID_REQUEST."""

    max_output_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """The largest max_output_tokens."""
    temperature_min: float = Field(default=0, ge=0, le=10)
    """The lowest temperature."""
    temperature_max: float = Field(default=2, ge=0, le=10)
    """The highest temperature."""
    max_stop_sequences: int = Field(default=16, ge=0, le=64)
    """The most stop sequences."""


class Summary(Section):
    """Summarising what of a conversation is dropped."""

    model: Name
    """The model that writes it; asked on the service's own behalf, so a caller need not be allowed to use it."""
    max_output_tokens: int = Field(default=512, ge=16, le=100_000)
    """The longest summary."""
    timeout_s: PositiveSeconds = 20
    """The longest wait for it, and never more than half of the call's deadline; after that the messages are dropped
    without one."""
    instructions: str = Field(
        default=(
            "Summarise the conversation below for somebody who has to go on with it: facts, names, numbers, decisions, "
            "open questions and results of tools. Write plain text, no introduction."
        ),
        min_length=1,
        max_length=16_384,
    )
    """What the model is told to do."""


class ContextWindow(Section):
    """How much of a conversation is sent. Words of the system always are; tool calls and their results stay together;
    the oldest turns go first.
    """

    keep_turns: int | None = Field(default=None, ge=1, le=100_000)
    """The last so many turns; a turn begins with what a user says."""
    max_input_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """So many tokens, tools included; counted as four characters each."""
    summary: Summary | None = None
    """Replaces what is dropped; without it that is gone."""

    @model_validator(mode="after")
    def _check_bounds(self) -> ContextWindow:
        if self.keep_turns is None and self.max_input_tokens is None:
            raise ValueError("write keep_turns, max_input_tokens, or both")
        return self


class Operation(enum.StrEnum):
    """What a model may be asked for."""

    GENERATE = "generate"
    EMBED = "embed"


class Model(Section):
    """A name that callers ask for."""

    targets: tuple[Target, ...] = Field(min_length=1, max_length=256, strict=False)
    """Where it is served, in order."""
    operations: tuple[Annotated[Operation, Field(strict=False)], ...] = Field(
        default=(Operation.GENERATE,), min_length=1, max_length=2, strict=False
    )
    """What it may be asked for: `generate`, `embed`, or both. Counting tokens is always allowed."""
    aliases: tuple[Name, ...] = Field(default=(), max_length=64, strict=False)
    """Other names for it."""
    policy: Policy = Field(default=Policy.LEAST_OUTSTANDING, strict=False)
    """How targets of one group are ordered."""
    display_name: str = Field(default="", max_length=256)
    """For people."""
    owner: str = Field(default="", max_length=256)
    """Who made the model, for people."""
    input_token_limit: int = Field(default=0, ge=0, le=100_000_000)
    """Its context size; 0 is unknown."""
    output_token_limit: int = Field(default=0, ge=0, le=100_000_000)
    """Its longest answer; 0 is unknown."""
    price: Price | None = None
    """What it costs, whatever the target; without it the price table is asked for the target's provider and model."""
    defaults: Defaults = Defaults()
    """Generation settings for calls that leave them unset."""
    bounds: Bounds = Bounds()
    """What a call may ask for."""
    fallbacks: tuple[Name, ...] = Field(default=(), max_length=16, strict=False)
    """Models to go on with when no target can serve."""
    context: ContextWindow | None = None
    """How much of a long conversation is sent; all of it without this."""
    chat_template: ChatTemplate | None = None
    """For targets on backends that take text and no messages; the built-in transcript without it."""


class Kubernetes(Section):
    """How the API server is reached, for backends that are discovered there. The defaults are those of a pod."""

    api_server: str = Field(default="", pattern=r"^(https?://[^\s@?#]+)?$")
    """URL; without it KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say where it is, as in every pod."""
    token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - where it is.
    """Bearer token, read again for each request, since it is renewed; empty for none. Never sent over plain http."""
    ca_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    """PEM file of authorities that vouch for the server; empty for the system's."""


class FieldRule(Section):
    """One step of a mapping: a field of the one message into a field of the other. Paths are names joined by dots; `[]`
    behind a list's name means each of its elements, `[0]` its first.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, populate_by_name=True
    )

    source: str = Field(default="", alias="from", max_length=512)
    """The field that is read; empty with `value`."""
    to: str = Field(max_length=512)
    """The field that is written; a list is appended to."""
    value: str | int | float | bool | None = None
    """Written always, in place of a field that is read."""
    default: str | int | float | bool | None = None
    """Written where the field that is read is not set."""
    names: dict[str, str] = Field(default_factory=dict, max_length=256)
    """Words, or names of an enum's values, and what becomes of them; one that is not here is refused."""
    join: str | None = Field(default=None, max_length=64)
    """Puts the texts that are read together, with this between them."""
    present: bool = False
    """Writes whether the field that is read is set, in place of what it holds."""
    each: tuple[FieldRule, ...] = Field(default=(), max_length=256, strict=False)
    """For lists of messages: how an element becomes an element."""

    @model_validator(mode="after")
    def _check_source(self) -> FieldRule:
        if bool(self.source) == (self.value is not None):
            raise ValueError("write exactly one of from and value")
        return self


class CompatibleMethod(Section):
    """One method of an earlier contract."""

    to: Literal["Generate", "StreamGenerate"]
    """Ours; one that streams its answer becomes StreamGenerate, any other Generate."""
    request: tuple[FieldRule, ...] = Field(max_length=256, strict=False)
    """Its request into a GenerateRequest."""
    response: tuple[FieldRule, ...] = Field(max_length=256, strict=False)
    """A GenerateResponse, or each StreamGenerateResponse, into its answer; a message of a stream for which no rule
    finds anything is not sent."""
    drop: tuple[str, ...] = Field(default=(), max_length=256, strict=False)
    """Fields of its request that mean nothing here. Every field must be mapped or dropped."""


class CompatibleService(Section):
    """A caller's earlier gRPC contract, served on the same port; access, limits and logs are those of our own."""

    descriptor_set: str = Field(min_length=1, max_length=4096)
    """File with its FileDescriptorSet, imports included, as `buf build` and `protoc --include_imports
    --descriptor_set_out` write it."""
    methods: dict[str, CompatibleMethod] = Field(min_length=1, max_length=64)
    """The methods that are served, by name; others of the service are UNIMPLEMENTED."""


class Config(Section):
    """The whole file."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes that serve the public port together. With 1 there is no supervisor; with more, one process watches the
    others and answers for all of them on the ports of admin and ops (see docs/workers.md). A change needs a restart."""
    server: Server = Server()
    """The public gRPC server."""
    admin: Admin = Admin()
    """The admin gRPC server."""
    ops: Ops = Ops()
    """HTTP for probes and scrapers."""
    auth: Auth = Auth()
    """Who may call."""
    telemetry: Telemetry = Telemetry()
    """Traces and logs."""
    deadlines: Deadlines = Deadlines()
    """Bounds on a whole call."""
    retry: Retry = Retry()
    """Another attempt."""
    ejection: Ejection = Ejection()
    """Taking a failing backend out."""
    max_queue_time_s: Seconds = 1
    """How long a call waits for a free place at a backend at most, and never above a tenth of its deadline."""
    max_queued_calls: int = Field(default=2048, ge=0, le=1_000_000)
    """Calls that wait at once; one more is ROUTER_OVERLOADED. Divided among workers."""
    compatibility: dict[str, CompatibleService] = Field(default_factory=dict, max_length=16)
    """Earlier contracts of callers, by the full name of their service, as acme.llm.v1.Completion. Changed by a
    restart."""
    price_file: str = ""
    """JSON file of prices that go before those of the table that comes along (see docs/cost.md). Read again when it
    changes."""
    kubernetes: Kubernetes = Kubernetes()
    """How the API server is reached, for discovery."""
    backends: dict[Name, Backend] = Field(
        default_factory=lambda: {"simulator": Backend(provider="simulator")}, min_length=1, max_length=10_000
    )
    """Places that run models."""
    models: dict[Name, Model] = Field(
        default_factory=lambda: {"simulator": Model(targets=(Target(backend="simulator"),))},
        min_length=1,
        max_length=10_000,
    )
    """Names that callers ask for."""
