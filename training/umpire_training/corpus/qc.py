"""Which spots are good enough to learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide
    from umpire_training.options import QcOptions

__all__ = ["good_spots", "passes"]


def passes(counts: sp.csr_matrix, options: QcOptions) -> np.ndarray:
    """Whether each spot has enough detected genes and counts.

    Spots outside tissue never get here: a `Slide` holds the spots in tissue only. One count in a
    nearly empty spot becomes log1p(CP10k) = 9.2 and outweighs a hundred good spots, hence the
    paper's bound of 100 genes.

    Parameters
    ----------
    counts
        (n_spots, n_genes) canonical CSR, no stored zeros.

    Returns
    -------
    (n_spots,) bool.
    """
    detected = np.diff(counts.indptr)
    total = np.asarray(counts.sum(axis=1)).ravel()
    return (detected >= max(options.min_genes, 1)) & (total >= options.min_counts)


def good_spots(slide: Slide, qc: QcOptions) -> Slide:
    """The slide with the spots that pass ``qc`` only."""
    keep = passes(slide.counts(), qc)
    if not keep.any():
        raise InputError(
            f"No spot of slide {slide.name} passed quality control",
            expected=f"spots with at least {qc.min_genes} detected genes",
        )
    return slide if keep.all() else replace(slide, spots=slide.spots[keep])
