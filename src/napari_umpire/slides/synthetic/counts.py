"""Counts of a synthetic section: negative binomial around programmes tied to the tissue."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
import scipy.sparse as sp

from napari_umpire.slides.synthetic.layout import REGIONS

__all__ = ["draw_counts", "expected_expression", "gene_table", "rates"]

# Log-fold change of a programme in each region (order of REGIONS), then with the gradient.
_EFFECTS: dict[str, tuple[list[float], float]] = {
    "tumour": ([2.3, -0.7, -0.9, -1.2, -0.5], -0.8),
    "proliferation": ([1.4, 0.6, -1.0, -1.2, -0.8], 2.6),
    "pibf": ([1.3, 0.9, -1.1, -1.6, -0.9], 1.8),
    "immune": ([-0.9, 2.4, -0.3, -0.8, -0.6], 0.3),
    "stroma": ([-1.0, -0.6, 2.0, 0.2, -0.3], 0.3),
    "fat": ([-1.4, -1.2, -0.4, 3.0, -1.2], 0.2),
    "necrosis": ([-0.1, -0.7, -0.5, -0.8, 2.5], 0.6),
    "vessel": ([-0.5, -0.3, 0.8, 0.7, -0.9], 0.2),
    "macrophage": ([-0.2, 0.7, 0.1, 0.1, 1.1], 0.3),
    "common": ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0),
    "mitochondrial": ([0.4, -0.2, -0.2, -0.3, -0.9], -0.4),
    "synthetic": ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0),
}
# Mean share of a spot's counts, relative: (median, sd of the log) over the genes of a programme.
_ABUNDANCE = {"common": (6.0, 0.9), "mitochondrial": (45.0, 0.5), "synthetic": (0.5, 1.2)}
_OTHER_ABUNDANCE = (1.2, 0.8)
# Counts per spot that each region gives: cells per spot differ.
_DEPTH = np.array([9000.0, 6500.0, 4200.0, 1800.0, 2200.0])
_DISPERSION = 0.12
# The genes are the same on every slide, so their constants come from one fixed seed.
_GENE_SEED = 20_240_117
_NAMED_ABUNDANCE = {"PIBF1": 8.0, "ERBB2": 9.0, "EPCAM": 5.0, "COL1A1": 14.0, "CD3D": 4.0}


@cache
def gene_table() -> pd.DataFrame:
    """Return the genes: index = symbol, columns ``id`` (Ensembl id, "" for invented genes),
    ``symbol``, ``programme``. "SYN0001" and so on are invented, the others real.
    """
    with (files(__package__) / "genes.csv").open("r") as handle:
        genes = pd.read_csv(handle, keep_default_na=False)
    return genes.set_index("symbol", drop=False).rename_axis(None)


@cache
def _constants() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the genes' base shares (g,), region effects (5, g) and gradient slopes (g,), logs."""
    genes = gene_table()
    rng = np.random.default_rng(_GENE_SEED)
    base, effects, slope = [], [], []
    for symbol, programme in zip(genes["symbol"], genes["programme"], strict=True):
        median, sd = _ABUNDANCE.get(programme, _OTHER_ABUNDANCE)
        share = np.log(median) + rng.normal(0, sd)
        by_region, by_gradient = _EFFECTS[programme]
        spread = 0.6 if programme == "synthetic" else 0.2
        effects.append(np.array(by_region) + rng.normal(0, spread, len(REGIONS)))
        slope.append(by_gradient + rng.normal(0, 0.3))
        base.append(np.log(_NAMED_ABUNDANCE[symbol]) if symbol in _NAMED_ABUNDANCE else share)
    return np.array(base), np.array(effects).T, np.array(slope)


def rates(composition: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the mean counts of each spot at unit library size, (n_spots, n_genes) float64.

    Parameters
    ----------
    composition
        (n_spots, 5), share of each region in the spot, rows sum to 1.
    gradient
        (n_spots,) in [0, 1].
    """
    base, effects, slope = _constants()
    # Each region is a mixture component with its own profile; a spot adds up what it covers.
    profile = np.exp(base + effects)
    share = np.exp(slope * (gradient[:, None] - 0.5))
    profile *= (_DEPTH / profile.sum(axis=1))[:, None]
    return (composition @ profile) * share


def draw_counts(mean: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
    """Return negative binomial counts around ``mean`` with library sizes that vary by spot.

    Parameters
    ----------
    mean
        (n_spots, n_genes), as `rates` gives it.

    Returns
    -------
    CSR (n_spots, n_genes) int32.
    """
    library = np.exp(rng.normal(0.0, 0.35, (len(mean), 1)))
    gamma = rng.gamma(1 / _DISPERSION, _DISPERSION, mean.shape)
    return sp.csr_matrix(rng.poisson(mean * library * gamma).astype(np.int32))


def expected_expression(mean: np.ndarray) -> np.ndarray:
    """Return log1p of ``mean`` scaled to 10,000 per spot, (n_spots, n_genes) float32."""
    return np.log1p(mean * (1e4 / mean.sum(axis=1, keepdims=True))).astype(np.float32)
