"""What a caller can ask for x which provider takes it, as the page `docs/capabilities.md`.

An `Ask` is a call that asks for one thing. What a cell says is what `support.unsupported` says of that call and the
provider's profile, which is also what decides over warnings and `strict_params`; nothing is written down twice.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pointsman_server.config import schema
from pointsman_server.domain import (
    AnyCall,
    CacheControl,
    Call,
    Choice,
    Citation,
    Content,
    Conversation,
    EmbedCall,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Media,
    MediaDetail,
    MediaKind,
    Message,
    Part,
    Prompt,
    ProviderOptions,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    ReasoningSummary,
    Refusal,
    Regex,
    Role,
    RoutingOptions,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Verbosity,
)
from pointsman_server.upstreams.registry import PROVIDERS, profile_of
from pointsman_server.upstreams.translation.profile import Profile, UnaryUpstream
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, origin, unsupported

MODEL = "model"
"""The target's, as signatures name it."""
_WIDEST = 96
"""Characters of a table's columns, so that it can be read without scrolling; more go into a second one."""


class Verdict(enum.Enum):
    """What becomes of what a caller asks for, and its sign in the tables."""

    TAKEN = "✓"
    DROPPED = "-"
    """Left out, with a warning."""
    REFUSED = "✗"
    """The provider is not asked at all."""


Asking = Callable[[Profile], AnyCall]
"""Some things can be asked only in a provider's own words: its parts, its signatures, its addresses."""


def _no_words(profile: Profile) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One row: a call that asks for one thing, and the same call without it."""

    name: str
    """In the contract's words."""
    call: Asking
    plain: Asking
    fields: tuple[str, ...] = ("",)
    """Beginnings of the fields whose warnings count."""
    words: Callable[[Profile], str] = _no_words
    """What a cell says in place of the sign, where the thing is taken only so far."""
    instead: Callable[[Profile], tuple[str, AnyCall] | None] = lambda _: None
    """Where something else is sent in its place: what the cell says, and the call that is the same."""
    against: Asking | None = None
    """The call that it must differ from where it is taken, where `plain` asks for the same by saying nothing."""

    def verdict(self, profile: Profile) -> Verdict:
        """What becomes of it."""
        found = [
            warning
            for warning in unsupported(self.call(profile), profile, MODEL)
            if warning.field.startswith(self.fields)
        ]
        if any(warning.code in INELIGIBLE_CODES for warning in found):
            return Verdict.REFUSED
        return Verdict.DROPPED if found else Verdict.TAKEN

    def cell(self, profile: Profile) -> str:
        """What the table says."""
        if (instead := self.instead(profile)) is not None:
            return instead[0]
        verdict = self.verdict(profile)
        return (self.words(profile) if verdict is Verdict.TAKEN else "") or verdict.value


@dataclass(frozen=True, slots=True)
class Fact:
    """One row that no call asks for."""

    name: str
    cell: Callable[[Profile], str]


@dataclass(frozen=True, slots=True)
class Theme:
    """One table."""

    title: str
    text: str
    rows: Sequence[Ask | Fact]
    embeddings: bool = False
    """Of those that make vectors; else of those that answer questions."""


# --- calls ---

_TOOLS = (Tool("get_weather", "Tells the weather", '{"type":"object"}'), Tool("get_time"))
_CALLED = Message(Role.ASSISTANT, (Part(ToolCall("call_1", "get_weather", '{"city":"Oslo"}')),))
_GO_ON = Message(Role.USER, (Part(Text("Go on.")),))
_PNG = b"\x89PNG\r\n\x1a\n"


def _said(role: Role, *contents: Content, name: str = "") -> Message:
    return Message(role, tuple(Part(content) for content in contents), name)


_HELLO = _said(Role.USER, Text("Hello"))


def _talk(*messages: Message, **fields: Any) -> Call:  # noqa: ANN401 -- the fields of Call
    return Call("m", Conversation(messages or (_HELLO,)), **fields)


def _plain(_: Profile) -> AnyCall:
    return _talk()


def _asks(name: str, call: Call, plain: Call | None = None, *fields: str, **more: Any) -> Ask:  # noqa: ANN401
    """A row whose calls are the same for all providers."""
    bare = _talk() if plain is None else plain
    return Ask(name, lambda _: call, lambda _: bare, fields or ("",), **more)


def _generation(name: str, value: object) -> Ask:
    call = _talk(generation=Generation(**{name: value}))  # type: ignore[arg-type]
    return _asks(f"`{name}`", call)


def _stop(count: int) -> Call:
    return _talk(generation=Generation(stop_sequences=tuple(f"stop-{number}" for number in range(count))))


def stop_ask(count: int) -> Ask:
    """The row of stop sequences, asking for so many."""
    return _asks("`stop_sequences`", _stop(count), words=_stop_words)


def _stop_words(profile: Profile) -> str:
    return f"up to {profile.max_stop_sequences}" if profile.max_stop_sequences else ""


def _reasoning(name: str, **config: Any) -> Ask:  # noqa: ANN401 -- the fields of ReasoningConfig
    call = _talk(generation=Generation(reasoning=ReasoningConfig(**config)))
    return _asks(f"`{name}`", call)


def _included(*, include: bool | None) -> Call:
    return _talk(generation=Generation(reasoning=ReasoningConfig(ReasoningMode.ENABLED, include=include)))


def _choice(name: str, choice: ToolChoice, plain: ToolChoice | None = None) -> Ask:
    call, without = _talk(tools=_TOOLS, tool_choice=choice), _talk(tools=_TOOLS, tool_choice=plain)
    return _asks(name, call, without, "tool")


def _format(name: str, wanted: Any) -> Ask:  # noqa: ANN401 -- any output format
    return _asks(f"`{name}`", _talk(output_format=wanted))


# --- conversations ---


def _developer(profile: Profile) -> tuple[str, AnyCall] | None:
    same = _talk(_said(Role.SYSTEM, Text("Be brief")), _HELLO)
    return None if profile.developer_role else ("as `SYSTEM`", same)


def _names(profile: Profile) -> str:
    return "by template" if profile.chat_templates else ""


def _prompt(profile: Profile) -> tuple[str, AnyCall] | None:
    return None if profile.prompts else ("as a message", _talk(_said(Role.USER, Text("Once"))))


def _refusal(profile: Profile) -> tuple[str, AnyCall] | None:
    same = _talk(_HELLO, _said(Role.ASSISTANT, Text("I will not.")), _GO_ON)
    return None if profile.refusal_history else ("as text", same)


def _shown(*parts: Part) -> Call:
    """In the history, with a text beside it."""
    return _talk(_HELLO, Message(Role.ASSISTANT, (*parts, Part(Text("Well.")))), _GO_ON)


def _signed(profile: Profile) -> AnyCall:
    return _shown(Part(Reasoning("I think."), b"c2lnbmVk", origin(profile, MODEL)))


def _own_part(profile: Profile) -> AnyCall:
    return _shown(Part(ProviderPart(profile.dialect, '{"type":"x_own"}')))


def _result(*contents: Content, is_error: bool = False) -> Call:
    parts = tuple(Part(content) for content in contents)
    result = _said(Role.TOOL, ToolResult("call_1", "get_weather", parts, is_error))
    return _talk(_HELLO, _CALLED, result, tools=_TOOLS)


_MESSAGES = (
    _asks("`SYSTEM`", _talk(_said(Role.SYSTEM, Text("Be brief")), _HELLO)),
    _asks("`DEVELOPER`", _talk(_said(Role.DEVELOPER, Text("Be brief")), _HELLO), instead=_developer),
    _asks("`ASSISTANT`, speaking last", _talk(_HELLO, _said(Role.ASSISTANT, Text("Well,")))),
    _asks("`name` of who speaks", _talk(_said(Role.USER, Text("Hello"), name="Ada")), words=_names),
    _asks("`prompt`", Call("m", Prompt("Once")), Call("m", Prompt("Never")), instead=_prompt),
    _asks("`token_ids`", Call("m", TokenIds((1, 2))), Call("m", TokenIds((3,)))),
)
_HISTORY = (
    _asks("`tool_call` and `tool_result`", _result(Text("Rain")), _talk(_HELLO, tools=_TOOLS), "conversation"),
    _asks(
        "`tool_result.is_error`", _result(Text("Rain"), is_error=True), _result(Text("Rain")), "conversation"
    ),
    _asks("`reasoning`, unsigned", _shown(Part(Reasoning("I think."))), _shown()),
    Ask("`signature` of its own", _signed, lambda _: _shown(Part(Reasoning("I think."))), ("conversation",)),
    _asks("`refusal`", _talk(_HELLO, _said(Role.ASSISTANT, Refusal("I will not.")), _GO_ON),
          _talk(_HELLO, _GO_ON), instead=_refusal),
    _asks(
        "`citations`",
        _talk(_HELLO, Message(Role.ASSISTANT, (Part(Text("Well."), citations=(Citation(0, 4, "https://a.example/"),)),)),
              _GO_ON),
        _shown(),
    ),
    Ask("`provider_part` of its dialect", _own_part, lambda _: _shown()),
    _asks("`cache_breakpoint`", _talk(Message(Role.USER, (Part(Text("Hello"), cache_breakpoint=True),)))),
)  # fmt: skip


# --- media ---

_TYPES = {
    MediaKind.IMAGE: ("image/png", _PNG, "png"),
    MediaKind.AUDIO: ("audio/wav", b"RIFF", "wav"),
    MediaKind.FILE: ("application/pdf", b"%PDF-1.7", "pdf"),
}


def _looking(*media: Media) -> Call:
    return _talk(_said(Role.USER, Text("Look"), *media))


def _inline(kind: MediaKind, **more: Any) -> Media:  # noqa: ANN401 -- the fields of Media
    media_type, data, ending = _TYPES[kind]
    name = f"a.{ending}" if kind is MediaKind.FILE else ""
    return Media(kind, data=data, media_type=media_type, filename=name, **more)


def _by_url(kind: MediaKind) -> Asking:
    media_type, _, ending = _TYPES[kind]

    def call(profile: Profile) -> AnyCall:
        scheme = "https" if "https" in profile.media_schemes else min(profile.media_schemes)
        url = f"{scheme}://pictures.example.com/a.{ending}"
        return _looking(Media(kind, url=url, media_type=media_type))

    return call


def _schemes(profile: Profile) -> str:
    others = sorted(profile.media_schemes - {"http", "https"})
    if not others:
        return ""
    named = ", ".join(f"`{scheme}:`" for scheme in others)
    return f"✓, {named}" if "https" in profile.media_schemes else named


_MEDIA = (
    *(
        row
        for kind in MediaKind
        for row in (
            _asks(f"`{kind.value}` inline", _looking(_inline(kind)), _looking()),
            Ask(f"`{kind.value}` by URL", _by_url(kind), lambda _: _looking(), words=_schemes),
        )
    ),
    _asks(
        "`detail` of an image",
        _looking(_inline(MediaKind.IMAGE, detail=MediaDetail.LOW)),
        _looking(_inline(MediaKind.IMAGE)),
    ),
    _asks("an image in what the assistant said", _shown(Part(_inline(MediaKind.IMAGE))), _shown()),
    _asks(
        "an image in a `tool_result`",
        _result(Text("Rain"), _inline(MediaKind.IMAGE)),
        _result(Text("Rain")),
        "conversation",
    ),
)

# --- tools, sampling, reasoning, formats ---

_TOOL_ROWS = (
    _asks("`tools`", _talk(tools=_TOOLS)),
    _asks(
        "`tools.strict`",
        _talk(tools=tuple(replace(tool, strict=True) for tool in _TOOLS)),
        _talk(tools=_TOOLS),
    ),
    _choice("`mode: NONE`", ToolChoice(ToolChoiceMode.NONE)),
    _choice("`mode: REQUIRED`, any of several", ToolChoice(ToolChoiceMode.REQUIRED)),
    _choice(
        "`mode: REQUIRED`, one by its name",
        ToolChoice(ToolChoiceMode.REQUIRED, ("get_time",)),
        ToolChoice(None, ("get_time",)),
    ),
    _choice("`allowed_tools`", ToolChoice(None, ("get_time",))),
    _choice("`parallel_calls: false`", ToolChoice(parallel_calls=False)),
)
_SAMPLING = (
    _generation("max_output_tokens", 77),
    _generation("temperature", 0.25),
    _generation("top_p", 0.75),
    _generation("top_k", 7),
    _generation("min_p", 0.125),
    _generation("seed", 42),
    stop_ask(1),
    _generation("presence_penalty", 0.5),
    _generation("frequency_penalty", 0.5),
    _generation("repetition_penalty", 1.25),
    _generation("logit_bias", {7: 1.0}),
    _generation("n", 2),
    _asks("`top_logprobs: 0`", _talk(generation=Generation(top_logprobs=0))),
    _asks(
        "`top_logprobs: 2`",
        _talk(generation=Generation(top_logprobs=2)),
        _talk(generation=Generation(top_logprobs=0)),
    ),
    _generation("truncate_prompt_tokens", 100),
)
_REASONING = (
    *(_reasoning(f"mode: {mode.value}", mode=mode) for mode in ReasoningMode),
    *(_reasoning(f"effort: {effort.value}", effort=effort) for effort in ReasoningEffort),
    _reasoning("budget_tokens", budget_tokens=2048),
    Ask(
        "`include: true`",
        lambda _: _included(include=True),
        lambda _: _included(include=None),
        ("generation.reasoning.include",),
        against=lambda _: _included(include=False),
    ),
    Ask(
        "`include: false`",
        lambda _: _included(include=False),
        lambda _: _included(include=None),
        ("generation.reasoning.include",),
        against=lambda _: _included(include=True),
    ),
    _reasoning("summary", summary=ReasoningSummary.CONCISE),
)
_FORMATS = (
    _format("json_object", JsonObject()),
    _format("json_schema", JsonSchema("answer", '{"type":"object","properties":{"a":{"type":"string"}}}')),
    _format("regex", Regex("[a-z]+")),
    _format("grammar", Grammar('root ::= "yes"')),
    _format("choice", Choice(("yes", "no"))),
    _asks("`generation.verbosity`", _talk(generation=Generation(verbosity=Verbosity.LOW))),
)


def _own_options(profile: Profile) -> AnyCall:
    options = ProviderOptions('{"parameters":{"x_own":1}}')
    return _talk(provider_options={profile.dialect: options})


_REQUEST = (
    _asks("`end_user_id`", _talk(end_user_id="user-1")),
    _asks("`provider_metadata`", _talk(provider_metadata={"team": "search"})),
    _asks("`routing.priority`", _talk(routing=RoutingOptions(priority=-7))),
    _asks("`cache.prefix_cache_salt`", _talk(cache=CacheControl(prefix_cache_salt="salt"))),
    Ask("`provider_options.body_json`", _own_options, _plain),
    Fact("`StreamGenerate` in pieces", lambda profile: _sign(taken=profile.streaming)),
    Fact(
        "`Generate` by way of a stream",
        lambda profile: _sign(taken=profile.unary_upstream is UnaryUpstream.STREAM),
    ),
    Fact("`CountTokens` by its own count", lambda profile: _sign(taken=profile.counts_tokens)),
    Fact("[chat template](templates.md)", lambda profile: _sign(taken=profile.chat_templates)),
)


def _sign(*, taken: bool) -> str:
    return str((Verdict.TAKEN if taken else Verdict.DROPPED).value)


# --- embeddings ---


def _embed(*inputs: Text | TokenIds | Media, **fields: Any) -> EmbedCall:  # noqa: ANN401 -- the fields of EmbedCall
    return EmbedCall("m", inputs or (Text("Hello"),), **fields)


def _embeds(name: str, call: EmbedCall, **more: Any) -> Ask:  # noqa: ANN401 -- the fields of Ask
    return Ask(name, lambda _: call, lambda _: _embed(), **more)


def _truncated(profile: Profile) -> AnyCall:
    words = () if profile.embeddings is None else tuple(profile.embeddings.truncations)
    return _embed(truncate=words[0] if words else "END")


def _truncations(profile: Profile) -> str:
    words = () if profile.embeddings is None else profile.embeddings.truncations
    return _BREAK.join(f"`{word}`" for word in words)


def _most_inputs(profile: Profile) -> str:
    return Verdict.DROPPED.value if profile.embeddings is None else f"{profile.embeddings.max_inputs:,}"


def _image_url(_: Profile) -> AnyCall:
    return _embed(Media(MediaKind.IMAGE, url="https://pictures.example.com/a.png", media_type="image/png"))


_EMBEDDING = (
    _embeds("`inputs.text`", _embed(Text("Good day"))),
    _embeds("`inputs.token_ids`", _embed(TokenIds((1, 2)))),
    _embeds("`inputs.image` inline", _embed(_inline(MediaKind.IMAGE))),
    Ask("`inputs.image` by URL", _image_url, lambda _: _embed()),
    _embeds("`dimensions`", _embed(dimensions=256)),
    _embeds("`task`", _embed(task="query")),
    Ask("`truncate`", _truncated, lambda _: _embed(), words=_truncations),
    _embeds("`end_user_id`", _embed(end_user_id="user-1")),
    _embeds("`routing.priority`", _embed(routing=RoutingOptions(priority=-7))),
    Fact("inputs of one request", _most_inputs),
)

THEMES: Sequence[Theme] = (
    Theme(
        "Messages",
        "Roles, and what may stand in place of a conversation. Every provider takes what users, assistants and tools "
        "say.",
        _MESSAGES,
    ),
    Theme(
        "History",
        "What the parts of earlier turns may hold. A signature goes back only to the dialect and the model that made "
        "it.",
        _HISTORY,
    ),
    Theme(
        "Media",
        "Parts of what the user says, unless the row names another place. Media by URL are fetched by the provider: "
        "from addresses of the web, unless the cell says otherwise.",
        _MEDIA,
    ),
    Theme(
        "Tools",
        "`tools` and the fields of `tool_choice`. `mode: AUTO` is what happens anyway. Where a provider has no word "
        "for `NONE` or for `allowed_tools`, the other tools are not offered to it.",
        _TOOL_ROWS,
    ),
    Theme("Sampling and length", "Fields of `generation`.", _SAMPLING),
    Theme(
        "Reasoning",
        "Fields of `generation.reasoning`. What `include` leaves out is not passed on, even where a provider sends it.",
        _REASONING,
    ),
    Theme("Form of the output", "`output_format`, and how much is said.", _FORMATS),
    Theme(
        "The call as a whole",
        "`provider_options` are a provider's own fields, such as safety settings and built-in tools. Tokens that a "
        "provider does not count itself are [counted otherwise](token-counts.md). Without streaming, `StreamGenerate` "
        "is answered in one piece.",
        _REQUEST,
    ),
    Theme(
        "Embed",
        "Fields of `EmbedRequest`. Inputs above a request's bound go in several requests.",
        _EMBEDDING,
        embeddings=True,
    ),
)  # fmt: skip


# --- columns ---

_Column = tuple[list[str], list[str]]
"""The providers that share it, and its cells."""
_BREAK = "<br>"


def backends() -> Mapping[str, schema.Backend]:
    """What a column may be called -> a backend of it: every provider, and again where its configuration changes it."""
    found = {}
    for name, provider in PROVIDERS.items():
        written: dict[str, Mapping[str, Any]] = {"": {}, **provider.variants}
        first = next(iter(provider.versions), "")
        written |= {version: {"api_version": version} for version in provider.versions if version != first}
        for variant, keys in written.items():
            backend = {"provider": name, "url": "https://api.example.com", **keys}
            found[f"{name} {variant}".strip()] = schema.Backend.model_validate(backend)
    return found


def takes_part(theme: Theme, profile: Profile) -> bool:
    """Whether a provider is one that the theme is about."""
    return profile.embeddings is not None if theme.embeddings else profile.generates


def _columns(theme: Theme) -> list[_Column]:
    """Providers that are alike, and their cells. What is like its provider's first profile is not named again."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for label, backend in backends().items():
        profile = profile_of(backend)
        if takes_part(theme, profile):
            labels = alike.setdefault(tuple(row.cell(profile) for row in theme.rows), [])
            if backend.provider not in labels:
                labels.append(label)
    return [(labels, list(cells)) for cells, labels in alike.items()]


def _tables(columns: Sequence[_Column]) -> list[list[_Column]]:
    """The columns of each table: as few tables as can be, none much wider than another."""
    fewest = len(_split(columns, _WIDEST))
    width = sum(map(_width, columns)) // fewest
    while len(tables := _split(columns, width)) > fewest:
        width += 1
    return tables


def _split(columns: Iterable[_Column], widest: int) -> list[list[_Column]]:
    tables: list[list[_Column]] = [[]]
    used = 0
    for column in columns:
        if used + _width(column) > widest and tables[-1]:
            tables.append([])
            used = 0
        tables[-1].append(column)
        used += _width(column)
    return tables


def _width(column: _Column) -> int:
    """In characters, with its margins."""
    return max(len(line) for cell in itertools.chain(*column) for line in cell.split(_BREAK)) + 2


def _table(rows: Sequence[Ask | Fact], columns: Sequence[_Column]) -> Iterable[str]:
    heads = (_BREAK.join(f"`{label}`" for label in labels) for labels, _ in columns)
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{':-:|' * len(columns)}"
    for position, row in enumerate(rows):
        yield f"| {row.name} | {' | '.join(cells[position] for _, cells in columns)} |"
    yield ""


def _limits() -> Iterable[str]:
    """What is too long for a cell: per provider, the headers and the types of media."""
    yield "## Headers and types of media\n"
    yield (
        "Headers that callers may set in `provider_options.headers`, beside `x-request-id`; and where a provider takes "
        "only some types of media, how those begin.\n"
    )
    yield "| | headers | types of media |"
    yield "|---|---|---|"
    told = dict[str, str]()
    for name, backend in backends().items():
        profile = profile_of(backend)
        headers = sorted(profile.caller_headers - {"x-request-id"})
        types = sorted({beginning for taken in profile.media_types.values() for beginning in taken})
        row = f"| {_listed(headers)} | {_listed(types)} |"
        # A variant is named again only where it differs from its provider.
        if (headers or types) and told.get(backend.provider) != row:
            told[name] = row
            yield f"| `{name}` {row}"
    yield ""


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def page() -> Iterable[str]:
    """The tables, as lines of Markdown."""
    for theme in THEMES:
        yield f"## {theme.title}\n"
        if theme.text:
            yield f"{theme.text}\n"
        for columns in _tables(_columns(theme)):
            yield from _table(theme.rows, columns)
    yield from _limits()
