"""What a prediction's correlation is held against: permuted spots, adjacent spots, half counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.scores.correlation import Centred, centre, correlate
from napari_umpire.inference.scores.table import ControlScores
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide

__all__ = ["Controls"]

N_PERMUTATIONS = 20
_PERMUTED_GENES = 2000
_MOST_COUNTS = 60_000_000  # entries of a table that is read once more: some 1 GB


class Controls:
    """Gathers the controls of a slide's genes, block by block.

    Parameters
    ----------
    rows
        Spots that count, (n,) int64.
    candidates
        Numbers of the genes that are both predicted and measured.
    seed
        Of the permutations, the genes drawn for them, and the split of the counts.
    """

    def __init__(self, slide: Slide, rows: np.ndarray, candidates: np.ndarray, seed: int) -> None:
        self._slide, self._rows, self._seed = slide, rows, seed
        rng = np.random.default_rng(seed)
        n_genes = min(_PERMUTED_GENES, len(candidates))
        self._drawn = np.sort(rng.choice(candidates, n_genes, replace=False))
        self._orders = [rng.permutation(len(rows)) for _ in range(N_PERMUTATIONS)]
        self._permuted: dict[int, np.ndarray] = {}
        self._adjacent = _adjacency(slide, rows)
        self._placed = np.diff(self._adjacent.indptr) > 0
        self._half: np.ndarray | None = None
        self._column: dict[str, int] = {}
        self._unreliable = "not asked for"

    def split_counts(self) -> Steps[None]:
        """Read the counts, deal each to one of two halves, and correlate these."""
        from napari_umpire.inference.genes.measured import keyed_counts
        from napari_umpire.inference.scores.reliability import half_correlations

        yield Progress("Reading the counts", 0, 0, "")
        counts, frame = keyed_counts(self._slide)
        if counts.nnz > _MOST_COUNTS:
            self._unreliable = f"more than {_MOST_COUNTS:,} counts"
            return
        self._half = yield from half_correlations(counts, self._rows, seed=self._seed)
        self._column = {str(key): number for number, key in enumerate(frame.index)}
        self._unreliable = ""

    def neighbours(self, block: np.ndarray, centred: Centred) -> np.ndarray:
        """PCC of each gene's measured values with the mean of the adjacent spots, (m,).

        Spots without an adjacent one do not count.
        """
        if not self._placed.any():
            return np.full(block.shape[1], np.nan)
        if self._placed.all():
            return correlate(centre(self._adjacent @ block), centred)
        near = (self._adjacent @ block)[self._placed]
        return correlate(centre(near), centre(block[self._placed]))

    def half_counts(self, names: list[str]) -> np.ndarray:
        """PCC of the two halves of the counts, (m,); NaN where they were not split."""
        if self._half is None:
            return np.full(len(names), np.nan)
        return self._half[[self._column[name] for name in names]]

    def permute(self, genes: np.ndarray, predicted: Centred, measured: Centred) -> None:
        """Correlate the drawn ones among ``genes``, (m,) numbers, with permuted measurements."""
        which = np.flatnonzero(np.isin(genes, self._drawn))
        if len(which):
            p, m = predicted.take(which), measured.take(which)
            pcc = np.stack([correlate(p, m, order) for order in self._orders])
            self._permuted[int(genes[which[0]])] = pcc

    def result(self) -> ControlScores:
        """What was gathered."""
        # In order of the genes, whichever came first.
        found = [self._permuted[first] for first in sorted(self._permuted)]
        pcc = np.concatenate(found, axis=1) if found else np.empty((0, 0))
        pcc = pcc[:, np.isfinite(pcc).all(axis=0)]
        means = tuple(float(v) for v in pcc.mean(axis=1)) if pcc.size else ()
        return ControlScores(means, pcc.shape[1], self._unreliable)


def _adjacency(slide: Slide, rows: np.ndarray) -> sp.csr_matrix:
    """(n, n) float32: each row the mean of the adjacent counted spots; empty where none is."""
    import scipy.sparse as sp

    from napari_umpire.slides.neighbourhood import neighbours
    from napari_umpire.slides.scale import nearest_pitch_px

    n = len(rows)
    yx = slide.yx[rows]
    pitch = slide.pitch_um / slide.scale.mpp if slide.scale.mpp else nearest_pitch_px(yx)
    if n < 2 or not pitch:
        return sp.csr_matrix((n, n), dtype=np.float32)
    near = neighbours(yx, pitch)
    row, place = np.nonzero(near >= 0)
    share = 1 / np.maximum(1, (near >= 0).sum(axis=1))
    parts = (share[row].astype(np.float32), (row, near[row, place]))
    return sp.csr_matrix(parts, shape=(n, n))
