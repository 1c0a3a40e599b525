"""What must not be learned from: named, or known by content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.corpus.finding import find_sources, of_collection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from umpire_training.corpus.sources import Source

__all__ = ["ExcludeList", "read_exclude"]

_DIGEST = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class ExcludeList:
    """What the user excludes.

    Attributes
    ----------
    names
        Names of sections, in small letters.
    digests
        Content digest -> name, "" where only the digest was given.
    sources
        Sections to be read for their content.
    """

    names: frozenset[str]
    digests: dict[str, str]
    sources: tuple[Source, ...]


def read_exclude(entries: Iterable[str]) -> ExcludeList:
    """Read the entries of ``--exclude``: list files, slides, count files, collections.

    Raises
    ------
    InputError
        An entry that is nothing on disk: an exclusion that is mistyped must not pass unseen.
    """
    names: set[str] = set()
    digests: dict[str, str] = {}
    sources: list[Source] = []
    for entry in entries:
        path = Path(entry).expanduser()
        if not path.exists():
            raise InputError(
                f"There is nothing at {entry} to exclude",
                expected="a slide, a count file, or a text file with a name or digest on each line",
                fix="Check --exclude",
            )
        if _is_list(path):
            _read_list(path, names, digests)
        else:
            sources += find_sources((), [entry])[1]
    return ExcludeList(frozenset(names), digests, tuple(sources))


def _is_list(path: Path) -> bool:
    if not path.is_file():
        return False
    return path.suffix == ".txt" or (path.suffix == ".csv" and of_collection(path) is None)


def _read_list(path: Path, names: set[str], digests: dict[str, str]) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a text file", got=error) from error
    for number, line in enumerate(text.splitlines(), start=1):
        words = [
            w for w in re.split(r"[,;\t]+|\s+(?=[0-9a-f]{64}\b)", line.split("#")[0]) if w.strip()
        ]
        words = [w.strip().strip('"') for w in words]
        found = [w for w in words if _DIGEST.match(w)]
        named = [w for w in words if w not in found]
        if len(found) > 1 or len(named) > 1:
            raise InputError(
                f"Line {number} of {path} is not an excluded section",
                got=line.strip(),
                expected="a name, a content digest of 64 hex digits, or both",
            )
        if named and not found:
            names.add(named[0].lower())
        if found:
            digests[found[0]] = named[0] if named else ""
            names.update(n.lower() for n in named)
