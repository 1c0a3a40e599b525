"""What the user named, as sections: each layout says whether a path is its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.files import visible
from umpire_training.corpus.h5ad import H5adSource
from umpire_training.corpus.hest import hest_sources
from umpire_training.corpus.sources import (
    CountFile,
    SlideSource,
    Source,
    Unreadable,
    stem,
)
from umpire_training.corpus.stimage import stimage_sources

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["find_sources", "of_collection"]

_LAYOUTS = (hest_sources, stimage_sources)
_TABLES = (".tsv", ".tsv.gz")


def find_sources(
    slides: Iterable[str], counts: Iterable[str] = (), *, mpp: float | None = None
) -> tuple[list[Source], list[Source]]:
    """All sections of the paths, in the order given, opened only where a list needs it.

    Parameters
    ----------
    slides
        Slides and collections whose images are wanted too.
    counts
        What only counts are wanted of.
    mpp
        The user's um per px for slides whose files do not say.

    Returns
    -------
    The sections with images, and those without, all names different: the first of a name keeps it,
    a later one gets its folder's name before it.

    Raises
    ------
    InputError
        A path that is not there, the same section twice in a list, or nothing at all. What is
        there and cannot be opened is a source that fails when it is read.
    """
    paired = [source for path in slides for source in _sections(path, mpp, images=True)]
    single = [source for path in counts for source in _sections(path, mpp, images=False)]
    if not paired and not single:
        raise InputError("No sources were given", fix="Name slides, or count files with --counts")
    for found in (paired, single):
        seen: set[tuple[str, str]] = set()
        for source in found:
            key = (str(Path(source.path).absolute()), getattr(source, "region", None) or "")
            if key in seen:
                raise InputError(f"{source.path} is named twice", fix="Name it once")
            seen.add(key)
    names: set[str] = set()
    return _named_apart(paired, names), _named_apart(single, names)


def _named_apart(sources: list[Source], taken: set[str]) -> list[Source]:
    apart = []
    for source in sources:
        name = source.name
        if name in taken:
            name = f"{Path(source.path).absolute().parent.name}/{name}"
        number, wanted = 2, name
        while name in taken:
            name, number = f"{wanted} ({number})", number + 1
        taken.add(name)
        apart.append(source if name == source.name else replace(source, name=name))
    return apart


def _sections(path: str, mpp: float | None, *, images: bool) -> list[Source]:
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(f"There is nothing at {path}", fix="Check the path")
    try:
        return _in(place, path, mpp, images=images)
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends this source alone
        return [Unreadable(stem(place), str(place), error=error)]


def _in(place: Path, path: str, mpp: float | None, *, images: bool) -> list[Source]:
    from napari_umpire.slides.open import open_slides, sniff

    found = of_collection(place)
    if found is not None:
        return found
    if place.name.endswith(".h5ad"):
        return [H5adSource(stem(place), str(place))]
    if place.is_dir() and not images:
        tables = _tables(place)
        if tables:
            return [CountFile(stem(t), str(t)) for t in tables]
    if place.name.endswith(_TABLES) and not images:
        return [CountFile(stem(place), str(place))]
    kind = sniff(place)
    if kind == "spaceranger":
        return [SlideSource(_outs_name(place), path, mpp=mpp)]
    if kind is None and place.is_dir():
        inside = [p for p in visible(place.iterdir()) if p.name.endswith((".h5ad", *_TABLES))]
        if inside:
            return [s for p in inside for s in _sections(str(p), mpp, images=images)]
    slides = open_slides(path, mpp=mpp)
    return [SlideSource(s.name, path, region=s.region, mpp=mpp) for s in slides]


def of_collection(place: Path) -> list[Source] | None:
    """The sections of a collection whose layout is known, or of one of its files; else None."""
    for layout in _LAYOUTS:
        found = layout(place)
        if found is not None:
            return found
    return None


def _tables(folder: Path) -> list[Path]:
    """The count tables of a collection of the legacy layout, or of its folder ST-cnts."""
    place = folder if folder.name == "ST-cnts" else folder / "ST-cnts"
    return [p for p in visible(place.glob("*.tsv*")) if p.name.endswith(_TABLES)]


def _outs_name(place: Path) -> str:
    """As the reader of Space Ranger folders names the slide, without opening it."""
    place = place.absolute()
    while place.name in ("spatial", "outs"):
        place = place.parent
    return place.name
