"""h5ad files as sources of counts, read a few thousand rows at a time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from umpire_training.corpus.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import scipy.sparse as sp

__all__ = ["H5adSource", "gene_table"]

_ROWS = 4096
_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id", "id")
_SYMBOL_COLUMNS = ("symbol", "gene_symbol", "gene_symbols", "feature_name", "gene_name")


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


def gene_table(var: pd.DataFrame) -> pd.DataFrame:
    """Genes of an AnnData as `Slide.genes` gives them: index = name, columns id and symbol."""
    names = var.index.astype(str)
    ensembl = np.asarray(names.str.match(r"^ENS[A-Z]*G\d+"))
    ids = next((var[c].astype(str).to_numpy() for c in _ID_COLUMNS if c in var), None)
    symbols = next((var[c].astype(str).to_numpy() for c in _SYMBOL_COLUMNS if c in var), None)
    return pd.DataFrame(
        {
            "id": np.where(ensembl, names, "") if ids is None else ids,
            "symbol": np.where(ensembl, "", names) if symbols is None else symbols,
        },
        index=names,
    )
