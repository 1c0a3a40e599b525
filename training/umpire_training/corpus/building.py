"""Folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_umpire.bounded import read_text
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import make_folder, replace_file, scratch_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["link_or_copy", "new_folder", "read_json", "require_writable", "write_json"]

_LARGEST = 500_000_000
"""Bytes of a list of sections: one of a thousand has a few million."""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a hidden folder that becomes ``path`` when the block ends well.

    Raises
    ------
    InputError
        Where ``path`` exists.
    """
    if path.exists():
        raise InputError(f"{path} already exists", fix="Choose another folder")
    make_folder(path.parent)
    with scratch_beside(path) as scratch:
        building = scratch / "new"
        building.mkdir()
        yield building
        os.rename(building, path)


def require_writable(folder: Path, what: str) -> None:
    """Refuse, before hours of work, a folder in which its result could not be written.

    Parameters
    ----------
    folder
        May be absent: then one above it must take it.
    what
        What is to be written, for the sentence.

    Raises
    ------
    InputError
        Naming the folder that refuses, and why.
    """
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    try:
        # Tried, not asked: rights, read-only disks and quotas are told in too many ways.
        with tempfile.TemporaryDirectory(prefix=".", dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"{what} cannot be written to {folder}: {place} refuses",
            got=error,
            expected="a folder that can be written to",
            fix="Copy the model to a folder of your own, and give that",
        ) from error


def write_json(path: Path, tree: dict[str, Any]) -> None:
    """Indented JSON, whole or not at all."""
    with replace_file(path) as written:
        written.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def read_json(
    path: Path, what: str, kind: str, made_by: str = "prepare", keys: Sequence[str] = ()
) -> dict[str, Any]:
    """Read a folder's JSON and check that it is of ``kind``.

    Parameters
    ----------
    what
        Name of the folder's kind in messages, such as "token corpus".
    kind
        The value that the key "kind" must have.
    made_by
        The verb that makes such a folder.
    keys
        What must be in it.

    Raises
    ------
    InputError
        Where it is missing, damaged, of another kind, or lacks one of ``keys``.
    """
    if not path.is_file():
        raise InputError(
            f"{path.parent} is not a {what}",
            got=f"no {path.name} in it" if path.parent.is_dir() else "no such folder",
            fix=f"Make one with: umpire-train {made_by}",
        )
    again = f"Make the folder again with: umpire-train {made_by}"
    with reading(f"{path} is damaged", fix=again):
        tree = json.loads(read_text(path, limit=_LARGEST))
    if not isinstance(tree, dict) or tree.get("kind") != kind:
        raise InputError(f"{path.parent} is not a {what}", got=f"{path.name} of another kind")
    missing = [key for key in keys if key not in tree]
    if missing:
        raise InputError(
            f"{path} is damaged",
            got=f"no {' and no '.join(missing)} in it",
            fix=again,
        )
    return tree


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file that never changes, copy it where links are not possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
