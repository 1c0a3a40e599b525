"""A run that is continued goes on from what it began with, whatever lies at the same paths now."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.corpus.building import read_json, write_json
from umpire_training.run_folder import START, is_main_process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["digest_parts", "same_start"]


def same_start(folder: Path, verb: str, now: Mapping[str, tuple[str, str]]) -> None:
    """Note in ``folder`` what a run starts from, or refuse to go on with something else.

    Parameters
    ----------
    now
        Name -> (digest, the words for it in a sentence).

    Raises
    ------
    InputError
        Naming the first thing whose digest is not the one that was noted.
    """
    path = folder / START
    if not path.is_file():
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            digests = {name: digest for name, (digest, _) in now.items()}
            write_json(path, {"kind": f"start of {verb}", **digests})
        return
    before = read_json(path, f"run of {verb}", f"start of {verb}", made_by=verb)
    for name, (digest, words) in now.items():
        if before.get(name) != digest:
            raise InputError(
                f"The {words} is not the one that the run in {folder} began with",
                got=f"digest {digest[:16]}",
                expected=f"digest {str(before.get(name))[:16]}",
                fix="Give that one, or a new --output",
            )


def digest_parts(*parts: str | bytes) -> str:
    """64 hex digits over the parts and where each ends."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()
