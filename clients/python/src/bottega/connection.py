"""One server over HTTP: who calls, what is sent again, and what a refusal becomes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import requests

from bottega.errors import KINDS, ApiError, NotBottega, Unreachable

# Such an answer says that nothing was done, and that it may be otherwise soon.
AGAIN = (429, 503)
# The longest that is waited before a request is sent again, in seconds.
PATIENCE = 10.0
# Prediction protocols say what kind of refusal it is by the status alone.
BY_STATUS = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    413: "too_large",
    429: "rate_limited",
    503: "unavailable",
    504: "timeout",
}


def path(*segments: str | int) -> str:
    """A path of segments, each percent-encoded."""
    return "".join(f"/{quote(str(segment), safe='')}" for segment in segments)


class Connection:
    """Threads may share it."""

    def __init__(self, url: str, token: str | None, timeout: float, retries: int) -> None:
        self.url = url
        self._timeout = timeout
        self._retries = retries
        self._http = requests.Session()
        # The token is the only proof: no cookie, and no ~/.netrc in its place.
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._http.auth = _Bearer(token)

    def close(self) -> None:
        self._http.close()

    def api(self, method: str, at: str, body: Any = None, query: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
        """Asks our own API, and answers its JSON. What is no POST may be sent again: it leaves things as one alone does."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        answer = self.send(method, f"/api/v1{at}", data, headers, query, may_repeat=method != "POST", timeout=timeout)
        return None if answer.status_code == 204 else read_json(answer)

    def send(
        self,
        method: str,
        at: str,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        may_repeat: bool,
        timeout: float | None = None,
    ) -> requests.Response:
        """Sends a request, again where that may help and changes nothing, and raises what refuses it."""
        attempts = self._retries + 1 if may_repeat else 1
        for attempt in range(1, attempts + 1):
            body = data() if callable(data) else data
            try:
                answer = self._http.request(
                    method,
                    f"{self.url}{at}",
                    data=body,
                    headers=dict(headers or {}),
                    params=dict(query or {}),
                    timeout=(10.0, timeout or self._timeout),
                    allow_redirects=False,
                )
            except requests.Timeout as error:
                raise Unreachable(f"{self.url} did not answer in time") from error
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                if attempt == attempts:
                    raise Unreachable(f"{self.url} cannot be reached: {error}") from error
                time.sleep(pause(attempt, None))
                continue
            finally:
                if callable(data) and hasattr(body, "close"):
                    body.close()
            if answer.ok:
                return answer
            if answer.status_code in AGAIN and attempt < attempts:
                time.sleep(pause(attempt, answer.headers.get("retry-after")))
                continue
            raise refusal(answer)
        raise AssertionError("the last attempt answers or raises")


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["authorization"] = f"Bearer {self._token}"
        return request


def pause(attempt: int, retry_after: str | None) -> float:
    """How many seconds to wait: as the server says, within reason, else longer each time, and never all at once."""
    try:
        return min(max(float(retry_after or ""), 0.0), PATIENCE)
    except ValueError:
        return min(0.1 * (1 << attempt), PATIENCE) * random.uniform(0.5, 1.0)


def read_json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise NotBottega(f"{answer.url} does not answer as Bottega does (status {answer.status_code}): is it the right address?") from None


def refusal(answer: requests.Response) -> Exception:
    """What a refusal becomes, in whichever shape it came."""
    status = answer.status_code
    body = read_json(answer) if answer.content else {}
    details = body.get("error", body.get("message")) if isinstance(body, dict) else None
    request_id = answer.headers.get("x-request-id")
    if isinstance(details, dict):
        kind = KINDS.get(str(details.get("code")), ApiError)
        return kind(str(details.get("message", "")), status=status, details=details, request_id=request_id)
    if not isinstance(details, str):
        return NotBottega(f"{answer.url} does not answer as Bottega does (status {status}): is it the right address?")
    quota = "quota_exceeded" if status == 403 and "x-bottega-quota" in answer.headers else None
    code = quota or BY_STATUS.get(status, "invalid" if status < 500 else "internal")
    return KINDS[code](details, status=status, request_id=request_id)
