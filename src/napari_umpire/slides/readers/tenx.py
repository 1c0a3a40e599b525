"""Count matrices as Space Ranger and Cell Ranger write them: HDF5 of both layouts, and MTX."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.slides.elements import quiet_libraries

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

__all__ = ["TenxCounts", "find_counts"]

_KINDS = ("filtered", "raw")


@dataclass(frozen=True)
class TenxCounts:
    """Where the counts of a folder lie.

    Attributes
    ----------
    path
        The .h5 file, or the folder with the .mtx file.
    filtered
        Whether it holds only the barcodes under tissue.
    """

    path: Path
    filtered: bool

    def read(self) -> AnnData:
        """Return the counts: obs index = barcode, var index = unique symbol.

        ``var`` keeps ``gene_ids`` (Ensembl) and ``symbol`` (as stored, duplicates included). Only
        gene expression is kept where the file also holds antibodies and the like.

        Raises
        ------
        InputError
            Where the file is cut short or is no count matrix.
        """
        problems = (OSError, EOFError, KeyError, IndexError, ValueError, TypeError, zlib.error)
        try:
            with quiet_libraries():
                adata = _read_mtx(self.path) if self.path.is_dir() else _read_h5(self.path)
        except InputError:
            raise
        except problems as error:
            raise InputError(
                f"The counts {self.path.name} cannot be read",
                got=error,
                expected="a complete matrix as Space Ranger writes it",
                fix="Copy the file again from its source",
            ) from error
        adata.var["symbol"] = adata.var_names.astype(str)
        adata.var_names_make_unique()
        if not adata.obs_names.is_unique:
            twice = adata.obs_names[adata.obs_names.duplicated()][0]
            raise InputError(f"{self.path.name} holds the barcode {twice} more than once")
        return adata


def find_counts(outs: Path) -> TenxCounts | None:
    """Find the counts of a Space Ranger folder: filtered before raw, .h5 before .mtx.

    File names may carry a prefix, as on 10x's pages. None where the folder holds none.
    """
    for kind in _KINDS:
        stem = f"{kind}_feature_bc_matrix"
        files = sorted(outs.glob(f"*{stem}.h5"))
        if len(files) > 1:
            raise InputError(
                f"{outs.name} holds several count files",
                got=", ".join(p.name for p in files),
                expected="one",
                fix="Move the others elsewhere",
            )
        folders = [p for p in sorted(outs.glob(f"*{stem}")) if p.is_dir() and _matrix(p)]
        if found := files or folders:
            return TenxCounts(found[0], kind == "filtered")
    return TenxCounts(outs, True) if _matrix(outs) else None


def _matrix(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*matrix.mtx*"))), None)


def _read_h5(path: Path) -> AnnData:
    import scanpy as sc

    from napari_umpire.genes.checks import check_sparse

    try:
        adata = sc.read_10x_h5(path, gex_only=False)
    # scanpy says that a dataset is missing with a bare Exception, which has no narrower name.
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ValueError(str(error)) from error
    check_sparse(adata.X, where=path.name)
    if "feature_types" in adata.var:
        adata = adata[:, adata.var["feature_types"] == "Gene Expression"].copy()
    return adata


def _read_mtx(folder: Path) -> AnnData:
    from anndata import AnnData
    from scipy.io import mmread
    from scipy.sparse import csr_matrix

    matrix = _matrix(folder)
    if matrix is None:
        raise InputError(f"{folder.name} holds no matrix.mtx")
    prefix = matrix.name[: matrix.name.index("matrix.mtx")]
    features = _table(folder, prefix, ("features.tsv", "genes.tsv"))
    barcodes = _table(folder, prefix, ("barcodes.tsv",))
    counts = csr_matrix(mmread(matrix).T, dtype=np.float32)
    if counts.shape != (len(barcodes), len(features)):
        raise InputError(
            f"The tables of {folder.name} do not fit its matrix",
            got=f"{len(features)} genes and {len(barcodes)} barcodes",
            expected=f"{counts.shape[1]} genes and {counts.shape[0]} barcodes",
            fix="Copy the folder again from its source",
        )
    var = pd.DataFrame({"gene_ids": features[0].to_numpy()}, index=features[1].to_numpy())
    adata = AnnData(counts, obs=pd.DataFrame(index=barcodes[0].to_numpy()), var=var)
    if features.shape[1] > 2:
        adata.var["feature_types"] = features[2].to_numpy()
        adata = adata[:, (features[2] == "Gene Expression").to_numpy()].copy()
    return adata


def _table(folder: Path, prefix: str, names: tuple[str, ...]) -> pd.DataFrame:
    for name in names:
        for path in (folder / f"{prefix}{name}.gz", folder / f"{prefix}{name}"):
            if path.is_file():
                table = pd.read_csv(path, sep="\t", header=None, dtype=str, na_filter=False)
                # Gene lists of one column hold symbols only.
                return (
                    table
                    if table.shape[1] > 1
                    else table.assign(**{"1": table[0]}).set_axis([0, 1], axis=1)
                )
    raise InputError(f"{folder.name} holds no {prefix}{names[0]}", fix="Copy it beside the matrix")
