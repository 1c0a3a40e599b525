"""Any slide as a SpatialData store of its own."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.files import remove_leftovers, scratch_beside
from napari_umpire.slides.elements import assemble, element_name, quiet_libraries
from napari_umpire.slides.records import ATTRS_KEY, SlideRecord, circles_digest, image_digest
from napari_umpire.slides.result_place import check_new_store
from napari_umpire.slides.scale import nearest_pitch_px
from napari_umpire.slides.store_image import mark_complete, stored_levels
from napari_umpire.slides.store_listing import consolidate

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["write_slide"]


def write_slide(slide: Slide, path: str | Path) -> Path:
    """Write a slide as a SpatialData store: image pyramid, circles, counts and physical scale.

    The image is streamed in chunks of 512 px. All elements share the coordinate system "global",
    full-resolution px. The store is written under a temporary name beside ``path`` and renamed when
    whole, so that a killed run leaves nothing that looks like a store. Opening it gives the same
    slide.

    Parameters
    ----------
    slide
        Any slide.
    path
        The store to make; its name ends in ``.zarr``.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    InputError
        Where ``path`` exists, its folder does not, or the disk refuses.
    """
    import zarr

    path = Path(path).expanduser()
    check_new_store(path)
    remove_leftovers(path)
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} already exists", fix="Choose another name, or remove it first")
    if path.suffix != ".zarr":
        raise InputError(
            f"{path.name} is not a name for a store",
            expected="a name ending in .zarr",
            fix=f"Call it {path.name}.zarr",
        )
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist", fix="Make it first")
    region = element_name(slide.region)
    image = element_name(f"{region}_image")
    sdata = assemble(
        slide.pyramid,
        slide.spots,
        region=region,
        image=image,
        radius_px=_radius_px(slide),
        adata=slide.adata if slide.has_counts else None,
    )
    try:
        # zarr leaves pieces out that are black all over; then a lost one cannot be told from it.
        every_piece = zarr.config.set({"array.write_empty_chunks": True})
        with scratch_beside(path) as folder, quiet_libraries(), every_piece:
            made = folder / path.name
            sdata.write(made)
            mark_complete(made, image)
            record = SlideRecord.of(
                slide,
                image=image,
                table="table" if slide.has_counts else None,
                image_digest=image_digest(stored_levels(made, image)),
                circles_digest=circles_digest(sdata.shapes[region]) if slide.n_spots else None,
            )
            root = zarr.open_group(made, mode="r+", use_consolidated=False)
            root.attrs[ATTRS_KEY] = record.to_attrs(region)
            consolidate(made)
            os.rename(made, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written",
            got=error,
            expected="a folder that can be written to, with room for the store",
            fix="Make room, or choose another folder",
        ) from error
    return path


def _radius_px(slide: Slide) -> float:
    """Radius of the circles; where the spots' size is not known, a part of their distance."""
    radius = slide.spot_diameter_um / 2 / (slide.scale.mpp or 1.0)
    if math.isfinite(radius) and radius > 0:
        return radius
    return (nearest_pitch_px(slide.yx) or 4.0) / 4
