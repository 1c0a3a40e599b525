"""Space Ranger folders (10x Visium, versions 1 to 3): image, spots and, where present, counts."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.build import build_slide
from napari_umpire.slides.place import check_on_tissue
from napari_umpire.slides.readers.other_runs import what_else
from napari_umpire.slides.readers.positions import read_positions, read_scalefactors
from napari_umpire.slides.readers.run_files import find_files, has_positions, is_spatial
from napari_umpire.slides.readers.tenx import read_tenx
from napari_umpire.slides.readers.tissue_image import choose_image
from napari_umpire.slides.scale import (
    VISIUM_NOMINAL_DIAMETER_UM,
    VISIUM_PITCH_UM,
    VISIUM_SPOT_UM,
    hex_pitch_px,
    nearest_pitch_px,
    resolve_scale,
)
from napari_umpire.slides.slide import Slide, tidy_spots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData

    from napari_umpire.slides.scale import PhysicalScale, ScaleSource

__all__ = ["claims", "read"]


def claims(path: Path) -> bool:
    """Whether the path is, or holds in ``outs``, what Space Ranger writes; never raises."""
    try:
        return path.is_dir() and (_outs(path) is not None or what_else(path) is not None)
    except (OSError, ValueError):
        return False


def read(
    path: Path,
    *,
    mpp: float | None = None,
    image: str | Path | None = None,
    region: str | None = None,
    name: str | None = None,
) -> list[Slide]:
    """Open a Space Ranger folder as one slide of the spots under tissue.

    The scale comes from the pitch of the array, beside the nominal spot diameter and what a
    full-resolution image states. Without counts the slide has no table.

    Raises
    ------
    InputError
        Where a part is missing or broken, or image, spots and counts do not belong together.
    """
    outs = _outs(path)
    spots_there = outs is not None and has_positions(outs / "spatial")
    if not spots_there and (other := what_else(outs or path)) is not None:
        raise other
    if outs is None:
        raise InputError(
            f"{path.name} is not a Space Ranger folder",
            expected="the folder outs of a run, which holds the folder spatial",
            fix="Open that folder",
        )
    title = name or (outs.parent.name if outs.name == "outs" else outs.name)
    files = find_files(outs, name=title, sample=region)
    name = name or files.sample or title
    factors = read_scalefactors(files.factors, name=name)
    array = read_positions(files.positions, name=name)
    spots = array[array["in_tissue"]].drop(columns="in_tissue")
    if spots.empty:
        raise InputError(
            f"{name} has no spot under tissue",
            got=f"in_tissue 0 for all {len(array):,} spots",
            expected="1 for each spot under tissue",
            fix="Copy the positions again from their source",
        )
    adata = None
    if files.counts:
        counts = read_tenx(files.counts[0])
        filtered = "raw_feature" not in files.counts[0].name
        adata, spots = _join(counts, spots, array, filtered=filtered, name=name)
    spots["instance_id"] = np.arange(len(spots), dtype=np.int64)
    spots = tidy_spots(spots)
    picture = choose_image(
        outs,
        files.images,
        factors,
        spots[["y", "x"]].to_numpy(),
        name=name,
        wanted=image,
        given=path,
    )
    scale, pitch_um, spot_um = _scale(array, factors, picture.stated, mpp, name)
    yx, on = array[["y", "x"]].to_numpy(), array["in_tissue"].to_numpy()
    check_on_tissue(picture.pyramid, yx[on], scale.mpp, name=name, beside=yx[~on])
    nominal_px = factors.get("spot_diameter_fullres")
    return [
        build_slide(
            name,
            picture.pyramid,
            spots,
            scale,
            platform="visium",
            pitch_um=pitch_um,
            spot_diameter_um=spot_um,
            kind=picture.kind,
            radius_px=None if nominal_px is None else nominal_px / 2,
            adata=adata,
            path=path,
            scene=files.sample,
        )
    ]


def _outs(path: Path) -> Path | None:
    if path.name == "spatial" and is_spatial(path):
        return path.parent
    return next((p for p in (path, path / "outs") if is_spatial(p / "spatial")), None)


def _join(
    adata: AnnData, spots: pd.DataFrame, array: pd.DataFrame, *, filtered: bool, name: str
) -> tuple[AnnData, pd.DataFrame]:
    """Keep what has both a position under tissue and counts; say what falls out."""
    both = spots.index[spots.index.isin(adata.obs_names)]
    if both.empty:
        raise InputError(
            f"Counts and spots of {name} have no barcode in common",
            got=f"{adata.obs_names[0]} in the counts, {spots.index[0]} among the spots",
            expected="files of one and the same run",
            fix="Copy counts and positions again from one run",
        )
    problems = []
    if uncounted := len(spots) - len(both):
        problems.append(f"{uncounted} spots under tissue have no counts")
    # A raw matrix holds every barcode of the array, so only a filtered one has extra ones.
    extra = adata.obs_names[~adata.obs_names.isin(both)]
    if unknown := int((~extra.isin(array.index)).sum()):
        problems.append(f"{unknown} counted barcodes have no position")
    if filtered and (outside := int(extra.isin(array.index).sum())):
        problems.append(f"{outside} counted spots are not under tissue")
    if problems:
        warnings.warn(
            f"{name}: {'; '.join(problems)}; {len(both)} spots are kept",
            UmpireWarning,
            stacklevel=2,
        )
    return adata[both].copy(), spots.loc[both].copy()


def _scale(
    array: pd.DataFrame,
    factors: dict[str, float],
    stated: Mapping[ScaleSource, float],
    user: float | None,
    name: str,
) -> tuple[PhysicalScale, float, float]:
    """The scale with its candidates, the pitch and the spot diameter, um."""
    candidates = dict(stated)
    if per_px := factors.get("microns_per_pixel"):
        candidates["scale factors"] = per_px
    if bin_um := factors.get("bin_size_um"):  # Visium HD: square bins that touch
        return resolve_scale(candidates, user, name=name), bin_um, bin_um
    pitch_px = None
    if ((array["array_row"] + array["array_col"]) % 2 == 0).all():
        pitch_px = hex_pitch_px(array)
    if pitch_px is not None and pitch_px <= 0:
        raise InputError(
            f"Spots of {name} that are neighbours on the array lie at one place",
            expected="a place of its own for each spot",
            fix="Copy the positions again from their source",
        )
    if pitch_px is not None:
        candidates["spot pitch"] = VISIUM_PITCH_UM / pitch_px
    if diameter_px := factors.get("spot_diameter_fullres"):
        candidates["spot diameter"] = VISIUM_NOMINAL_DIAMETER_UM / diameter_px
    scale = resolve_scale(candidates, user, name=name)
    pitch_um = VISIUM_PITCH_UM
    if pitch_px is None and scale.mpp is not None:
        nearest = nearest_pitch_px(array[["y", "x"]].to_numpy())
        pitch_um = VISIUM_PITCH_UM if nearest is None else nearest * scale.mpp
    return scale, pitch_um, VISIUM_SPOT_UM
