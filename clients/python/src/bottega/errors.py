"""What can go wrong, by the server's own codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Error(Exception):
    """Whatever this package raises."""


class Unreachable(Error):
    """Nobody answers at the address, or an answer broke off."""


class NotBottega(Error):
    """Something answers at the address, but not as Bottega does."""


class ApiError(Error):
    """The server said no.

    code: the kind of refusal; message: what is wrong; field: where; hint: what to do about it;
    request_id: finds the request in the server's log; status: HTTP's; details: the whole refusal, with the
    promotion rules, the contract or the quota that refused.
    """

    code = "internal"

    def __init__(self, message: str, *, status: int, details: Mapping[str, Any] | None = None, request_id: str | None = None) -> None:
        self.message = message
        self.status = status
        self.details = dict(details or {})
        self.code = self.details.get("code", type(self).code)
        self.field: str | None = self.details.get("field")
        self.hint: str | None = self.details.get("hint")
        self.request_id: str | None = self.details.get("request_id", request_id)
        super().__init__(message)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        request = f" [request {self.request_id}]" if self.request_id else ""
        return f"{self.message}{hint}{request}"


class Unauthenticated(ApiError):
    """The token is none, or is worth nothing any more."""

    code = "unauthenticated"


class Forbidden(ApiError):
    """The caller may not."""

    code = "forbidden"


class NotFound(ApiError):
    """There is none such that the caller may see."""

    code = "not_found"


class Conflict(ApiError):
    """It does not go with how things stand: a version was rejected, a name is taken."""

    code = "conflict"


class Invalid(ApiError):
    """What was sent is wrong; `field` says where."""

    code = "invalid"


class TooLarge(ApiError):
    """The body is longer than the server takes."""

    code = "too_large"


class GateRefused(ApiError):
    """A promotion rule or a contract said no; `details` has each of them."""

    code = "gate_refused"


class QuotaExceeded(ApiError):
    """A quota is spent; `details["quota"]` says which."""

    code = "quota_exceeded"


class RateLimited(ApiError):
    """Too many requests just now, also after waiting as the server asked."""

    code = "rate_limited"


class Unavailable(ApiError):
    """Not just now, also after waiting: nothing is loaded, or too many requests wait."""

    code = "unavailable"


class TimedOut(ApiError):
    """The server took longer than it may, or a wait was over before what was waited for."""

    code = "timeout"


class ModelFailed(ApiError):
    """What answers for the endpoint failed: its model's code, its process, a server that it asks."""

    code = "model_failed"


class Internal(ApiError):
    """The server's own fault."""

    code = "internal"


KINDS: dict[str, type[ApiError]] = {kind.code: kind for kind in ApiError.__subclasses__()}
