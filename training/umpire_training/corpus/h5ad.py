"""h5ad files as sources of counts, read a few thousand rows at a time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_umpire.bounded import check_file
from napari_umpire.faults import reading
from umpire_training.corpus.sources import Chunk, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["H5adSource"]

_ROWS = 4096


@dataclass(frozen=True)
class H5adSource(Source):
    """An AnnData file, read a few thousand rows at a time.

    The raw counts are the layer "counts" where there is one, else `raw`, else X; anything that is
    not integer is refused by `check_counts`. Spots that the column ``in_tissue`` says are beside
    the tissue are left out.
    """

    layout: ClassVar[str] = "h5ad"

    def _raw(self) -> Iterator[Chunk]:
        import scipy.sparse as sp

        from napari_umpire.genes import check_sparse
        from napari_umpire.genes.columns import gene_table

        with self._opened() as table:
            with self._readable():
                var = table.var
                if "counts" in table.layers:
                    matrix = table.layers["counts"]
                elif table.raw is not None:
                    matrix, var = table.raw.X, table.raw.var
                else:
                    matrix = table.X
                genes = gene_table(var)
                tissue = _in_tissue(table.obs)
            for start in range(0, table.n_obs, _ROWS):
                rows = slice(start, min(start + _ROWS, table.n_obs))
                with self._readable():
                    part = matrix[rows]
                check_sparse(part, where=self.path)
                inside = np.flatnonzero(tissue[rows])
                counts = sp.csr_matrix(part)
                yield Chunk(
                    counts if len(inside) == counts.shape[0] else counts[inside],
                    genes,
                    np.asarray(table.obs_names[rows])[inside],
                    start + inside,
                    outside=counts.shape[0] - len(inside),
                )

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file, with its counts left on disk."""
        import anndata as ad

        check_file(Path(self.path), self.path)
        with self._readable():
            table = ad.read_h5ad(self.path, backed="r")
        try:
            yield table
        finally:
            table.file.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say which file it is that cannot be read."""
        with reading(
            f"{self.path} is not a readable h5ad file",
            expected="an AnnData file with raw counts in X, raw or the layer 'counts'",
            fix="Write or copy it again",
        ):
            yield


def _in_tissue(obs: pd.DataFrame) -> np.ndarray:
    """(n,) bool; all True where the file does not say."""
    if "in_tissue" not in obs:
        return np.ones(len(obs), bool)
    # 0/1, booleans, or either as text, by who wrote the file.
    return ~obs["in_tissue"].astype(str).isin(["0", "0.0", "False", "false"]).to_numpy()
