"""Counts as a text table, spots by genes, as early Spatial Transcriptomics shares them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["read_counts"]


def read_counts(path: str | Path) -> AnnData:
    """Read a table of counts with a row per spot ("XxY") and a column per gene symbol.

    Also of use without an image: pre-training needs counts only.

    Returns
    -------
    anndata.AnnData
        ``X`` (n_spots, n_genes) float32 CSR, ``var["symbol"]``.

    Raises
    ------
    InputError
        Where the file is absent, cut short, or holds something other than numbers.
    """
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    path = Path(path)
    try:
        table = pd.read_csv(path, sep="\t", index_col=0, low_memory=False)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(
            f"The counts {path.name} cannot be read",
            got=error,
            expected="a table with tabs, a row per spot and a column per gene",
            fix="Copy the file again from its source",
        ) from error
    words = table.columns[[not pd.api.types.is_numeric_dtype(t) for t in table.dtypes]]
    if len(words) or table.empty:
        raise InputError(
            f"{path.name} is no table of counts",
            got=f"words in the column {words[0]}" if len(words) else "an empty table",
            expected="numbers, a row per spot and a column per gene",
        )
    spots = table.index.astype(str)
    if not spots.is_unique:
        raise InputError(f"{path.name} lists {spots[spots.duplicated()][0]} more than once")
    counts = csr_matrix(table.to_numpy(np.float32))
    symbols = table.columns.astype(str)
    adata = AnnData(
        counts, obs=pd.DataFrame(index=spots), var=pd.DataFrame({"symbol": symbols}, index=symbols)
    )
    adata.var_names_make_unique()
    return adata
