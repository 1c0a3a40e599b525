"""Expression of the reference spots, gene by gene, read from disk as far as it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.genes.normalise import LARGEST, is_expression
from napari_umpire.inference.references.format import REBUILD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ExpressionColumns"]

_FEW = 8
"""Spots are looked up one by one where a gene has so many times more values."""


@dataclass(frozen=True, eq=False)
class ExpressionColumns:
    """A CSC matrix on disk, (R, n_genes) float32 log1p CP10k.

    Attributes
    ----------
    path
        Of the reference, for what goes wrong.
    n
        Number of reference spots, R.
    keys
        Gene of each column.
    data, rows
        (nnz,) values above 0 and the spots they are of, ascending within a gene.
    ends
        (n_genes + 1,) where each gene begins and ends.
    """

    path: Path
    n: int
    keys: Sequence[str]
    data: np.ndarray
    rows: np.ndarray
    ends: np.ndarray

    def column(self, number: int) -> np.ndarray:
        """One gene of all spots, (R,) float32.

        Raises
        ------
        InputError
            Where the file is damaged.
        """
        rows, values = self._checked(number)
        out = np.zeros(self.n, np.float32)
        out[rows] = values
        return out

    def of_spots(self, numbers: Sequence[int], spots: np.ndarray) -> np.ndarray:
        """Some genes of some spots, (n_genes, n_spots) float32.

        Of few spots only their own values are read, and checked.

        Parameters
        ----------
        numbers
            Columns.
        spots
            (n_spots,) int64, ascending, each once.

        Raises
        ------
        InputError
            Where the file is damaged.
        """
        out = np.zeros((len(numbers), len(spots)), np.float32)
        if not len(spots):
            return out
        # Of one type, or each look-up would make a copy of all rows of a gene.
        wanted = spots.astype(self.rows.dtype)
        place: np.ndarray | None = None
        for i, number in enumerate(numbers):
            a, b = int(self.ends[number]), int(self.ends[number + 1])
            if b - a > _FEW * len(spots):
                rows = self.rows[a:b]
                at = np.minimum(np.searchsorted(rows, wanted), b - a - 1)
                there = np.flatnonzero(rows[at] == wanted)
                values = self.data[a:b][at[there]]
                self._check_values(number, values)
                out[i, there] = values
                continue
            rows, values = self._checked(number)
            if place is None:
                place = np.full(self.n, -1, np.int64)
                place[spots] = np.arange(len(spots))
            at = place[rows]
            there = at >= 0
            out[i, at[there]] = values[there]
        return out

    def check(self) -> None:
        """Look at every value.

        Raises
        ------
        InputError
            Where one is negative, not finite, or larger than log1p CP10k can be.
        """
        for a in range(0, len(self.data), 1 << 24):
            if not is_expression(self.data[a : a + (1 << 24)]):
                raise self._damaged(f"The expression in {self.path} is damaged")

    def _checked(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(self.ends[number], self.ends[number + 1])
        rows, values = self.rows[part], self.data[part]
        if len(rows) and not (rows[0] >= 0 and rows[-1] < self.n and np.all(rows[1:] > rows[:-1])):
            raise InputError(
                f"The rows of gene {self.keys[number]} in {self.path} are damaged", fix=REBUILD
            )
        self._check_values(number, values)
        return rows, values

    def _check_values(self, number: int, values: np.ndarray) -> None:
        if not is_expression(values):
            gene = self.keys[number]
            raise self._damaged(f"The expression of gene {gene} in {self.path} is damaged")

    def _damaged(self, problem: str) -> InputError:
        return InputError(
            problem,
            got="values that are negative, not finite or too large",
            expected=f"log1p of counts scaled to 10,000: 0 to {LARGEST:.2f}",
            fix=REBUILD,
        )
