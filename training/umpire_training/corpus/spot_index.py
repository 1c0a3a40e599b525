"""spots.parquet of a token corpus: where each spot comes from, and where its tokens are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from umpire_training.corpus.token_files import Piece

__all__ = ["read_index", "write_index"]

COLUMNS = ("spot", "source", "row", "shard", "shard_row", "n_genes", "n_counts", "n_tokens")


def write_index(path: Path, pieces: Sequence[Piece], shard_spots: int) -> None:
    """Join the spots of the pieces, one piece in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 0
    writer: Any = None
    with replace_file(path) as written:
        try:
            for piece in pieces:
                table = pq.read_table(piece.path.with_suffix(".parquet"))
                n = table.num_rows
                shard, row = np.divmod(np.arange(first, first + n), shard_spots)
                names = pa.array([piece.facts["name"]]).dictionary_encode().dictionary
                zeros = pa.array(np.zeros(n, np.int32))
                table = (
                    table.replace_schema_metadata(None)
                    .append_column("source", pa.DictionaryArray.from_arrays(zeros, names))
                    .append_column("shard", pa.array(shard.astype(np.int32)))
                    .append_column("shard_row", pa.array(row.astype(np.int32)))
                    .select(list(COLUMNS))
                )
                if writer is None:
                    writer = pq.ParquetWriter(written, table.schema)
                writer.write_table(table)
                first += n
        finally:
            if writer is not None:
                writer.close()


def read_index(path: Path, columns: Sequence[str] | None, *, n_rows: int) -> pd.DataFrame:
    """Read it, or some of its columns.

    Raises
    ------
    InputError
        Where it is missing, damaged or of another corpus.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is missing or damaged", got=error, fix="Copy it again, or prepare the corpus"
        ) from error
    if table.num_rows != n_rows:
        raise InputError(
            f"{path} is not of this corpus",
            got=f"{table.num_rows:,} spots",
            expected=f"{n_rows:,}",
            fix="Copy it again, or prepare the corpus",
        )
    frame = table.to_pandas()
    return frame.astype({"source": str}) if "source" in frame else frame
