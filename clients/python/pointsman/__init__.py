"""Pointsman's client: `Client` and `AsyncClient` ask models; failures are the exceptions below.

Names are loaded when they are first asked for: whoever needs only `pointsman.v1` loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman.aio import AsyncBatch, AsyncClient, AsyncStream
    from pointsman.answer import Candidate, Cost, FinishReason, Generation, Model, ToolCall, Usage
    from pointsman.batch import BatchResult, BatchSummary
    from pointsman.channel import TlsConfig
    from pointsman.client import Batch, Client, Stream
    from pointsman.conversation import assistant, audio, developer, file, image, system, tool_result, user
    from pointsman.embed import Embeddings, TokenCount
    from pointsman.errors import (
        Cancelled,
        Conflict,
        ConnectionFailed,
        ContentBlocked,
        ContextLengthExceeded,
        DeadlineExceeded,
        FieldViolation,
        InvalidRequest,
        ModelNotFound,
        NoEligibleBackend,
        Overloaded,
        PermissionDenied,
        PointsmanError,
        QuotaExhausted,
        RateLimited,
        ResourceExhausted,
        ServerError,
        StreamInterrupted,
        StreamTruncated,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        UpstreamError,
    )
    from pointsman.stream import StreamEvent
    from pointsman.version import __version__

__all__ = [
    "AsyncBatch",
    "AsyncClient",
    "AsyncStream",
    "Batch",
    "BatchResult",
    "BatchSummary",
    "Cancelled",
    "Candidate",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "ContentBlocked",
    "ContextLengthExceeded",
    "Cost",
    "DeadlineExceeded",
    "Embeddings",
    "FieldViolation",
    "FinishReason",
    "Generation",
    "InvalidRequest",
    "Model",
    "ModelNotFound",
    "NoEligibleBackend",
    "Overloaded",
    "PermissionDenied",
    "PointsmanError",
    "QuotaExhausted",
    "RateLimited",
    "ResourceExhausted",
    "ServerError",
    "Stream",
    "StreamEvent",
    "StreamInterrupted",
    "StreamTruncated",
    "TlsConfig",
    "TokenCount",
    "ToolCall",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UpstreamError",
    "Usage",
    "__version__",
    "assistant",
    "audio",
    "developer",
    "file",
    "image",
    "system",
    "tool_result",
    "user",
]

_HOMES = {
    "pointsman.aio": ("AsyncBatch", "AsyncClient", "AsyncStream"),
    "pointsman.answer": ("Candidate", "Cost", "FinishReason", "Generation", "Model", "ToolCall", "Usage"),
    "pointsman.batch": ("BatchResult", "BatchSummary"),
    "pointsman.channel": ("TlsConfig",),
    "pointsman.client": ("Batch", "Client", "Stream"),
    "pointsman.conversation": (
        "assistant",
        "audio",
        "developer",
        "file",
        "image",
        "system",
        "tool_result",
        "user",
    ),
    "pointsman.embed": ("Embeddings", "TokenCount"),
    "pointsman.stream": ("StreamEvent",),
    "pointsman.version": ("__version__",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'pointsman' has no attribute {name!r}")
    # What is not listed above is an exception.
    value = getattr(import_module(_HOME_OF.get(name, "pointsman.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
