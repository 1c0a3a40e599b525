"""Counts as a text table, spots by genes, as early Spatial Transcriptomics shares them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.bounded import unzipped
from napari_umpire.errors import InputError
from napari_umpire.faults import COPY_AGAIN, reading

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

__all__ = ["read_counts"]

# 8,000 spots by 30,000 genes are 500 MB of text; a line is a spot, or the names of all genes.
_MOST_TEXT, _LONGEST_LINE = 1_000_000_000, 4_000_000
_ROWS_AT_ONCE, _MOST_ROWS = 256, 200_000


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

    path = Path(path)
    expected = "a table with tabs, a row per spot and a column per gene"
    with reading(f"The counts {path.name} cannot be read", expected=expected):
        spots, symbols, counts = _read(path)
    if not spots.is_unique:
        raise InputError(
            f"{path.name} lists {spots[spots.duplicated()][0]} more than once",
            expected="each spot once",
            fix=COPY_AGAIN,
        )
    adata = AnnData(
        counts, obs=pd.DataFrame(index=spots), var=pd.DataFrame({"symbol": symbols}, index=symbols)
    )
    adata.var_names_make_unique()
    return adata


def _read(path: Path) -> tuple[pd.Index, pd.Index, csr_matrix]:
    """Names of spots and genes, and counts; a few rows at a time, most of their counts are 0."""
    from scipy.sparse import csr_matrix, vstack

    spots, blocks, symbols = [], [], pd.Index([])
    with (
        unzipped(
            path,
            limit=_MOST_TEXT,
            longest_line=_LONGEST_LINE,
            what=f"The counts {path.name}",
        ) as stream,
        pd.read_csv(
            stream,
            sep="\t",
            index_col=0,
            low_memory=False,
            encoding="utf-8-sig",
            chunksize=_ROWS_AT_ONCE,
        ) as tables,
    ):
        for table in tables:
            words = [c for c in table if not pd.api.types.is_numeric_dtype(table[c].dtype)]
            if words and not table.empty:
                raise _no_counts(path, f"words in the column {words[0]}")
            spots.append(table.index.astype(str))
            if len(spots) * _ROWS_AT_ONCE > _MOST_ROWS:
                raise _no_counts(path, f"more than {_MOST_ROWS:,} rows")
            symbols = table.columns.astype(str)
            blocks.append(csr_matrix(table.to_numpy(np.float32)))
    if not any(min(block.shape) for block in blocks):
        raise _no_counts(path, "an empty table")
    return spots[0].append(spots[1:]), symbols, csr_matrix(vstack(blocks))


def _no_counts(path: Path, got: str) -> InputError:
    return InputError(
        f"{path.name} is not a table of counts",
        got=got,
        expected="numbers, a row per spot and a column per gene",
        fix="Choose the table of counts, or copy it again from its source",
    )
