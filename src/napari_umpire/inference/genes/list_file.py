"""The gene lists of a user, kept in one JSON file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from napari_umpire.bounded import read_json
from napari_umpire.errors import InputError
from napari_umpire.files import make_folder, replace_file
from napari_umpire.inference.genes.lists import GeneList

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["read_lists", "set_aside", "write_lists"]

_FORMAT = "napari-umpire gene lists"


def read_lists(path: Path) -> dict[str, GeneList]:
    """Name -> list; none where there is no file yet.

    Raises
    ------
    InputError
        For a file that is damaged or of something else.
    """
    if not path.exists():
        return {}
    try:
        said = read_json(path, what=str(path))
    except InputError as error:
        raise _damaged(path, error.got) from error
    lists = said.get("lists") if isinstance(said, dict) and said.get("format") == _FORMAT else None
    if not isinstance(lists, dict) or not all(
        isinstance(genes, list) and all(isinstance(gene, str) for gene in genes)
        for genes in lists.values()
    ):
        raise _damaged(path, "something other than lists of names")
    return {name: GeneList(name, tuple(genes)) for name, genes in lists.items()}


def write_lists(path: Path, lists: Iterable[GeneList]) -> None:
    """Write all lists; a reader finds the old ones or the new ones whole.

    Raises
    ------
    InputError
        Where the disk refuses.
    """
    make_folder(path.parent)
    said = {"format": _FORMAT, "lists": {one.name: list(one.genes) for one in lists}}
    try:
        with replace_file(path) as written:
            written.write_text(json.dumps(said, indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The gene lists cannot be kept in {path}",
            got=error,
            fix="Free some disk space, or make the file writable; until then they are forgotten",
        ) from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that a new one can be written and nothing is lost."""
    number, aside = 1, path.with_suffix(".damaged.json")
    while aside.exists():
        number, aside = number + 1, path.with_suffix(f".damaged-{number}.json")
    return path.rename(aside)


def _damaged(path: Path, got: object) -> InputError:
    return InputError(
        f"The gene lists in {path} cannot be read",
        got=got,
        expected="the file that this program wrote",
        fix="Mend or delete the file; the next list that you keep starts a new one beside it",
    )
