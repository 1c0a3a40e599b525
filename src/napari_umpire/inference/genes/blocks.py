"""Predicted and measured expression of many genes at once, in blocks of bounded size."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.inference.predictions.prediction import GenePrediction, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import scipy.sparse as sp

    from napari_umpire.inference.genes.measured import Measured

__all__ = ["THREADS", "MeasuredBlocks", "PredictedBlocks", "block_size", "blocks", "in_threads"]

THREADS = min(2, os.cpu_count() or 1)
"""Blocks that are computed at once; more of them wait for each other in Python."""

_VALUES = 24_000_000  # float32 of all arrays of one block: some 100 MB
_LARGEST = 512
_STRIP = 128  # genes of one product; of more, too little stays in the cache of the processor


def block_size(*rows: int) -> int:
    """How many genes to take at once where each has arrays of so many rows."""
    return int(np.clip(_VALUES // max(1, sum(rows)), 1, _LARGEST))


def blocks(n: int, size: int) -> Iterator[slice]:
    """Cut ``range(n)`` into slices of at most ``size``."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def in_threads(
    take: Callable[[slice], None], parts: Iterable[slice], threads: int
) -> Iterator[slice]:
    """Call ``take`` for all parts, some of them at once; yields each before it is waited for.

    Numpy and scipy let go of the interpreter in their loops, so that threads do share the work.
    Closed early, it ends after the parts under way.
    """
    waiting: deque[tuple[slice, Future[None]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for part in parts:
                waiting.append((part, pool.submit(take, part)))
                if len(waiting) > threads:
                    yield waiting[0][0]
                    waiting.popleft()[1].result()
            while waiting:
                yield waiting[0][0]
                waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()


class PredictedBlocks:
    """Gene maps of a prediction, many genes at a time.

    The same values as `GenePrediction.gene_map`, to float32 rounding: W restricted to the
    references that it uses, times their expression of a block of genes.

    Parameters
    ----------
    prediction
        Of whatever method; one without references is asked gene by gene.
    rows
        Spots to compute, (n,) int64; None: all.
    """

    def __init__(self, prediction: GenePrediction, rows: np.ndarray | None = None) -> None:
        self._prediction = prediction
        self._rows = np.arange(prediction.n_spots) if rows is None else np.asarray(rows, np.int64)
        self._weights: sp.csr_matrix | None = None
        self.n_used = 0
        if isinstance(prediction, Prediction):
            import scipy.sparse as sp

            indices = prediction.indices[self._rows]
            self._used, place = np.unique(indices, return_inverse=True)
            self.n_used = len(self._used)
            parts = (
                prediction.weight[self._rows].ravel().astype(np.float32),
                place.ravel(),
                np.arange(len(indices) + 1) * prediction.k,
            )
            self._weights = sp.csr_matrix(parts, shape=(len(indices), self.n_used))

    @property
    def n_spots(self) -> int:
        """Number of spots computed."""
        return len(self._rows)

    def block(self, keys: Sequence[str]) -> np.ndarray:
        """Predicted expression, (n_spots, n_keys) float32 log1p CP10k, NaN where there is none.

        Parameters
        ----------
        keys
            Keys of the prediction's genes.
        """
        prediction = self._prediction
        if self._weights is None or not isinstance(prediction, Prediction):
            maps = [prediction.gene_map(key)[self._rows] for key in keys]
            return np.stack(maps, axis=1) if maps else np.empty((self.n_spots, 0), np.float32)
        reference = prediction.reference
        values = reference.columns(keys, self._used)
        # Genes that the same references measured share their weights.
        alike: dict[bytes, tuple[np.ndarray | None, list[int]]] = {}
        slides = reference.slide_of[self._used]
        by_slide = reference.measured[:, reference.genes.index.get_indexer(pd.Index(keys))]
        everywhere = by_slide[np.unique(slides)].all(axis=0)
        for number in range(len(keys)):
            who = None if everywhere[number] else by_slide[:, number]
            pattern = b"" if who is None else np.packbits(who).tobytes()
            measured = None if who is None or pattern in alike else who[slides]
            alike.setdefault(pattern, (measured, []))[1].append(number)
        out = np.empty((self.n_spots, len(keys)), np.float32)
        for measured, numbers in alike.values():
            weights, total = self._weights, None
            if measured is not None:
                weights = weights.copy()
                weights.data *= measured[weights.indices]
                total = np.asarray(weights.sum(axis=1), np.float32)
            for start in range(0, len(numbers), _STRIP):
                some = numbers[start : start + _STRIP]
                product = weights @ np.ascontiguousarray(values[some].T)
                if total is not None:
                    known = np.broadcast_to(total > 0, product.shape)
                    product = np.divide(
                        product, total, out=np.full_like(product, np.nan), where=known
                    )
                out[:, some] = product
        return out


class MeasuredBlocks:
    """What was measured, many genes at a time.

    Parameters
    ----------
    rows
        Spots, (n,) int64; None: all.
    """

    def __init__(self, measured: Measured, rows: np.ndarray | None = None) -> None:
        self._expression = measured.expression
        if rows is not None and not np.array_equal(rows, np.arange(len(measured.detected))):
            self._expression = measured.expression[rows]
        self._column = {str(key): number for number, key in enumerate(measured.genes.index)}

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self._expression.shape[0])

    def block(self, keys: Sequence[str]) -> np.ndarray:
        """Measured expression, (n_spots, n_keys) float32 log1p CP10k."""
        part = self._expression[:, [self._column[key] for key in keys]]
        return part.toarray().astype(np.float32, copy=False)
