"""Numbers of the errors of Baidu's platform, in its older interface and, now and then, in the newer one.

Source: https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
"""

from __future__ import annotations

from collections.abc import Mapping

from pointsman_server.errors import Reason

ERROR_CODES: Mapping[str, Reason] = {
    "1": Reason.UPSTREAM_ERROR,
    "2": Reason.UPSTREAM_UNAVAILABLE,
    # No such interface, which here is no such model.
    "3": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "4": Reason.UPSTREAM_RATE_LIMITED,
    "6": Reason.UPSTREAM_PERMISSION_DENIED,
    "13": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "14": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "15": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "17": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "18": Reason.UPSTREAM_RATE_LIMITED,
    "19": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "100": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "110": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "111": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "336000": Reason.UPSTREAM_ERROR,
    "336001": Reason.UPSTREAM_REJECTED,
    "336002": Reason.UPSTREAM_REJECTED,
    "336003": Reason.UPSTREAM_REJECTED,
    "336004": Reason.UPSTREAM_PERMISSION_DENIED,
    "336005": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "336006": Reason.UPSTREAM_REJECTED,
    "336007": Reason.CONTEXT_LENGTH_EXCEEDED,
    "336008": Reason.CONTEXT_LENGTH_EXCEEDED,
    "336100": Reason.UPSTREAM_OVERLOADED,
    "336101": Reason.UPSTREAM_REJECTED,
    "336104": Reason.UPSTREAM_REJECTED,
    "336105": Reason.UPSTREAM_REJECTED,
    "336501": Reason.UPSTREAM_RATE_LIMITED,
    "336502": Reason.UPSTREAM_RATE_LIMITED,
    "336503": Reason.UPSTREAM_RATE_LIMITED,
    "500000": Reason.UPSTREAM_ERROR,
}
