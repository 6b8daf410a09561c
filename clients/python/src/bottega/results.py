"""What the server answers, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


class Prediction(Mapping[str, Any]):
    """The outputs by name: arrays where NumPy is installed, else lists.

    version, model, digest: which version answered; inference_id: what the answer is called, for feedback on it.
    """

    def __init__(self, outputs: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._outputs = dict(outputs)
        self.model = unquote(headers.get("x-bottega-model", ""))
        self.version = int(headers.get("x-bottega-model-version", 0))
        self.digest = headers.get("x-bottega-model-digest", "")
        self.inference_id = headers.get("x-bottega-inference-id", "")

    def __getitem__(self, name: str) -> Any:
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        return f"Prediction({self._outputs!r}, model={self.model!r}, version={self.version})"


@dataclass(frozen=True)
class Version:
    """A version of a model. status: pending, ready or rejected; servable: yes, no or checking."""

    name: str
    version: int
    digest: str
    status: str
    servable: str
    reason: str | None = None
    created: bool = True

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class Release:
    """What an endpoint was told to serve. state: progressing, completed, failed, …"""

    endpoint: str
    release: int
    state: str
    follows: str | None = None


@dataclass(frozen=True)
class Follower:
    """An endpoint that follows an alias: its new release, or why it stays."""

    endpoint: str
    release: int | None
    blocked: str | None


@dataclass(frozen=True)
class Alias:
    """Where an alias points now."""

    name: str
    alias: str
    version: int
    revision: int
    followers: tuple[Follower, ...] = ()
