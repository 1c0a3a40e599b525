"""The folder layout of HEST-1k: st/ID.h5ad, with patches/, wsis/, metadata/ and an index csv.

Read with anndata and h5py. The index csv says species and technology; a sample that it does not
list is judged by its metadata file and its genes. Partial downloads are the rule: what is in st/
is what there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from napari_umpire.bounded import read_json
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import visible
from umpire_training.corpus.h5ad import H5adSource
from umpire_training.corpus.sources import Unreadable

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide
    from umpire_training.corpus.images import SpotImages
    from umpire_training.corpus.sources import Source

__all__ = ["HestSource", "hest_sources"]

_SCALES = ("pixel_size_um_estimated", "pixel_size_um_embedded")


@dataclass(frozen=True)
class HestSource(H5adSource):
    """One sample of a HEST-1k folder."""

    layout: ClassVar[str] = "HEST-1k"

    @property
    def root(self) -> Path:
        """The folder of the collection."""
        return Path(self.path).parent.parent

    @property
    def sample(self) -> str:
        """The id by which the collection's files are called."""
        return Path(self.path).stem

    @property
    def _patches(self) -> Path:
        return self.root / "patches" / f"{self.sample}.h5"

    def images(self) -> SpotImages:
        """The patches of the collection where they are there, else those cut from its image."""
        if not self._patches.is_file():
            return super().images()
        from umpire_training.corpus.hest_patches import HestPatches

        spots, pitch_px = self._spots()
        return HestPatches(self.name, self._patches, spots, mpp=self._mpp(), pitch_px=pitch_px)

    def whole_image(self) -> Slide:
        """The collection's image of the section."""
        image = next(iter(sorted((self.root / "wsis").glob(f"{self.sample}.tif*"))), None)
        if image is None and self._patches.is_file():
            raise InputError(
                f"Sample {self.name} of {self.root} has patches only, and no image of the whole "
                "section",
                got=f"patches/{self.sample}.h5, which serves prepare and align",
                expected=f"wsis/{self.sample}.tif besides",
                fix="Download it, or leave the sample out",
            )
        if image is None:
            raise InputError(
                f"Sample {self.name} of {self.root} has no image",
                expected=f"wsis/{self.sample}.tif, or patches/{self.sample}.h5 to train on",
                fix="Download it, or name the sample with --counts",
            )
        from napari_umpire.slides.build import build_slide
        from napari_umpire.slides.images import load_image
        from napari_umpire.slides.place import check_overlap
        from napari_umpire.slides.scale import PhysicalScale

        spots, pitch_px = self._spots()
        mpp = self._mpp()
        pyramid = load_image(image).pyramid
        yx = spots[["y", "x"]].to_numpy()
        check_overlap(pyramid.extent, yx, name=self.name, image=image.name)
        return build_slide(
            self.name,
            pyramid,
            spots.assign(instance_id=np.arange(len(spots))),
            PhysicalScale(mpp, "metadata", {"metadata": mpp}),
            platform="st" if self.technology.lower().startswith("spatial") else "visium",
            pitch_um=pitch_px * mpp,
            spot_diameter_um=0.5 * pitch_px * mpp,
            path=Path(self.path),
        )

    def _spots(self) -> tuple[pd.DataFrame, float]:
        """Centres in full-resolution px by spot id, and their pitch, px."""
        from napari_umpire.slides.scale import nearest_pitch_px

        with self._opened() as table:
            if "spatial" not in table.obsm:
                raise InputError(
                    f"{self.path} does not say where its spots are",
                    expected="obsm['spatial'], pixel x and y",
                    fix="Download the file again",
                )
            with self._readable():
                xy = np.asarray(table.obsm["spatial"], np.float64)[:, :2]
                ids = table.obs_names.astype(str)
        spots = pd.DataFrame({"y": xy[:, 1], "x": xy[:, 0]}, index=ids)
        return spots, nearest_pitch_px(spots[["y", "x"]].to_numpy()) or float("nan")

    def _mpp(self) -> float:
        facts = read_metadata(self.root, self.sample)
        row = index_row(self.root, self.sample)
        for values in (facts, row):
            for key in _SCALES:
                try:
                    mpp = float(values.get(key) or "nan")
                except (TypeError, ValueError):
                    continue
                if np.isfinite(mpp) and mpp > 0:
                    return mpp
        raise InputError(
            f"The physical scale of sample {self.name} is not known",
            expected=f"{_SCALES[0]} in metadata/{self.sample}.json or in the index csv",
            fix="Download the metadata",
        )


def hest_sources(path: Path) -> list[Source] | None:
    """The samples of a HEST-1k folder, or the one whose h5ad file is named; None if it is none."""
    if path.suffix == ".h5ad" and path.parent.name == "st":
        root, files = path.parent.parent, [path]
        if not any((root / n).is_dir() for n in ("metadata", "patches", "wsis")):
            return None
    elif (path / "st").is_dir():
        root, files = path, visible((path / "st").glob("*.h5ad"))
    else:
        return None
    if not files:
        raise InputError(
            f"{path} has no sample", expected="st/ID.h5ad", fix="Download some samples' h5ad files"
        )
    sources: list[Source] = []
    for file in files:
        row = index_row(root, file.stem)
        try:
            facts = read_metadata(root, file.stem)
        except InputError as error:
            # The other samples of the collection are none the worse.
            sources.append(Unreadable(file.stem, str(file), error=error))
            continue
        sources.append(
            HestSource(
                file.stem,
                str(file),
                species=str(row.get("species") or facts.get("species") or ""),
                technology=str(row.get("st_technology") or facts.get("st_technology") or ""),
            )
        )
    return sources


def read_metadata(root: Path, name: str) -> dict[str, Any]:
    """metadata/NAME.json; empty where it is absent."""
    path = root / "metadata" / f"{name}.json"
    if not path.is_file():
        return {}
    tree = read_json(path, what=str(path))
    return tree if isinstance(tree, dict) else {}


def index_row(root: Path, name: str) -> dict[str, Any]:
    """The sample's row of the newest index csv; empty where there is none."""
    table = _index(root, tuple((p, p.stat().st_mtime_ns) for p in sorted(root.glob("HEST*.csv"))))
    return table.get(name, {})


_read: dict[Any, dict[str, dict[str, Any]]] = {}


def _index(root: Path, files: tuple[tuple[Path, int], ...]) -> dict[str, dict[str, Any]]:
    if files not in _read:
        rows: dict[str, dict[str, Any]] = {}
        for path, _ in files:
            with reading(f"{path} is not a table"):
                table = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
            if {"id", "species"} <= set(table.columns):
                rows |= {
                    str(r["id"]): {str(k): v for k, v in r.items()}
                    for r in table.to_dict("records")
                }
        _read.clear()
        _read[files] = rows
    return _read[files]
