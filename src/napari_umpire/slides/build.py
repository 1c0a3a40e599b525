"""A `Slide` of its parts: image, spots, counts and scale, for readers that find no SpatialData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_umpire.slides.elements import assemble, element_name
from napari_umpire.slides.slide import Slide
from napari_umpire.slides.source_stamp import SourceStamp

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData

    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import PhysicalScale

__all__ = ["build_slide"]


def build_slide(
    name: str,
    pyramid: Pyramid,
    spots: pd.DataFrame,
    scale: PhysicalScale,
    *,
    platform: Literal["visium", "st", "image"],
    pitch_um: float,
    spot_diameter_um: float,
    kind: Literal["full", "hires", "lowres"] = "full",
    radius_px: float | None = None,
    adata: AnnData | None = None,
    path: Path | None = None,
    scene: str | None = None,
    region: str | None = None,
) -> Slide:
    """Put the elements into a SpatialData in memory and return the slide over it.

    Parameters
    ----------
    spots
        As `Slide.spots`.
    kind
        Which copy of the image it is, for the name of the element.
    radius_px
        Of the circles, full-resolution px; None: by ``spot_diameter_um``, or by that many px where
        the scale is not known.
    adata
        Counts, rows as ``spots``; None where nothing was measured.
    scene
        Of a file or folder that holds several slides, this one's own name there, after which its
        region is named.
    region
        Name of the shapes element, where it is not that of the scene or the slide.
    """
    region = region or element_name(name if scene is None else scene)
    if radius_px is None:
        radius_px = spot_diameter_um / 2 / (scale.mpp or 1.0)
    image = f"{region}_{kind}_image"
    sdata = assemble(pyramid, spots, region=region, image=image, radius_px=radius_px, adata=adata)
    return Slide(
        name=name,
        sdata=sdata,
        pyramid=pyramid,
        spots=spots,
        scale=scale,
        pitch_um=pitch_um,
        spot_diameter_um=spot_diameter_um,
        platform=platform,
        region=region,
        table=None if adata is None else "table",
        path=path,
        scene=scene,
        # Of a folder only the image is read later on, and which file that is the reader knows.
        stamp=None if path is None or path.is_dir() else SourceStamp.of(path),
    )
