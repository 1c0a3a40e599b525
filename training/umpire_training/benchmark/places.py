"""Names of slides and patients as names of files, no two alike."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.slides.elements import element_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["place_name", "require_places"]


def place_name(name: str) -> str:
    """A file's name for a slide or patient: its own where that is one, else one with a digest.

    "A 1" and "A_1" would otherwise share what is kept of them.
    """
    legal = element_name(name)
    if legal == name:
        return legal
    return f"{legal}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def require_places(names: Iterable[str]) -> None:
    """Refuse names whose files are one and the same on many disks.

    Raises
    ------
    InputError
        Two names differ in upper and lower case alone.
    """
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(place_name(name).casefold(), name)
        if other != name:
            raise InputError(
                "Two names differ in upper and lower case alone, and many disks do not tell such "
                "files apart",
                got=f"{other} and {name}",
                fix="Rename one of them",
            )
