"""What the transport's tests ask of it."""

from pointsman_server.errors import ServiceError
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from pointsman_server.transport.contract import HTTPRequest, HTTPResponse
from tests.fakes.provider import Provider

KEY = "sk-very-secret"
PROMPT = "a prompt that nobody may see"
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}


def post(provider: Provider | str, *, body: bytes = PROMPT.encode(), **headers: str) -> HTTPRequest:
    """A request to the provider."""
    url = provider if isinstance(provider, str) else provider.url
    return HTTPRequest("POST", f"{url}/v1/chat", {**HEADERS, **headers}, body)


async def read_all(response: HTTPResponse) -> bytes:
    """The whole body."""
    pieces = []
    while data := await response.read():
        pieces.append(data)
    return b"".join(pieces)


async def ask(transport: AiohttpTransport, request: HTTPRequest) -> tuple[int, bytes]:
    """Status and body."""
    async with transport.open(request) as response:
        return response.status, await read_all(response)


def texts(error: BaseException) -> str:
    """All that an exception and what it hangs on would say."""
    seen: list[BaseException] = []
    open_ends: list[BaseException | None] = [error]
    while open_ends:
        link = open_ends.pop()
        if link is not None and link not in seen:
            seen.append(link)
            open_ends += [link.__cause__, link.__context__]
    return " ".join(f"{link} {link!r} {vars(link)}" for link in seen)


def check_discreet(error: ServiceError) -> None:
    """Neither key nor prompt is anywhere in the chain, and no address is in what the caller sees."""
    assert KEY not in texts(error)
    assert PROMPT not in texts(error)
    assert "127.0.0.1" not in str(error)
    assert "localhost" not in str(error)
