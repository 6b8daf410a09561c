"""What a program does with a Bottega server."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bottega import files, session, tensors
from bottega.connection import Connection, path
from bottega.errors import Conflict, Forbidden, Invalid, NotBottega, NotFound, TimedOut
from bottega.results import Alias, Follower, Prediction, Release, Version


class Client:
    """A connection to one server, which threads may share.

    url, token: else `BOTTEGA_URL` and `BOTTEGA_TOKEN`, else what `bottega login` keeps, else this machine's 8080.
    timeout: seconds to wait for an answer. retries: how often a request that may be repeated is sent again where
    the server is away or says 429 or 503, after as long as it says (10 seconds at most).

    Endpoints go by their names on the wire: `fraud` in production, `fraud.dev` elsewhere.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, timeout: float = 60.0, retries: int = 3) -> None:
        url, token = session.find(url, token)
        self._server = Connection(url, token, timeout, retries)
        self._inputs: dict[str, list[tensors.Spec] | None] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._server.close()

    def predict(
        self,
        endpoint: str,
        inputs: Any,
        *,
        outputs: Sequence[str] | None = None,
        version: int | None = None,
        inference_id: str | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Asks for a prediction.

        inputs: a dict of arrays by input; a pandas data frame; rows, as dicts by column; or one array (rows of numbers)
        for a model's only input. With NumPy they go as binary tensors of the types that the model wants.
        outputs: only these. version: insists on one of the present release. inference_id: what to call the answer.
        timeout: seconds after which it is worth nothing; the server is told where the token may look at the endpoint.
        """
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout is {timeout}: expected seconds, more than 0")
        if tensors.numpy is not None:
            while True:
                is_known = endpoint in self._inputs
                try:
                    arrays = self._arrays(endpoint, inputs)
                    if arrays is None:
                        break
                    return self._infer(endpoint, arrays, outputs, version, inference_id, timeout)
                except (Invalid, ValueError):
                    # What is remembered may be of an earlier release.
                    if self._inputs.pop(endpoint, None) is None or not is_known:
                        raise
        return self._score(endpoint, inputs, outputs, version, inference_id, timeout)

    def _arrays(self, endpoint: str, inputs: Any) -> dict[str, tuple[str, Any]] | None:
        """Arrays and their types; None where only the server knows what the model wants."""
        if endpoint not in self._inputs:
            self._inputs[endpoint] = self._describe(endpoint)
        specs = self._inputs[endpoint]
        if specs is None:
            return None
        types = {spec.name: spec.datatype for spec in specs}
        return {name: (types[name], array) for name, array in tensors.arrange(inputs, specs).items()}

    def _describe(self, endpoint: str) -> list[tensors.Spec] | None:
        """The inputs of an endpoint; None for a token that may call it, but not look at it."""
        try:
            answer = self._server.send("GET", f"/v2{path('models', endpoint)}", may_repeat=True)
        except (Forbidden, NotFound):
            return None
        return tensors.specs(answer.json())

    def _infer(
        self,
        endpoint: str,
        arrays: Mapping[str, tuple[str, Any]],
        outputs: Sequence[str] | None,
        version: int | None,
        inference_id: str | None,
        timeout: float | None,
    ) -> Prediction:
        parameters = {} if timeout is None else {"timeout": math.ceil(timeout * 1e6)}
        body, head = tensors.encode(arrays, outputs, parameters)
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(head), **_named(inference_id)}
        versions = ("versions", version) if version is not None else ()
        at = f"/v2{path('models', endpoint, *versions, 'infer')}"
        # A prediction changes nothing, so it may be asked for again.
        answer = self._server.send("POST", at, body, headers, may_repeat=True, timeout=timeout)
        try:
            size = int(answer.headers["inference-header-content-length"])
            return Prediction(tensors.decode(answer.content, size), answer.headers)
        except (KeyError, ValueError) as error:
            raise NotBottega(f"{answer.url} did not answer as it was asked to: {error!r}") from error

    def _score(
        self,
        endpoint: str,
        inputs: Any,
        outputs: Sequence[str] | None,
        version: int | None,
        inference_id: str | None,
        timeout: float | None,
    ) -> Prediction:
        """The same as JSON, which the server makes tensors of."""
        if tensors.is_frame(inputs):
            kind, given = "dataframe_split", tensors.split(inputs)
        else:
            is_records = not isinstance(inputs, Mapping) and tensors.columns(inputs) is not None
            kind, given = "dataframe_records" if is_records else "inputs", inputs
        body = json.dumps({kind: given}, allow_nan=False, default=tensors.plain)
        headers = {"content-type": "application/json", **_named(inference_id)}
        if version is not None:
            headers["x-amzn-sagemaker-target-variant"] = str(version)
        at = path("endpoints", endpoint, "invocations")
        answer = self._server.send("POST", at, body.encode(), headers, may_repeat=True, timeout=timeout)
        found = tensors.rows(answer.json()["predictions"])
        if outputs is not None:
            missing = [name for name in outputs if name not in found]
            if missing:
                raise ValueError(f"there are no outputs {missing}: the model has {sorted(found)}")
            found = {name: found[name] for name in outputs}
        return Prediction(found, answer.headers)

    def push(
        self,
        source: str | os.PathLike[str],
        name: str,
        *,
        alias: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        input_example: Mapping[str, Any] | None = None,
        team: str | None = None,
        force: bool = False,
        wait: bool = True,
        timeout: float = 120.0,
    ) -> Version:
        """Makes a version of a model out of a file, a folder or an archive, and waits for its trial.

        What the server has already is not sent again; the same files give the version that is there, unless `force`.
        input_example: a V2 request that the trial asks. Raises Conflict where the trial rejects it.
        """
        body: dict[str, Any] = {"files": self._upload(Path(source))}
        given = {"alias": alias, "description": description, "tags": tags, "input_example": input_example, "team": team}
        body.update({key: value for key, value in given.items() if value is not None})
        if force:
            body["force"] = True
        made = self._server.api("POST", path("models", name, "versions"), body)
        created = bool(made["created"])
        if wait:
            at = path("models", name, "versions", made["version"])
            made = self._wait(at, made, lambda it: it["status"] == "pending", timeout, f"the trial of {name}/{made['version']}")
        if made["status"] == "rejected":
            raise Conflict(f"{name}/{made['version']} is rejected: {made['reason']}", status=409)
        reason = made.get("reason")
        return Version(name, made["version"], made["digest"], made["status"], made["servable"], reason, created)

    def _upload(self, source: Path) -> list[dict[str, Any]]:
        form = files.archive_format(source)
        if form is not None:
            with source.open("rb") as archive:
                query = {"format": form}
                answer = self._server.send("POST", "/api/v1/archives", archive, {"content-type": "application/octet-stream"}, query, may_repeat=False)
            unpacked: list[dict[str, Any]] = answer.json()["files"]
            return unpacked
        found = files.gather(source)
        by_digest = {file.digest: file for file in found}
        missing = self._server.api("POST", "/blobs/missing", {"digests": list(by_digest)})["missing"]
        for digest in missing:
            headers = {"content-type": "application/octet-stream"}
            self._server.send("PUT", f"/api/v1{path('blobs', digest)}", by_digest[digest].body, headers, may_repeat=True)
        return [file.item() for file in found]

    def deploy(
        self,
        endpoint: str,
        model: str,
        *,
        reason: str | None = None,
        team: str | None = None,
        wait: bool = True,
        timeout: float = 60.0,
    ) -> Release:
        """Makes an endpoint serve a model: `fraud@champion` to follow an alias, `fraud/3` to stay with a version.

        Raises Conflict where the release fails; what answered before goes on.
        """
        body = {"model": model, "reason": reason, "team": team}
        now = self._server.api("PUT", path("endpoints", endpoint), {key: value for key, value in body.items() if value is not None})
        # Where all is so already, there is no target.
        return self._release(endpoint, (now["target"] or now["live"])["release"], now, wait, timeout)

    def rollback(self, endpoint: str, *, to: int | None = None, reason: str | None = None, wait: bool = True, timeout: float = 60.0) -> Release:
        """Puts an earlier release back: `to`, else the last one that served something else."""
        body = {"to": to, "reason": reason}
        made = self._server.api("POST", path("endpoints", endpoint, "rollback"), {key: value for key, value in body.items() if value is not None})
        now = self._server.api("GET", path("endpoints", endpoint))
        return self._release(endpoint, made["release"], now, wait, timeout)

    def _release(self, endpoint: str, number: int, now: Mapping[str, Any], wait: bool, timeout: float) -> Release:
        if wait:
            now = self._wait(path("endpoints", endpoint), now, lambda it: it["state"] == "progressing", timeout, f"endpoint {endpoint}")
        # Of another release than was there before, perhaps with other inputs.
        self._inputs.pop(endpoint, None)
        release = self._server.api("GET", path("endpoints", endpoint, "releases", number))
        if release["state"] in ("failed", "aborted"):
            why = release.get("outcome") or "no reason was given"
            raise Conflict(f"endpoint {endpoint}, release {number} {release['state']}: {why}", status=409)
        return Release(endpoint, number, release["state"], now.get("follows"))

    def promote(self, model: str, version: int, alias: str, *, reason: str | None = None, override: bool = False) -> Alias:
        """Points an alias to a version. Endpoints that follow it take the version over once it is warm.

        Raises GateRefused where promotion rules stand against it; `override` is for administrators, with a reason.
        """
        body: dict[str, Any] = {"version": version}
        if reason is not None:
            body["reason"] = reason
        query = {"override": "true"} if override else None
        moved = self._server.api("PUT", path("models", model, "aliases", alias), body, query)
        followers = tuple(Follower(it["endpoint"], it["release"], it["blocked"]) for it in moved["followers"])
        return Alias(model, alias, moved["version"], moved["revision"], followers)

    def _wait(self, at: str, first: Any, is_going_on: Callable[[Any], bool], timeout: float, what: str) -> Any:
        """Asks until it is over; the server answers as soon as something changes."""
        until = time.monotonic() + timeout
        found = first
        while is_going_on(found):
            left = until - time.monotonic()
            if left <= 0:
                raise TimedOut(f"{what} is not ready after {timeout:g} s; it goes on by itself", status=504)
            seconds = max(1, min(30, int(left)))
            found = self._server.api("GET", at, query={"wait": seconds}, timeout=seconds + 30.0)
        return found


def _named(inference_id: str | None) -> dict[str, str]:
    return {} if inference_id is None else {"x-amzn-sagemaker-inference-id": inference_id}
