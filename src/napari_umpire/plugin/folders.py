"""The folders of napari's preferences: are they there, and what to say where not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_umpire.plugin.preferences import Preferences

__all__ = ["FOLDERS", "folder_problem", "missing_words"]

FOLDERS = {"weights": "Models and weights", "cache": "Cache of features"}
"""Key in the preferences -> title there."""


def folder_problem(text: str) -> str:
    """Why what was typed is no folder, a sentence; "" where it is one, or nothing was typed."""
    if not text.strip():
        return ""
    path = Path(text.strip()).expanduser()
    if path.is_dir():
        return ""
    if path.exists():
        return f"{path} is a file, not a folder."
    if not path.is_absolute():
        return f"{path} is not a whole path: begin with the disk, or press Browse."
    return f"There is no folder {path}."


def missing_words(chosen: Preferences) -> str:
    """Which folders the preferences name that are not there, and what follows; "" for none."""
    said = []
    if chosen.weights is not None and not chosen.weights.is_dir():
        said.append(
            f"{FOLDERS['weights']}: there is no folder {chosen.weights}, so no models are offered "
            "from it."
        )
    if chosen.cache is not None and not chosen.cache.is_dir():
        said.append(
            f"{FOLDERS['cache']}: there is no folder {chosen.cache}; the next run will make it."
        )
    return f"Preferences > Umpire, {' '.join(said)}" if said else ""
