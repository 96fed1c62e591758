"""Codes of the errors of Alibaba's Model Studio (DashScope), of its own interface and of its compatible mode.

Source: https://www.alibabacloud.com/help/en/model-studio/error-code
"""

from __future__ import annotations

from collections.abc import Mapping

from pointsman_server.errors import Reason
from pointsman_server.transport.sse import SseEvent

_STATUS = b"HTTP_STATUS/"
ERROR_CODES: Mapping[str, Reason] = {
    "datainspectionfailed": Reason.CONTENT_BLOCKED,
    "data_inspection_failed": Reason.CONTENT_BLOCKED,
    "internalerror.algo.datainspectionfailed": Reason.CONTENT_BLOCKED,
    "arrearage": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "allocationquota": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "commoditynotpurchased": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "prepaidbilloverdue": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "postpaidbilloverdue": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "invalidapikey": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "invalid_api_key": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "accessdenied": Reason.UPSTREAM_PERMISSION_DENIED,
    "access_denied": Reason.UPSTREAM_PERMISSION_DENIED,
    "app.accessdenied": Reason.UPSTREAM_PERMISSION_DENIED,
    "model.accessdenied": Reason.UPSTREAM_PERMISSION_DENIED,
    "workspace.accessdenied": Reason.UPSTREAM_PERMISSION_DENIED,
    "modelnotfound": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "model_not_found": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "model.notexist": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "workspacenotfound": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "throttling": Reason.UPSTREAM_RATE_LIMITED,
    "limit_requests": Reason.UPSTREAM_RATE_LIMITED,
    "limit_burst_rate": Reason.UPSTREAM_RATE_LIMITED,
    # In spite of its name: so many tokens a minute.
    "insufficient_quota": Reason.UPSTREAM_RATE_LIMITED,
    "serviceunavailable": Reason.UPSTREAM_UNAVAILABLE,
    "modelunavailable": Reason.UPSTREAM_UNAVAILABLE,
    "modelservingerror": Reason.UPSTREAM_OVERLOADED,
    "gatewaytimeout": Reason.UPSTREAM_TIMEOUT,
    "requesttimeout": Reason.UPSTREAM_TIMEOUT,
    "responsetimeout": Reason.UPSTREAM_TIMEOUT,
    "internalerror.timeout": Reason.UPSTREAM_TIMEOUT,
    "badrequest.toolarge": Reason.REQUEST_TOO_LARGE,
}
"""Codes that say enough, in lower case; one that is refined behind a dot means what the shorter one does."""

_REJECTED = frozenset(
    {"invalidparameter", "badrequest", "invalidurl", "unsupportedoperation", "invalidschema"}
)


def status_of(code: str) -> int:
    """What a code that says little means as a status, where none was told; 0: unknown."""
    return 400 if code.lower().partition(".")[0] in _REJECTED else 0


def status_in(event: SseEvent) -> int:
    """The status that a comment of an event tells; 0 without one."""
    for comment in event.comments:
        word = comment.removeprefix(_STATUS)
        if word != comment and len(word) == 3 and word.isdigit():
            return int(word)
    return 0
