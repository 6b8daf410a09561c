"""A model's files: which there are, and their digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHIVES = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar": "tar", ".zip": "zip"}


@dataclass(frozen=True)
class File:
    """path: where in the version's tree; local: where here."""

    path: str
    local: Path
    digest: str
    size: int

    def item(self) -> dict[str, Any]:
        """As the API lists it."""
        return {"path": self.path, "digest": self.digest, "size": self.size}

    def body(self) -> Any:
        """Its bytes, to be sent; an empty body is no file, which would go without a length."""
        return self.local.open("rb") if self.size else b""


def archive_format(source: Path) -> str | None:
    """The format of an archive, which the server unpacks; None where it is none."""
    if not source.is_file():
        return None
    return next((form for ending, form in ARCHIVES.items() if source.name.lower().endswith(ending)), None)


def gather(source: Path) -> list[File]:
    """The file, or those of the folder, by their paths. A link is refused: who knows where it leads."""
    if source.is_file():
        return [_file(source.name, source)]
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder")
    found = []
    for local in sorted(source.rglob("*")):
        if local.is_symlink() or not (local.is_file() or local.is_dir()):
            raise ValueError(f"{local}: neither a file nor a folder; replace links by what they point to")
        if local.is_file():
            found.append(_file(local.relative_to(source).as_posix(), local))
    return found


def _file(path: str, local: Path) -> File:
    with local.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return File(path, local, f"sha256:{digest}", local.stat().st_size)
