"""What becomes of the options of a call on its way to a provider."""

from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import hang_after_headers
from tests.fakes.running_app import backend_at, model_over, one_model
from tests.system.asking import BOTH, ask, failure


@BOTH
async def test_an_option_that_the_backend_lacks_is_a_warning(start, provider, stream):
    """The call goes on without it, and says so."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider, drop_params=["generation.seed"]))
    answer = await ask(await app.client(), stream=stream, seed=7, temperature=0.2)
    [warning] = answer.warnings
    assert (warning.code, warning.field) == ("UNSUPPORTED_PARAMETER", "generation.seed")
    sent = provider.requests[0].json()
    assert "seed" not in sent
    assert sent["temperature"] == 0.2


@BOTH
async def test_strict_calls_go_where_everything_is_honoured(start, provider, other, stream):
    """A target that lacks an option is left out; where all lack it, the call is refused with the field."""
    other.handler = chat.as_asked
    settings = {
        "backends": {
            "poor": backend_at(provider, drop_params=["generation.seed", "generation.top_k"]),
            "rich": backend_at(other, drop_params=["generation.top_k"]),
        },
        "models": {"chat": model_over("poor", "rich")},
    }
    app = await start(settings)
    client = await app.client()
    strict = {"strict_params": True}
    answer = await ask(client, stream=stream, seed=7, routing=strict)
    assert answer.backend == "rich"
    assert not answer.warnings
    end = await failure(client, stream=stream, top_k=7, routing=strict)
    assert end.reason == "UNSUPPORTED_PARAMETER"
    assert [violation.field for violation in end.error.field_violations] == ["generation.top_k"]
    assert not provider.requests


@BOTH
async def test_hints_that_are_not_active_yet_are_warned_of(start, provider, stream):
    """objective, session_id and the cache are accepted and said to do nothing."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    answer = await ask(
        await app.client(), stream=stream, routing={"objective": "cost", "session_id": "s"},
        cache={"mode": "read_write", "ttl_s": 5, "namespace": "n"},
    )  # fmt: skip
    fields = ["routing.objective", "routing.session_id", "cache.mode", "cache.ttl", "cache.namespace"]
    assert [warning.field for warning in answer.warnings] == fields
    assert {warning.code for warning in answer.warnings} == {"FIELD_NOT_ACTIVE"}


@BOTH
async def test_defaults_fill_what_a_call_leaves_open(start, provider, stream):
    """The model's settings are used where the call has none, and only there."""
    provider.handler = chat.as_asked
    settings = one_model(provider)
    settings["models"]["chat"]["defaults"] = {
        "max_output_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop_sequences": ["end"],
    }  # fmt: skip
    app = await start(settings)
    await ask(await app.client(), stream=stream, temperature=0.0)
    sent = provider.requests[0].json()
    assert (sent["temperature"], sent["top_p"], sent["stop"]) == (0.0, 0.9, ["end"])
    assert 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


@BOTH
async def test_bounds_are_the_models_own(start, provider, stream):
    """Beyond them is INVALID_REQUEST, with every field named at once."""
    provider.handler = chat.as_asked
    settings = one_model(provider)
    settings["models"]["chat"]["bounds"] = {
        "max_output_tokens": 10, "temperature_max": 1, "max_stop_sequences": 1,
    }  # fmt: skip
    app = await start(settings)
    client = await app.client()
    end = await failure(client, stream=stream, max_output_tokens=11, temperature=1.5, stop=["a", "b"])
    assert end.reason == "INVALID_REQUEST"
    assert sorted(violation.field for violation in end.error.field_violations) == [
        "generation.max_output_tokens", "generation.stop_sequences", "generation.temperature",
    ]  # fmt: skip
    assert not provider.requests
    await ask(client, stream=stream, max_output_tokens=10, temperature=1.0, stop=["a"])


@BOTH
async def test_aliases_lead_to_the_model(start, provider, stream):
    """The answer bears the model's own name, the provider is asked by its name there."""
    provider.handler = chat.as_asked
    settings = one_model(provider)
    settings["models"]["chat"] = {
        "targets": [{"backend": "only", "model": "vendor/chat-1"}], "aliases": ["small", "cheap"],
    }  # fmt: skip
    app = await start(settings)
    answer = await ask(await app.client(), stream=stream, model="cheap")
    assert answer.model == "chat"
    assert provider.requests[0].json()["model"] == "vendor/chat-1"
    assert answer.routing.upstream_model == "vendor/chat-1"


@BOTH
async def test_configured_fallbacks_serve_when_nobody_else_can(start, provider, other, stream):
    """Another model answers, which is told; no_fallback forbids it."""
    provider.script(chat.error_reply(403))
    other.handler = chat.as_asked
    settings = {
        "backends": {"main": backend_at(provider), "spare": backend_at(other)},
        "models": {"chat": model_over("main", fallbacks=["plain"]), "plain": model_over("spare")},
    }
    app = await start(settings)
    client = await app.client()
    answer = await ask(client, stream=stream)
    assert answer.routing.fallback_used
    assert (answer.backend, answer.routing.upstream_model) == ("spare", "plain")
    end = await failure(client, stream=stream, routing={"no_fallback": True})
    assert end.reason == "UPSTREAM_PERMISSION_DENIED"


@BOTH
async def test_callers_name_fallbacks_of_their_own(start, provider, other, stream):
    """A model or a backend; one that is not there is refused before anybody is asked."""
    provider.script(chat.error_reply(403))
    other.handler = chat.as_asked
    settings = {
        "backends": {"main": backend_at(provider), "spare": backend_at(other)},
        "models": {"chat": model_over("main"), "plain": model_over("spare")},
    }
    app = await start(settings)
    client = await app.client()
    for fallback in ({"model": "plain"}, {"backend": "spare"}):
        answer = await ask(client, stream=stream, routing={"fallbacks": [fallback]})
        assert answer.backend == "spare"
    asked = len(provider.requests)
    end = await failure(client, stream=stream, routing={"fallbacks": [{"model": "nope"}]})
    assert end.reason == "INVALID_REQUEST"
    assert end.error.field_violations[0].field == "routing.fallbacks[0].model"
    assert len(provider.requests) == asked


@BOTH
async def test_allow_and_deny_choose_among_backends(start, provider, other, stream):
    """Only what is allowed and not denied is asked."""
    provider.handler = other.handler = chat.as_asked
    settings = {
        "backends": {"first": backend_at(provider), "second": backend_at(other)},
        "models": {"chat": model_over("first", "second")},
    }
    app = await start(settings)
    client = await app.client()
    assert (await ask(client, stream=stream, routing={"allow_backends": ["second"]})).backend == "second"
    assert (await ask(client, stream=stream, routing={"deny_backends": ["first"]})).backend == "second"
    end = await failure(
        client, stream=stream, routing={"allow_backends": ["first"], "deny_backends": ["first"]}
    )
    assert end.reason == "NO_ELIGIBLE_BACKEND"


@BOTH
async def test_what_changes_the_meaning_is_refused_until_it_is_there(start, provider, stream):
    """idempotency_key, prefix_cache_salt and on_interrupt are never dropped in silence."""
    app = await start(one_model(provider))
    client = await app.client()
    for params, path in (
        ({"idempotency_key": "k"}, "idempotency_key"),
        ({"cache": {"prefix_cache_salt": "salt"}}, "cache.prefix_cache_salt"),
        ({"routing": {"on_interrupt": "continue"}}, "routing.on_interrupt"),
    ):
        end = await failure(client, stream=stream, **params)
        assert (end.reason, end.error.field_violations[0].field) == ("UNSUPPORTED_PARAMETER", path)
    end = await failure(client, stream=stream, model="")
    assert (end.reason, end.error.field_violations[0].field) == ("INVALID_REQUEST", "model")
    assert not provider.requests


async def test_max_attempts_and_first_token_timeout_are_the_callers(start, provider, other):
    """A caller may be hastier, which does not count against the backend."""
    provider.handler = lambda _: hang_after_headers()
    other.handler = chat.as_asked
    settings = {
        "backends": {"slow": backend_at(provider), "quick": backend_at(other)},
        "models": {"chat": model_over("slow", "quick")},
    }
    app = await start(settings)
    client = await app.client()
    for _ in range(6):
        answer = await ask(client, stream=True, routing={"first_token_timeout_s": 0.05})
        assert answer.backend == "quick"
    end = await failure(client, stream=True, routing={"first_token_timeout_s": 0.05, "max_attempts": 1})
    assert end.reason == "UPSTREAM_TIMEOUT"
    assert app.metric("pointsman_backend_ejections_total", backend="slow") == 0


async def test_each_attempt_has_an_id_of_its_own(start, provider):
    """The upstream sees the request id with nonce and number; the caller may replace it."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    client = await app.client()
    await ask(client, stream=False, request_id="mine")
    await ask(client, stream=False, request_id="mine")
    headers = {"openai": {"headers": {"X-Request-Id": "my-own"}}}
    await ask(client, stream=False, request_id="mine", provider_options=headers)
    first, second, third = (request.headers["x-request-id"] for request in provider.requests)
    assert first.startswith("mine-")
    assert first.endswith(".1")
    assert first != second
    assert third == "my-own"


async def test_candidates_and_usage_are_told(start, provider):
    """The whole of the response: identity, time, routing and timings."""
    provider.script(chat.answer())
    app = await start(one_model(provider))
    response = await (await app.inference()).Generate(
        pb.GenerateRequest(model="chat", prompt="hello"), metadata=(("x-request-id", "mine"),)
    )
    assert response.response_id == "chatcmpl-1"
    assert response.create_time.seconds == 1_700_000_000
    routing = response.routing
    assert (routing.request_id, routing.backend, routing.provider) == ("mine", "only", "openai_compatible")
    assert routing.timings.HasField("total")
    assert routing.timings.HasField("connect")
    assert routing.attempts[0].http_status == 200
