"""What both clients are made of: one constructor, one way to build requests and to prepare calls. It makes no call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Generic, TypeVar

from pointsman import v1
from pointsman.answer import Model
from pointsman.call import ApiKey, Caller, Metadata, check_key_may_travel
from pointsman.channel import Connection, LoadBalancing, Options, TlsConfig, tls_config

Channel = TypeVar("Channel")

DEFAULT_TARGET = "localhost:50051"
PAGE_SIZE = 100


class ClientCore(ABC, Generic[Channel]):
    """A channel, and what goes for every call that is made through it."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        api_key: ApiKey | None = None,
        tls: bool | TlsConfig | None = None,
        timeout_s: float | None = 60.0,
        stream_timeout_s: float | None = 300.0,
        metadata: Metadata = (),
        wait_for_ready: bool = False,
        retries: int = 4,
        load_balancing: LoadBalancing = "round_robin",
        keepalive_s: float = 60.0,
        options: Options = (),
        allow_insecure_key: bool = False,
        channel: Channel | None = None,
    ) -> None:
        """Nothing is sent before the first call.

        Args:
            target: where the server is, as gRPC names it: `host:port`, `dns:///host:port`, `unix:/path`.
            api_key: the key, a Path to a file that holds it, or a function that gives it; the last two are asked for
                each call, so that a renewed key is used at once.
            tls: True for TLS with the system's authorities, a TlsConfig for others, and for client certificates.
            timeout_s: deadline of calls that do not name one; None waits for ever.
            stream_timeout_s: the same for streams, from their beginning to their end.
            metadata: sent with every call.
            wait_for_ready: wait, within the deadline, for a server that cannot be reached yet, instead of failing.
            retries: how often the gRPC core makes a call anew that was not reached, was shed, or met a draining server.
                0 to 4. It ends with the first byte of an answer, and never repeats what the server has retried itself.
            load_balancing: how calls spread over the addresses of the target.
            keepalive_s: pause between pings on a quiet connection.
            options: further options of the gRPC core; they win over ours.
            allow_insecure_key: send the key over an unencrypted connection that leaves the machine.
            channel: a channel of the caller's own; all that concerns the connection, closing too, is then the caller's.
        """
        self._caller = Caller(
            target=target,
            api_key=api_key,
            timeout_s=timeout_s,
            stream_timeout_s=stream_timeout_s,
            metadata=tuple(metadata.items() if isinstance(metadata, Mapping) else metadata),
            wait_for_ready=wait_for_ready,
        )
        self._connection = Connection(target, tls_config(tls), load_balancing, keepalive_s, retries, options)
        self._given = channel
        if channel is None:
            secure = self._connection.tls is not None
            check_key_may_travel(api_key, target, secure=secure, allowed=allow_insecure_key)

    @abstractmethod
    def _open(self, connection: Connection) -> Channel:
        """A new channel."""

    @cached_property
    def channel(self) -> Channel:
        """The channel, for generated stubs that are to share it."""
        return self._open(self._connection) if self._given is None else self._given

    def __repr__(self) -> str:
        return f"{type(self).__name__}(target={self._caller.target!r}, tls={self._connection.tls!r})"


def page_request(token: str, *, full: bool) -> v1.ListModelsRequest:
    """Asks for one page of models."""
    return v1.ListModelsRequest(page_size=PAGE_SIZE, page_token=token, view=view(full=full))


def view(*, full: bool) -> v1.ModelView:
    """How much of a model is asked for."""
    return v1.MODEL_VIEW_FULL if full else v1.MODEL_VIEW_BASIC


def to_models(found: Iterable[v1.Model]) -> list[Model]:
    """The models of a page."""
    return [Model(model) for model in found]
