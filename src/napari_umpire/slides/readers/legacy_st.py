"""Legacy Spatial Transcriptomics sections in the layout of the her2st collection.

``ST-cnts/C3.tsv.gz`` holds the counts, ``ST-spotfiles/C3_selection.tsv`` the spots in pixels of the
image, and ``ST-imgs/C/C3/*.jpg`` the image. The array is square with 200 um between spots.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_umpire.bounded import unzipped
from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import COPY_AGAIN, reading
from napari_umpire.files import listed
from napari_umpire.slides.build import build_slide
from napari_umpire.slides.elements import element_name
from napari_umpire.slides.images import IMAGE_SUFFIXES, load_image
from napari_umpire.slides.place import check_on_tissue, check_overlap
from napari_umpire.slides.readers.columns import FARTHEST_PX, flags, whole_numbers
from napari_umpire.slides.readers.counts_table import read_counts
from napari_umpire.slides.readers.several import read_each
from napari_umpire.slides.scale import resolve_scale, square_pitch_px
from napari_umpire.slides.slide import Slide, tidy_spots
from napari_umpire.words import counted

__all__ = ["ST_PITCH_UM", "ST_SPOT_UM", "claims", "read"]

ST_PITCH_UM = 200.0
ST_SPOT_UM = 100.0
_COUNTS, _SPOTS, _IMAGES = "ST-cnts", "ST-spotfiles", "ST-imgs"
_COLUMNS = ("x", "y", "pixel_x", "pixel_y")
_TABLES = (".tsv", ".tsv.gz")
# A section has some hundred spots, of 60 bytes each.
_MOST_TEXT = 64_000_000


@dataclass(frozen=True)
class _Section:
    root: Path
    name: str

    @property
    def counts(self) -> Path | None:
        # Also what is there in name only, such as a pipe or a broken link: reading it says why.
        files = [p for end in (".tsv.gz", ".tsv") if os.path.lexists(p := self._counts(end))]
        if len(files) > 1:
            raise InputError(
                f"The counts of section {self.name} are there twice",
                got=", ".join(p.name for p in files),
                expected="one file",
                fix="Move the other elsewhere",
            )
        return files[0] if files else None

    def _counts(self, end: str) -> Path:
        return self.root / _COUNTS / f"{self.name}{end}"

    @property
    def spots(self) -> Path:
        return self.root / _SPOTS / f"{self.name}_selection.tsv"

    @property
    def images(self) -> list[Path]:
        """Files of the section's folder with the ending of an image."""
        top = self.root / _IMAGES
        patients = [p for p in listed(top) if p.is_dir()] if top.is_dir() else []
        folders = [p / self.name for p in patients if (p / self.name).is_dir()]
        return [
            p
            for folder in folders
            for p in listed(folder)
            if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
        ]

    @property
    def image(self) -> Path | None:
        if len(found := self.images) > 1:
            raise InputError(
                f"Section {self.name} has several images",
                got=", ".join(str(p.relative_to(self.root)) for p in found),
                expected="one",
                fix="Open the one that the spots were found on, or name it with image=",
            )
        return found[0] if found else None


def claims(path: Path) -> bool:
    """Whether the path is a collection, or a section's counts or image in one; never raises."""
    try:
        return _is_root(path) or _section(path) is not None
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
    """Open one section, or every section of a collection that has an image.

    Selected spots with counts are kept; spot ids are "XxY" in array coordinates. The scale comes
    from the pitch of the array, because the image's own dpi is a placeholder.

    Raises
    ------
    InputError
        Where image, spots or counts of a section are missing or do not fit.
    """
    if (section := _section(path)) is not None:
        if region is not None and region != section.name:
            raise InputError(f"{path.name} is section {section.name}", got=f"region={region!r}")
        return [_read_section(section, path, mpp=mpp, image=image, name=name)]
    tables = [p for p in listed(path / _COUNTS) if p.name.endswith(_TABLES)]
    names = sorted({p.name.split(".")[0] for p in tables})
    sections = {section: _Section(path, section) for section in names}
    if region is not None:
        chosen = [s for s in names if region in (s, element_name(s))]
        if not chosen:
            raise InputError(
                f"{path.name} has no section {region!r}",
                got=", ".join(names) or "no section",
                fix="Name one of these with region=",
            )
        return [_read_section(sections[chosen[0]], path, mpp=mpp, image=image, name=name)]
    if image is not None or name is not None:
        raise InputError(f"{path.name} is a collection", fix="Open one of its sections")
    with_image = [s for s in names if sections[s].images and sections[s].spots.is_file()]
    if not with_image:
        raise InputError(
            f"No section of {path.name} has an image", expected=f"{_IMAGES}/A/A1/*.jpg"
        )
    return read_each(
        with_image,
        lambda s: _read_section(sections[s], path, mpp=mpp, image=None, name=None),
        f"A section of {path.name}",
    )


def _is_root(path: Path) -> bool:
    return (path / _COUNTS).is_dir() and (path / _SPOTS).is_dir()


def _section(path: Path) -> _Section | None:
    """The section that a file of a collection belongs to, by where it lies."""
    path = path.absolute()
    if path.parent.name == _COUNTS and path.name.endswith(_TABLES):
        return _Section(path.parent.parent, path.name.split(".")[0])
    deep = len(path.parts) > 4 and path.parts[-4] == _IMAGES
    if deep and path.suffix.lower() in IMAGE_SUFFIXES and _is_root(path.parents[3]):
        return _Section(path.parents[3], path.parent.name)
    return None


def _read_section(
    section: _Section,
    path: Path,
    *,
    mpp: float | None,
    image: str | Path | None,
    name: str | None,
) -> Slide:
    name = name or section.name
    array = _read_spots(section)
    picture: Path | None
    if image is not None:
        with reading(f"The image {image} cannot be found", fix="Check the path"):
            picture = Path(image).expanduser()
    else:
        picture = path if path.suffix.lower() in IMAGE_SUFFIXES else section.image
    if picture is None:
        raise InputError(
            f"The image of section {section.name} is missing",
            expected=f"{_IMAGES}/{section.name[0]}/{section.name}/*.jpg",
            fix="Copy it there, or name it with image=; counts alone can serve for pre-training",
        )
    loaded = load_image(picture)
    spots = array[array["selected"]].drop(columns="selected")
    adata = None
    if section.counts is not None:
        adata = read_counts(section.counts)
        both = spots.index[spots.index.isin(adata.obs_names)]
        if both.empty:
            raise InputError(
                f"Counts and spots of {section.name} have no spot in common",
                got=f"{adata.obs_names[0]} in the counts, {spots.index[0]} among the spots",
                expected="files of one section",
                fix="Copy counts and spots of the section again from their source",
            )
        if dropped := len(spots) - len(both):
            warnings.warn(
                f"{name}: {dropped} selected spots have no counts; {len(both)} are kept",
                UmpireWarning,
                stacklevel=2,
            )
        spots, adata = spots.loc[both].copy(), adata[both].copy()
    check_overlap(
        loaded.pyramid.extent, spots[["y", "x"]].to_numpy(), name=name, image=picture.name
    )
    spots["instance_id"] = np.arange(len(spots), dtype=np.int64)
    spots = tidy_spots(spots)
    candidates = dict(loaded.stated)
    if (pitch_px := square_pitch_px(array)) is not None:
        candidates["spot pitch"] = ST_PITCH_UM / pitch_px
    scale = resolve_scale(candidates, mpp, name=name)
    check_on_tissue(loaded.pyramid, spots[["y", "x"]].to_numpy(), scale.mpp, name=name)
    return build_slide(
        name,
        loaded.pyramid,
        spots,
        scale,
        platform="st",
        pitch_um=ST_PITCH_UM,
        spot_diameter_um=ST_SPOT_UM,
        adata=adata,
        path=path,
        # A collection's section is found again by its own name, whatever the slide is called.
        region=element_name(section.name) if path.is_dir() else None,
    )


def _read_spots(section: _Section) -> pd.DataFrame:
    """All spots of the section's file, indexed "XxY", px of the image."""
    path = section.spots
    if not path.is_file():
        raise InputError(
            f"The spot positions of section {section.name} are missing",
            expected=f"{_SPOTS}/{path.name}",
            fix="Copy the file there",
        )
    expected = "columns " + ", ".join(_COLUMNS)
    with (
        reading(f"The spot positions {path.name} cannot be read", expected=expected),
        unzipped(path, limit=_MOST_TEXT, what=path.name) as stream,
    ):
        table = pd.read_csv(stream, sep="\t", float_precision="round_trip", encoding="utf-8-sig")
        numbers = table[list(_COLUMNS)].astype(np.float64)
    known = np.isfinite(numbers.to_numpy()).all(axis=1)
    if unknown := int((~known).sum()):
        warnings.warn(
            f"{section.name}: {counted(unknown, 'spot')} of {path.name} without a position "
            f"{'is' if unknown == 1 else 'are'} left out",
            UmpireWarning,
            stacklevel=4,
        )
    table, numbers = table[known], numbers[known]
    lines = table.index.astype(str)
    x = whole_numbers(numbers["x"], lines, where=path.name)
    y = whole_numbers(numbers["y"], lines, where=path.name)
    ids = pd.Index([f"{column}x{row}" for column, row in zip(x, y, strict=True)], dtype=object)
    if ids.empty or not ids.is_unique:
        what = "no spot" if ids.empty else f"{ids[ids.duplicated()][0]} more than once"
        raise InputError(f"{path.name} lists {what}", expected="each spot once", fix=COPY_AGAIN)
    px = numbers[["pixel_y", "pixel_x"]].to_numpy()
    if not (np.abs(px) <= FARTHEST_PX).all() or (len(px) > 1 and (px == px[0]).all()):
        raise InputError(
            f"The spot positions in {path.name} are impossible",
            got=f"pixel_y {px[:, 0].min():.4g} to {px[:, 0].max():.4g}, pixel_x "
            f"{px[:, 1].min():.4g} to {px[:, 1].max():.4g}",
            expected=f"a place of its own for each spot, below {FARTHEST_PX:,.0f} px",
            fix="Copy the file again from its source",
        )
    selected = flags(table["selected"], ids, where=path.name) if "selected" in table else np.True_
    return pd.DataFrame(
        {"selected": selected, "array_row": y, "array_col": x, "y": px[:, 0], "x": px[:, 1]},
        index=ids,
    )
