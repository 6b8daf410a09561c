"""Which server, as whom: arguments, then the environment, then `bottega login`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from bottega.errors import Error

DEFAULT_URL = "http://127.0.0.1:8080"


def login() -> tuple[str, str] | None:
    """The address and token that `bottega login` keeps; None where nobody logged in."""
    config = os.environ.get("XDG_CONFIG_HOME") or (os.path.expanduser("~/.config") if os.environ.get("HOME") else None)
    if config is None:
        return None
    file = Path(config) / "bottega" / "login.toml"
    try:
        kept = tomllib.loads(file.read_text())
        return str(kept["url"]), str(kept["token"])
    except FileNotFoundError:
        return None
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise Error(f"{file} is not what `bottega login` writes: run it again") from error


def find(url: str | None, token: str | None) -> tuple[str, str | None]:
    """The address, and the token for it. A token that was kept goes to the address that it was kept for only."""
    url = url or os.environ.get("BOTTEGA_URL")
    token = token or os.environ.get("BOTTEGA_TOKEN")
    kept = None if url and token else login()
    url = (url or (kept[0] if kept else DEFAULT_URL)).rstrip("/")
    if token is None and kept is not None and kept[0].rstrip("/") == url:
        token = kept[1]
    return url, token
