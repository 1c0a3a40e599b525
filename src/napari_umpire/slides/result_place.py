"""Which store the results of a slide belong in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import shortened
from napari_umpire.slides.elements import element_name, quiet_libraries

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["check_new_store", "is_backing", "is_store_of", "store_beside"]


def check_new_store(path: Path) -> None:
    """Refuse a place for a store that the libraries that write it cannot name: only UTF-8 is."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"A store cannot be made at {shown}",
            got="a name with bytes that are not UTF-8 text",
            fix="Rename the file or folder, or save in another folder under another name",
        ) from error


def is_backing(slide: Slide, path: Path) -> bool:
    """Whether ``path`` is the store that the slide was opened from."""
    backing = slide.sdata.path
    return backing is not None and path.exists() and path.samefile(backing)


def is_store_of(slide: Slide, path: Path) -> bool:
    """Whether a store has this slide's spots, by our record and by their ids and places."""
    import spatialdata

    from napari_umpire.slides.readers.spatialdata_store import claims
    from napari_umpire.slides.records import SlideRecord

    region = element_name(slide.region)
    if not (path.is_dir() and claims(path) and (path / "shapes" / region).is_dir()):
        return False
    said = f"The store {path.name} cannot be read"
    with reading(said, fix="Write or copy it again"), quiet_libraries():
        there = spatialdata.read_zarr(path, selection=("shapes",))
    if SlideRecord.find(there.attrs, region) is None:
        return False
    circles = there.shapes[region]
    if len(circles) != slide.n_spots or set(circles.index) != set(slide.spots["instance_id"]):
        return False
    circles = circles.loc[slide.spots["instance_id"]]
    yx = np.stack([circles.geometry.y, circles.geometry.x], axis=1)
    return bool(np.allclose(yx, slide.yx, rtol=0, atol=1e-6))


def store_beside(slide: Slide) -> Path:
    """Return the path of the store for a slide that came from none: one that is there, or to make.

    Raises
    ------
    InputError
        Where the slide is only in memory.
    """
    if slide.path is None:
        raise InputError(
            f"Slide {slide.name} is only in memory, so its results have no place",
            fix="Name a store to make with store=",
        )
    source = slide.path
    if slide.scene is not None:
        stem = element_name(slide.scene)  # the file holds several
    elif not source.is_dir():
        stem = source.name.removesuffix(".gz")
        stem = stem.removesuffix(Path(stem).suffix).removesuffix(".ome")
    elif slide.platform == "st":
        stem = f"{source.name}_{slide.name}"  # the folder holds many sections
    else:
        stem = source.name
    stem = shortened(stem, 240)
    number = 1
    while True:
        path = source.parent / (f"{stem}.zarr" if number == 1 else f"{stem}_{number}.zarr")
        if not path.exists() or is_store_of(slide, path):
            return path
        number += 1
