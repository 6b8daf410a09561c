"""Asks a Bottega server for predictions, and brings models to it.

    import bottega

    client = bottega.Client()                      # BOTTEGA_URL and BOTTEGA_TOKEN, or `bottega login`
    client.push("model.onnx", "fraud", alias="champion")
    client.deploy("fraud", "fraud@champion")
    answer = client.predict("fraud", [{"age": 31.0, "income": 2400.0}])
    answer["label"], answer.version
"""

from bottega.client import Client
from bottega.errors import (
    ApiError,
    Conflict,
    Error,
    Forbidden,
    GateRefused,
    Internal,
    Invalid,
    ModelFailed,
    NotBottega,
    NotFound,
    QuotaExceeded,
    RateLimited,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from bottega.results import Alias, Follower, Prediction, Release, Version

__all__ = [
    "Alias",
    "ApiError",
    "Client",
    "Conflict",
    "Error",
    "Follower",
    "Forbidden",
    "GateRefused",
    "Internal",
    "Invalid",
    "ModelFailed",
    "NotBottega",
    "NotFound",
    "Prediction",
    "QuotaExceeded",
    "RateLimited",
    "Release",
    "TimedOut",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Version",
]
