"""h5ad files as sources of counts, read a few thousand rows at a time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.genes.columns import gene_table
from umpire_training.corpus.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import scipy.sparse as sp

__all__ = ["H5adSource"]

_ROWS = 4096


@dataclass(frozen=True)
class H5adSource(Source):
    """An AnnData file, read a few thousand rows at a time.

    The raw counts are the layer "counts" where there is one, else `raw`, else X; anything that is
    not integer is refused by `check_counts`.
    """

    def _raw(self) -> Iterator[tuple[sp.csr_matrix, pd.DataFrame, pd.Index]]:
        import anndata as ad
        import scipy.sparse as sp

        from napari_umpire.genes import check_sparse

        with self._readable():
            table = ad.read_h5ad(self.path, backed="r")
        try:
            with self._readable():
                var = table.var
                if "counts" in table.layers:
                    matrix = table.layers["counts"]
                elif table.raw is not None:
                    matrix, var = table.raw.X, table.raw.var
                else:
                    matrix = table.X
                genes = gene_table(var)
            for start in range(0, table.n_obs, _ROWS):
                rows = slice(start, min(start + _ROWS, table.n_obs))
                with self._readable():
                    part = matrix[rows]
                check_sparse(part, where=self.path)
                yield sp.csr_matrix(part), genes, table.obs_names[rows]
        finally:
            table.file.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say which file it is that cannot be read."""
        try:
            yield
        except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
            raise InputError(
                f"{self.path} is not a readable h5ad file",
                got=error,
                expected="an AnnData file with raw counts in X, raw or the layer 'counts'",
                fix="Write or copy it again",
            ) from error
