"""Requests that no honest client sends (B34)."""

import asyncio
import os
import random
import struct
from collections import Counter

import grpc
from google.protobuf.message import DecodeError

from pointsman import v1 as pb
from tests.rpc.harness import taken_apart

CASES = int(os.environ.get("POINTSMAN_FUZZ_CASES", "5000"))
SEED = 20_261_124
AT_ONCE = 32
SIMULATOR = {
    "backends": {"only": {"provider": "simulator", "simulator": {"output_tokens": 4}}},
    "models": {"chat": {"targets": [{"backend": "only"}]}},
}
GENERATE = "/pointsman.v1.InferenceService/Generate"
STREAM = "/pointsman.v1.InferenceService/StreamGenerate"
NEVER = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


def plain():
    request = pb.GenerateRequest(model="chat")
    request.conversation.messages.add(role=pb.ROLE_USER).parts.add(text="hello")
    return request


def rich():
    """Nearly every field."""
    request = plain()
    g = request.generation
    g.max_output_tokens, g.temperature, g.top_p, g.seed, g.n, g.top_k = 8, 0.5, 0.9, 7, 2, 40
    g.presence_penalty, g.frequency_penalty, g.top_logprobs, g.min_p = 0.1, 0.1, 2, 0.1
    g.repetition_penalty, g.truncate_prompt_tokens = 1.1, 100
    g.verbosity = pb.GENERATION_CONFIG_VERBOSITY_LOW
    g.stop_sequences.extend(["end", "stop"])
    g.logit_bias[5] = 1.5
    g.reasoning.mode, g.reasoning.budget_tokens = pb.REASONING_CONFIG_MODE_ENABLED, 64
    request.tools.add(name="look", description="d", parameters_json_schema='{"type": "object"}', strict=True)
    request.tool_choice.mode = pb.TOOL_CHOICE_MODE_AUTO
    request.tool_choice.allowed_tools.append("look")
    request.output_format.json_schema.name = "answer"
    request.output_format.json_schema.schema_json = '{"type": "object"}'
    r = request.routing
    r.policy, r.priority, r.max_attempts, r.session_id = "weighted", 5, 2, "s"
    r.first_token_timeout.seconds, r.max_queue_time.nanos = 5, 10**8
    r.fallbacks.add(model="chat")
    r.allow_backends.append("only")
    request.stream_options.include_usage_updates = True
    request.stream_options.coalesce.nanos = 10**6
    request.cache.mode, request.cache.ttl.seconds = pb.CACHE_CONTROL_MODE_READ_WRITE, 5
    request.end_user_id = "user"
    request.labels["team"] = "search"
    request.provider_metadata["k"] = "v"
    request.provider_options["openai"].body_json = '{"x": 1}'
    return request


def talkative():
    """A conversation with every kind of part."""
    request = plain()
    said = request.conversation.messages.add(role=pb.ROLE_ASSISTANT)
    said.parts.add(text="let me look", signature=b"\x01\x02", origin="openai/m")
    said.parts.add().reasoning.text = "hm"
    call = said.parts.add().tool_call
    call.id, call.name, call.arguments_json = "c1", "look", "{}"
    result = request.conversation.messages.add(role=pb.ROLE_TOOL).parts.add().tool_result
    result.tool_call_id, result.is_error = "c1", True
    result.parts.add(text="nothing")
    shown = request.conversation.messages.add(role=pb.ROLE_USER)
    shown.parts.add(text="see", cache_breakpoint=True).citations.add(
        start=1, end=2, url="https://example.com"
    )
    request.conversation.messages.add(role=pb.ROLE_ASSISTANT).parts.add().refusal = "no"
    request.conversation.messages.add(role=pb.ROLE_USER).parts.add(text="why?")
    return request


def others():
    prompt, tokens = pb.GenerateRequest(model="chat", prompt="go on"), pb.GenerateRequest(model="chat")
    tokens.token_ids.ids.extend(range(20))
    return prompt, tokens


SEEDS = [request.SerializeToString() for request in (plain(), rich(), talkative(), *others())]


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def tagged(number, kind, payload):
    return varint(number << 3 | kind) + (varint(len(payload)) + payload if kind == 2 else payload)


def flip(data, rng):
    """A few bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_short(data, rng):
    return data[: rng.randrange(len(data))]


def splice(data, rng):
    """Two requests into one."""
    donor = rng.choice(SEEDS)
    return data[: rng.randrange(len(data))] + donor[rng.randrange(len(donor)) :]


def deep(data, rng):
    """Tool results within tool results, two hundred deep or so."""
    inner = tagged(1, 2, b"deep")
    for _ in range(rng.choice((20, 60, 99, 101, 200, 1000))):
        inner = tagged(4, 2, tagged(3, 2, inner))
    return data + tagged(2, 2, tagged(1, 2, tagged(2, 2, inner)))


def bad_text(data, rng):
    """Bytes that are no UTF-8, in a string field."""
    junk = rng.choice((b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a\x80b", b"\xf5\x80\x80\x80"))
    return data + tagged(rng.choice((1, 3, 12, 15)), 2, junk)


def odd_text(data, rng):
    """Text that is allowed, and strange: controls, marks, very long."""
    text = rng.choice(
        ("\0", "\r\n\r\n", "\u202e", "\ufeff", "a" * 5000, "\U0001f600" * 300, "${x}", "../..", "%s")
    )
    return data + tagged(rng.choice((1, 3, 12, 15)), 2, text.encode())


def odd_double(data, rng):
    """NaN, infinities, huge and negative numbers in a generation field."""
    value = rng.choice((float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, -0.0, -1.0))
    field = tagged(rng.choice((2, 3, 9, 10, 13, 14)), 1, struct.pack("<d", value))
    return data + tagged(4, 2, field)


def odd_integer(data, rng):
    """Negative, huge and overlong integers, unknown enums."""
    value = rng.choice((-1, -(2**31), -(2**63), 2**31, 2**32, 2**63 - 1, 2**64 - 1, 99, 1000, 0))
    outer, inner = rng.choice(
        (
            (4, 1), (4, 6), (4, 7), (4, 8), (4, 11), (4, 12), (4, 15), (9, 2), (9, 7), (9, 8), (9, 13), (7, 1),
            (11, 1),
        )
    )  # fmt: skip
    return data + tagged(outer, 2, tagged(inner, 0, varint(value)))


def odd_duration(data, rng):
    """Durations out of every range."""
    seconds = rng.choice((-1, 2**62, -(2**62), 315_576_000_001, 0))
    nanos = rng.choice((-1, 2**31 - 1, 10**9, 0))
    duration = tagged(1, 0, varint(seconds)) + tagged(2, 0, varint(nanos))
    outer, inner = rng.choice(((9, 9), (9, 10), (10, 2), (11, 2)))
    return data + tagged(outer, 2, tagged(inner, 2, duration))


def wrong_type(data, rng):
    """A known field in another wire type, or an unknown field."""
    kind = rng.choice((0, 1, 2, 5, 3, 4, 6, 7))
    payload = {0: varint(rng.getrandbits(64)), 1: rng.randbytes(8), 5: rng.randbytes(4)}.get(
        kind, rng.randbytes(6)
    )
    return data + tagged(rng.choice((1, 2, 4, 5, 9, 13, 14, 200, 2**28)), kind, payload)


def noise(data, rng):
    return rng.randbytes(rng.randrange(1, 200))


def many(data, rng):
    """A repeated field over its bound."""
    number, item = rng.choice(((5, tagged(1, 2, b"look")), (13, tagged(1, 2, b"k") + tagged(2, 2, b"v"))))
    labels = b"".join(tagged(13, 2, tagged(1, 2, b"k%d" % n) + tagged(2, 2, b"v")) for n in range(40))
    return data + (labels if rng.random() < 0.5 else tagged(number, 2, item) * 300)


MUTATIONS = (
    flip, flip, cut_short, splice, deep, bad_text, odd_text, odd_double, odd_integer, odd_duration, wrong_type,
    noise, many,
)  # fmt: skip


def mutants(count):
    """Reproducible; some are mutated twice."""
    rng = random.Random(SEED)
    for number in range(count):
        data = rng.choice(SEEDS)
        for _ in range(rng.choice((1, 1, 1, 2))):
            data = rng.choice(MUTATIONS)(data, rng) or b"\0"
        yield number, data


class Prober:
    """Sends mutants and judges the answers."""

    def __init__(self, channel):
        self._unary = channel.unary_unary(GENERATE)
        self._stream = channel.unary_stream(STREAM)
        self.seen = Counter()
        self.wrong = []

    async def send(self, number, data):
        try:
            if number % 4:
                pb.GenerateResponse.FromString(await self._unary(data, timeout=20))
            else:
                async for frame in self._stream(data, timeout=20):
                    pb.StreamGenerateResponse.FromString(frame)
            self.seen["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self._judge(number, data, error)

    def _judge(self, number, data, error):
        packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        if error.code() in NEVER or packed is None:
            self.wrong.append((number, data.hex()[:400], error.code(), error.details()))
            return
        told = taken_apart(error)
        self.seen[told.info.reason] += 1
        if error.code() in REFUSED and told.info.domain != "pointsman":
            self.wrong.append((number, data.hex()[:400], error.code(), error.details()))


async def test_mutated_requests_are_answered_or_refused(start):
    """Never INTERNAL or UNKNOWN; each failure has its reason, and what is valid is served."""
    app = await start({**SIMULATOR, "telemetry": {"access_log": False}, "deadlines": {"unary_default_s": 10}})
    prober = Prober(await app.channel())
    queue = iter(mutants(CASES))

    async def worker():
        for number, data in queue:
            await prober.send(number, data)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    assert not prober.wrong, prober.wrong[:5]
    assert sum(prober.seen.values()) == CASES
    assert prober.seen["OK"] > CASES / 50
    assert prober.seen["INVALID_REQUEST"] > CASES / 10
    print(dict(prober.seen))  # noqa: T201 - read in long runs.
    await app.settled_calls()
    assert not app.troubles()


async def test_the_seeds_are_served(start):
    """What the mutants come from is valid, but for what the simulator lacks."""
    app = await start(SIMULATOR)
    unary = (await app.channel()).unary_unary(GENERATE)
    for seed in SEEDS:
        assert pb.GenerateResponse.FromString(await unary(seed)).candidates


def test_mutants_are_the_same_every_time():
    """A failure can be repeated by its number."""
    assert list(mutants(50)) == list(mutants(50))
    assert any(_undecodable(data) for _, data in mutants(50))


def _undecodable(data):
    try:
        pb.GenerateRequest.FromString(data)
    except DecodeError:
        return True
    return False
