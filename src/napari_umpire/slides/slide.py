"""`Slide`: one section with its image, its spots and, where measured, its counts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import scipy.sparse as sp
    from anndata import AnnData
    from spatialdata import SpatialData

    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import PhysicalScale
    from napari_umpire.slides.source_stamp import SourceStamp
    from napari_umpire.slides.tissue import TissueMask

__all__ = ["SPOT_COLUMNS", "Slide", "tidy_spots"]

SPOT_COLUMNS = ("y", "x", "instance_id", "array_row", "array_col")


@dataclass(frozen=True, eq=False, repr=False)
class Slide:
    """One section, over a `SpatialData`; every reader returns this.

    Attributes
    ----------
    name
        Short name for layers, tables and records.
    sdata
        The hub: images (c, y, x), shapes (the spots) and, where measured, the table.
    pyramid
        The image, read tile by tile.
    spots
        One row per spot in tissue; index = spot id (barcode, "XxY" or "spot_00001"), unique, str.
        Columns ``y``, ``x``: centre in full-resolution px, float64 (pixel i covers [i, i + 1));
        ``instance_id``: the spot's value in the table's instance key; ``array_row``,
        ``array_col`` where the platform has them.
    scale
        um per full-resolution px, and where that came from.
    pitch_um, spot_diameter_um
        Distance of neighbouring spot centres and spot diameter, um.
    platform
        "visium", "st" (legacy Spatial Transcriptomics) or "image" (no measurement, gridded spots).
    region
        Name of the shapes element in ``sdata`` that holds the spots.
    table
        Name of the table with counts, None where nothing was measured.
    path
        What was opened; None for slides made in memory.
    stamp
        What its files were then; None where nobody looked.
    scene
        What it is called among the slides of an image file, or the samples of a Space Ranger
        folder, that holds several; else None.
    """

    name: str
    sdata: SpatialData
    pyramid: Pyramid
    spots: pd.DataFrame
    scale: PhysicalScale
    pitch_um: float
    spot_diameter_um: float
    platform: Literal["visium", "st", "image"]
    region: str
    table: str | None = None
    path: Path | None = None
    stamp: SourceStamp | None = None
    scene: str | None = None

    def __repr__(self) -> str:
        height, width = self.pyramid.extent
        measured = f"counts in {self.table!r}" if self.has_counts else "not measured"
        spots = f"{'grid of ' if self.platform == 'image' else ''}{self.n_spots} spots"
        return (
            f"<Slide {self.name!r}: {self.platform}, {spots}, {measured}, "
            f"{height:.0f} x {width:.0f} px, {self.scale.describe()}>"
        )

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return len(self.spots)

    @property
    def has_counts(self) -> bool:
        """Whether gene counts were measured on this slide."""
        return self.table is not None

    @property
    def mpp(self) -> float:
        """Um per full-resolution px; raises `InputError` where it is not known."""
        return self.scale.require(self.name)

    @property
    def yx(self) -> np.ndarray:
        """Spot centres, (n_spots, 2) float64, full-resolution px."""
        return self.spots[["y", "x"]].to_numpy(np.float64)

    @property
    def tissue(self) -> TissueMask:
        """Where the tissue lies, computed once; raises `InputError` where the scale is unknown."""
        from napari_umpire.slides.tissue import tissue_of

        return tissue_of(self.pyramid, self.mpp)

    @cached_property
    def adata(self) -> AnnData:
        """The table's rows for `spots`, in their order; obs_names are the spot ids."""
        if self.table is None:
            raise InputError(
                f"Slide {self.name} has no gene counts",
                expected="a slide with a measured count table",
                fix="Choose a slide that was measured, or predict its genes with a model",
            )
        part = self.sdata.tables[self.table][self._table_rows].copy()
        part.obs_names = self.spots.index
        return part

    @cached_property
    def obs(self) -> pd.DataFrame:
        """The table's columns about spots, rows as `spots`; empty where there is no table.

        Other than `adata` it copies no counts.
        """
        if self.table is None:
            return pd.DataFrame(index=self.spots.index)
        return self.sdata.tables[self.table].obs.iloc[self._table_rows].set_axis(self.spots.index)

    @property
    def _table_rows(self) -> np.ndarray:
        """Row of the table for each of `spots`."""
        full = self.sdata.tables[self.table]
        attrs = full.uns["spatialdata_attrs"]
        mine = full.obs[attrs["region_key"]].astype(str) == self.region
        rows = pd.Series(np.flatnonzero(mine), index=full.obs[attrs["instance_key"]][mine])
        return rows.loc[self.spots["instance_id"]].to_numpy()

    def counts(self) -> sp.csr_matrix:
        """Raw counts, (n_spots, n_genes) CSR, rows as `spots`, columns as `genes`.

        Raises
        ------
        InputError
            Where an entry is negative, NaN, infinite or no integer: names the gene and the spot.
        """
        from napari_umpire.genes.checks import check_counts

        adata = self.adata
        return check_counts(
            adata.X,
            genes=adata.var_names,
            spots=adata.obs_names,
            where=self.name if self.path is None else self.path,
        )

    @property
    def genes(self) -> pd.DataFrame:
        """Measured genes in column order: index = name in the table, columns ``id`` (Ensembl id
        or ""), ``symbol`` (or "").
        """
        from napari_umpire.genes.columns import gene_table

        return gene_table(self.adata.var)

    @cached_property
    def digest(self) -> str:
        """Digest of image content (coarse level and one fine tile), spots and scale: cache key."""
        h = hashlib.sha256()
        for level in self.pyramid.levels:
            h.update(repr((level.shape, level.downsample)).encode())
        rows, cols = self.pyramid.levels[0].grid
        h.update(self.pyramid.levels[0].read_tile(rows // 2, cols // 2).tobytes())
        last = self.pyramid.levels[-1]
        for r in range(min(last.grid[0], 4)):
            for c in range(min(last.grid[1], 4)):
                h.update(last.read_tile(r, c).tobytes())
        h.update(self.yx.tobytes())
        h.update("\n".join(self.spots.index).encode())
        h.update(repr(self.scale.mpp).encode())
        return h.hexdigest()[:16]

    def check_source(self) -> None:
        """Raise `InputError` where another program has changed the files since they were opened."""
        if self.stamp is not None:
            self.stamp.check(self.name)

    def with_scale(self, scale: PhysicalScale) -> Slide:
        """The same slide at another physical scale; gridded spots stay where they are."""
        return replace(self, scale=scale)


def tidy_spots(spots: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Slide.spots` in their order, the index unnamed."""
    tidy = spots[[c for c in SPOT_COLUMNS if c in spots]].copy()
    tidy.index = pd.Index(tidy.index.astype(str), name=None)
    return tidy
