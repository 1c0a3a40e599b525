"""`make_slide`: a whole synthetic Visium section: image, spots, counts, and the truth behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_umpire.slides.overviews import with_overviews
from napari_umpire.slides.pyramid import ArrayLevel
from napari_umpire.slides.scale import VISIUM_PITCH_UM, VISIUM_SPOT_UM, resolve_scale
from napari_umpire.slides.synthetic.counts import (
    draw_counts,
    expected_expression,
    gene_table,
    rates,
)
from napari_umpire.slides.synthetic.histology import render
from napari_umpire.slides.synthetic.layout import CELL_UM, REGIONS, make_layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide

__all__ = ["SyntheticTissue", "make_slide", "make_tissue"]

# Room around the outermost spots, um: a 112 um field around each of them lies in the image.
_MARGIN_UM = 150.0
_BARCODE_SEED = 737


@dataclass(frozen=True, eq=False)
class SyntheticTissue:
    """One synthetic section with everything that is known of it.

    Attributes
    ----------
    name
        Name of the slide that is made of it.
    pixels
        The image, (height, width, 3) uint8.
    mpp
        Um per pixel of ``pixels``.
    spots
        Spots in tissue, as `Slide.spots` without ``instance_id``.
    genes
        Genes in column order, as `synthetic.counts.gene_table`.
    counts
        (n_spots, n_genes) CSR int32.
    composition
        (n_spots, 5) share of each tissue region in the spot; columns are the regions.
    gradient
        (n_spots,) slow change over the section, in [0, 1].
    mean
        (n_spots, n_genes) true mean counts at unit library size.
    """

    name: str
    pixels: np.ndarray
    mpp: float
    spots: pd.DataFrame
    genes: pd.DataFrame
    counts: sp.csr_matrix
    composition: pd.DataFrame
    gradient: np.ndarray
    mean: np.ndarray

    @property
    def region(self) -> pd.Series:
        """The tissue region that covers most of each spot."""
        return self.composition.idxmax(axis=1)

    def truth(self) -> pd.DataFrame:
        """Return the expression that the section was drawn from, without sampling noise.

        (n_spots, n_genes) float32, log1p of the true means scaled to 10,000 per spot.
        """
        return pd.DataFrame(
            expected_expression(self.mean), index=self.spots.index, columns=self.genes.index
        )

    def slide(self) -> Slide:
        """Return the section as a `Slide` in memory, as a reader would.

        What covers most of each spot stands in the table's column ``tissue``, as the annotation of
        a pathologist would.
        """
        from anndata import AnnData

        from napari_umpire.slides.build import build_slide

        variables = pd.DataFrame(
            {"gene_ids": self.genes["id"], "feature_types": "Gene Expression"},
            index=self.genes.index,
        )
        return build_slide(
            self.name,
            with_overviews([ArrayLevel(self.pixels, 1, tile=512)]),
            self.spots.assign(instance_id=np.arange(len(self.spots))),
            resolve_scale({"metadata": self.mpp, "spot pitch": self.mpp}),
            platform="visium",
            pitch_um=VISIUM_PITCH_UM,
            spot_diameter_um=VISIUM_SPOT_UM,
            adata=AnnData(
                self.counts.astype(np.float32),
                obs=self.spots[["array_row", "array_col"]].assign(
                    tissue=pd.Categorical(self.region, categories=REGIONS)
                ),
                var=variables,
            ),
        )


def make_slide(
    seed: int = 0,
    *,
    rows: int = 44,
    cols: int = 28,
    mpp: float = 1.0,
    name: str | None = None,
    more: Mapping[str, float] | None = None,
) -> Slide:
    """Return a synthetic Visium slide; parameters as `make_tissue`."""
    return make_tissue(seed, rows=rows, cols=cols, mpp=mpp, name=name, more=more).slide()


def make_tissue(
    seed: int = 0,
    *,
    rows: int = 44,
    cols: int = 28,
    mpp: float = 1.0,
    name: str | None = None,
    more: Mapping[str, float] | None = None,
) -> SyntheticTissue:
    """Draw one section: the same seed gives the same section, other seeds other layouts and stain.

    Parameters
    ----------
    seed
        Of layout, staining and counts. Genes and their programmes are the same for all seeds.
    rows, cols
        Spot rows of the capture area and spots per row, 100 um apart on a hexagonal grid; about
        0.6 of them lie on tissue.
    mpp
        Um per pixel of the image.
    name
        Default: "synthetic_<seed>".
    more
        Regions that the tissue shall have more of than usual, as `make_layout`.
    """
    rng = np.random.default_rng([seed, 1])
    height_um = (rows - 1) * VISIUM_PITCH_UM * np.sqrt(0.75) + 2 * _MARGIN_UM
    width_um = (cols - 0.5) * VISIUM_PITCH_UM + 2 * _MARGIN_UM
    layout = make_layout(height_um, width_um, rng, more)
    height, width = round(height_um / mpp), round(width_um / mpp)
    spots = _capture_area(rows, cols, height, width, mpp, rng)

    # What a spot covers: the plan averaged over a disc of its size (a Gaussian of equal variance).
    at = (spots[["y", "x"]].to_numpy() * mpp / CELL_UM - 0.5).T
    sigma = VISIUM_SPOT_UM / 4 / CELL_UM
    spots = spots[_sample(layout.tissue, at, sigma) > 0.5]
    at = (spots[["y", "x"]].to_numpy() * mpp / CELL_UM - 0.5).T
    share = np.stack(
        [_sample(layout.weights[..., r], at, sigma) for r in range(len(REGIONS))], axis=1
    )
    composition = pd.DataFrame(share, index=spots.index, columns=list(REGIONS))
    composition = composition.div(composition.sum(axis=1), axis=0)
    gradient = _sample(layout.gradient, at, sigma)
    mean = rates(composition.to_numpy(), gradient)
    return SyntheticTissue(
        name=name or f"synthetic_{seed}",
        pixels=render(layout, height, width, mpp, seed),
        mpp=mpp,
        spots=spots,
        genes=gene_table(),
        counts=draw_counts(mean, rng),
        composition=composition,
        gradient=gradient,
        mean=mean,
    )


def _capture_area(
    rows: int, cols: int, height: int, width: int, mpp: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return all spots of the array: barcode -> y, x (whole px, as Space Ranger has them),
    array_row, array_col. The array lies a little askew, as it does on real slides.
    """
    row, col = (grid.ravel() for grid in np.mgrid[:rows, :cols])
    array_col = 2 * col + row % 2
    yx = np.stack([row * np.sqrt(0.75), array_col / 2], axis=1) * (VISIUM_PITCH_UM / mpp)
    turn = rng.uniform(-0.012, 0.012)
    turned = (yx - yx.mean(axis=0)) @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    )
    centre = np.array([height, width]) / 2
    y, x = np.round(turned + centre).T
    # A barcode names a place of the array, so it is the same on every slide.
    letters = np.array(list("ACGT"))[
        np.random.default_rng(_BARCODE_SEED).integers(0, 4, (rows * cols, 16))
    ]
    names = ["".join(word) + "-1" for word in letters]
    return pd.DataFrame({"y": y, "x": x, "array_row": row, "array_col": array_col}, index=names)


def _sample(field: np.ndarray, at: np.ndarray, sigma: float) -> np.ndarray:
    """Return the smoothed field at ``at`` (2, n), cells."""
    smooth = ndimage.gaussian_filter(field.astype(np.float64), sigma)
    return ndimage.map_coordinates(smooth, at, order=1, mode="nearest")
