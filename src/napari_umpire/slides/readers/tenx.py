"""Count matrices as Space Ranger and Cell Ranger write them: HDF5 of both layouts, and MTX."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.bounded import check_file, unzipped
from napari_umpire.errors import InputError
from napari_umpire.faults import COPY_AGAIN, reading
from napari_umpire.files import listed
from napari_umpire.slides.elements import quiet_libraries
from napari_umpire.slides.readers.hdf5 import check_hdf5
from napari_umpire.words import size_on_disk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from anndata import AnnData

__all__ = ["read_tenx"]

# Space Ranger's own lines are 20 to 80 bytes long.
_LONGEST_LINE, _NAME_BYTES, _ENTRY_BYTES = 65_536, 512, 64
_SLACK = 1_000_000
# Genes of two species and probes are 100,000; the finest bins of Visium HD are 11 million.
_MOST = {"genes": 2_000_000, "barcodes": 20_000_000}
# An entry takes six bytes or more. Real matrices are packed to a quarter; a hundredth is a trap.
_LEAST_ENTRY_BYTES, _MOST_PACKED = 6, 100


def read_tenx(path: Path) -> AnnData:
    """Return counts: obs index = barcode, var index = unique symbol.

    ``var`` keeps ``gene_ids`` (Ensembl) and ``symbol`` (as stored, duplicates included). Only gene
    expression is kept where the file also holds antibodies and the like.

    Parameters
    ----------
    path
        An .h5 file, an .mtx file beside its tables, or a folder that holds these.

    Raises
    ------
    InputError
        Where the file is cut short, is no count matrix, names files outside of itself, or claims
        more than it can hold.
    """
    from napari_umpire.genes.checks import check_sparse

    expected = "a complete matrix as Space Ranger writes it"
    with reading(f"The counts {path.name} cannot be read", expected=expected), quiet_libraries():
        adata = _read_h5(path) if path.suffix == ".h5" else _read_mtx(_matrix_of(path))
        check_sparse(adata.X, where=path.name)
        if "feature_types" in adata.var:
            adata = adata[:, (adata.var["feature_types"] == "Gene Expression").to_numpy()].copy()
        adata.var["symbol"] = adata.var_names.astype(str)
        adata.var_names_make_unique()
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()][0]
        raise InputError(
            f"{path.name} holds the barcode {twice} more than once",
            expected="each barcode once",
            fix=COPY_AGAIN,
        )
    if not adata.n_vars:
        raise InputError(
            f"The counts {path.name} hold no gene",
            expected="features of the type Gene Expression",
            fix="Choose the counts of gene expression",
        )
    return adata


def _read_h5(path: Path) -> AnnData:
    import scanpy as sc

    check_hdf5(path)
    return sc.read_10x_h5(path, gex_only=False)


def _matrix_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [p for p in listed(path) if p.name.endswith(("matrix.mtx", "matrix.mtx.gz"))]
    if len(found) > 1:
        raise InputError(
            f"{path.name} holds several count files",
            got=", ".join(p.name for p in found),
            expected="one",
            fix="Move the others elsewhere",
        )
    if not found:
        raise InputError(
            f"{path.name} holds no matrix.mtx",
            expected="matrix.mtx, features.tsv and barcodes.tsv, or these packed as .gz",
            fix="Copy the folder again from its source",
        )
    return found[0]


def _read_mtx(matrix: Path) -> AnnData:
    from anndata import AnnData
    from scipy.io import mmread
    from scipy.sparse import csr_matrix

    n_genes, n_barcodes, n_entries = _claimed(matrix)
    prefix = matrix.name[: matrix.name.rindex("matrix.mtx")]
    features = _table(matrix.parent, prefix, ("features.tsv", "genes.tsv"), n_genes)
    barcodes = _table(matrix.parent, prefix, ("barcodes.tsv",), n_barcodes)
    if (len(features), len(barcodes)) != (n_genes, n_barcodes):
        raise InputError(
            f"The tables beside {matrix.name} do not fit it",
            got=f"{_counted(features, n_genes)} genes and {_counted(barcodes, n_barcodes)} "
            "barcodes",
            expected=f"{n_genes:,} genes and {n_barcodes:,} barcodes",
            fix="Copy the folder again from its source",
        )
    limit = _SLACK + n_entries * _ENTRY_BYTES
    with _unzipped(matrix, limit) as stream:
        counts = mmread(stream)
    if counts.dtype.kind not in "iuf":
        raise ValueError(f"values of the type {counts.dtype}")
    # Gene lists of one column hold symbols only.
    names = features[min(1, features.shape[1] - 1)].to_numpy()
    var = pd.DataFrame({"gene_ids": features[0].to_numpy()}, index=names)
    if features.shape[1] > 2:
        var["feature_types"] = features[2].to_numpy()
    obs = pd.DataFrame(index=barcodes[0].to_numpy())
    return AnnData(csr_matrix(counts.T, dtype=np.float32), obs=obs, var=var)


def _claimed(matrix: Path) -> tuple[int, int, int]:
    """Genes, barcodes and entries by the header, as far as the file can hold them."""
    size = check_file(matrix)
    with _unzipped(matrix, _SLACK) as stream:
        kind, numbers = _header(stream)
    if len(numbers) < 2:
        raise ValueError("a header without the numbers of genes and barcodes")
    n_genes, n_barcodes, *more = numbers
    n_entries = more[0] if more else n_genes * n_barcodes
    held = size * (_MOST_PACKED if matrix.suffix == ".gz" else 1) / _LEAST_ENTRY_BYTES
    if "coordinate" not in kind:
        held *= _LEAST_ENTRY_BYTES / 2
    for what, n, most in (
        ("genes", n_genes, _MOST["genes"]),
        ("barcodes", n_barcodes, _MOST["barcodes"]),
        ("entries", n_entries, held + 1),
    ):
        if not 0 <= n <= most:
            raise InputError(
                f"The counts {matrix.name} cannot be read",
                got=f"{n:,} {what} by its header, in a file of {size_on_disk(size)}",
                expected="a complete matrix as Space Ranger writes it",
                fix="Copy the file again from its source",
            )
    return n_genes, n_barcodes, n_entries


def _unzipped(path: Path, limit: int) -> AbstractContextManager[IO[bytes]]:
    what = f"{path.parent.name}/{path.name}"
    return unzipped(path, limit=limit, longest_line=_LONGEST_LINE, what=what)


def _header(stream: IO[bytes]) -> tuple[str, list[int]]:
    kind = stream.readline().decode("utf-8-sig", "replace").lower()
    if not kind.startswith("%%matrixmarket"):
        raise ValueError(f"{kind[:40]!r} in place of the header of a Matrix Market file")
    line = stream.readline()
    while line.startswith(b"%") or (line and not line.strip()):
        line = stream.readline()
    return kind, [int(word) for word in line.split()]


def _table(folder: Path, prefix: str, names: tuple[str, ...], n_rows: int) -> pd.DataFrame:
    for name in names:
        for path in (folder / f"{prefix}{name}.gz", folder / f"{prefix}{name}"):
            if not path.is_file():
                continue
            with _unzipped(path, _SLACK + n_rows * _NAME_BYTES) as stream:
                return pd.read_csv(
                    stream,
                    sep="\t",
                    header=None,
                    dtype=str,
                    na_filter=False,
                    encoding="utf-8-sig",
                    nrows=n_rows + 1,
                )
    raise InputError(f"{folder.name} holds no {prefix}{names[0]}", fix="Copy it beside the matrix")


def _counted(table: pd.DataFrame, n: int) -> str:
    return f"more than {n:,}" if len(table) > n else f"{len(table):,}"
