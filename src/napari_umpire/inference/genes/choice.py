"""Which genes a score is about, chosen on training slides only."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import scipy.sparse as sp

__all__ = ["GENE_CHOICES", "MIN_DETECTED", "GeneChoice", "choose_genes"]

GeneChoice = Literal["HEG", "VAR", "HVG"]
GENE_CHOICES: tuple[str, ...] = get_args(GeneChoice)
MIN_DETECTED = 0.1
"""Part of the training spots in which a gene must be found, as long as nothing else is asked."""


def choose_genes(
    parts: Iterable[sp.csr_matrix],
    kind: GeneChoice,
    n: int,
    *,
    min_detected: float = MIN_DETECTED,
) -> np.ndarray:
    """Choose ``n`` genes on the training slides.

    HEG: highest mean of log1p CP10k. VAR: highest variance of it. HVG: highest dispersion of CP10k
    within bins of the mean, as a z-score by median and MAD (scanpy's "cell_ranger" flavour).
    All over the pooled training spots. Genes chosen on a held-out slide flatter every method,
    the permuted one most, so give training slides only.

    Parameters
    ----------
    parts
        Expression of each training slide, (n_spots, n_genes) log1p CP10k, same genes.
    min_detected
        Part of the training spots in which a gene must be found to be a candidate.

    Returns
    -------
    (n,) int64 columns, best first; equal values by column.

    Raises
    ------
    InputError
        Another `kind`, or fewer than `n` candidates.
    """
    import scipy.sparse as sp

    if kind not in GENE_CHOICES:
        raise InputError(
            "Unknown choice of genes", got=repr(kind), expected=", ".join(GENE_CHOICES)
        )
    # Sums slide by slide: the training set need not fit in memory twice.
    kept: list[sp.csr_matrix] = []
    spots = 0
    total = squares = found = np.zeros(1)
    for part in parts:
        x = sp.csr_matrix(part)
        spots += x.shape[0]
        total = total + np.asarray(x.sum(axis=0, dtype=np.float64)).ravel()
        squares = squares + np.asarray(x.power(2).sum(axis=0, dtype=np.float64)).ravel()
        found = found + np.bincount(x.indices[x.data != 0], minlength=x.shape[1])
        if kind == "HVG":
            kept.append(x)
    if not spots:
        raise InputError("No training spots to choose genes on", expected="at least one slide")
    mean = total / spots
    candidates = np.flatnonzero((found >= min_detected * spots) & (found > 0))
    if len(candidates) < n:
        raise InputError(
            f"Too few genes to choose the {kind}{n} from",
            got=f"{len(candidates)} genes found in at least {min_detected:.0%} of {spots} spots",
            expected=f"at least {n}",
            fix="Choose fewer genes, or add spots",
        )
    if kind == "HEG":
        rank_by = mean[candidates]
    elif kind == "VAR":
        rank_by = (squares / spots - mean**2)[candidates]
    else:
        rank_by = _dispersion(sp.vstack(kept, format="csr")[:, candidates], n)
    return candidates[np.argsort(-rank_by, kind="stable")[:n]]


def _dispersion(expression: sp.csr_matrix, n: int) -> np.ndarray:
    import anndata as ad
    import scanpy as sc

    linear = expression.astype(np.float64)
    np.expm1(linear.data, out=linear.data)
    table = ad.AnnData(linear)
    with np.errstate(divide="ignore", invalid="ignore"), _same_threads():
        result = sc.pp.highly_variable_genes(
            table, flavor="cell_ranger", n_top_genes=n, inplace=False
        )
    # A bin of one gene, or of equal dispersions, has no spread to measure a gene by.
    score = result["dispersions_norm"].to_numpy(np.float64)
    return np.where(np.isfinite(score), score, -np.inf)


@contextmanager
def _same_threads() -> Iterator[None]:
    """Leave the number of OpenMP threads as it is.

    scanpy starts numba's threads, and they raise it to all cores for torch too, whatever the user
    or a scheduler set. With other work on the machine, torch is then twenty times slower.
    """
    from threadpoolctl import ThreadpoolController

    before = [(lib, lib.num_threads) for lib in ThreadpoolController().lib_controllers]
    try:
        yield
    finally:
        for lib, n in before:
            lib.set_num_threads(n)
