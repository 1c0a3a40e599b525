"""Read the vocabulary files that the UMPIRE authors published, without trusting them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from napari_umpire.bounded import check_file, load_npy
from napari_umpire.errors import InputError
from napari_umpire.faults import reading

__all__ = ["PublishedVocabulary", "read_means", "read_order", "read_published"]

MEANS = "Visium_mean.npy"
ORDER = "model.h5ad"
SYMBOLS = "gene_name_id_dict.pkl"
_ORDER_FILE = "an h5ad file whose var names are the genes"
_FETCH = "Fetch the file again from its authors"


@dataclass(frozen=True, eq=False)
class PublishedVocabulary:
    """Ids in token order, their means, and every symbol -> id entry of the dictionary."""

    ids: list[str]
    means: np.ndarray
    symbol_to_id: dict[str, str]


class _NoGlobals(pickle.Unpickler):
    """Reads str, int, dict and the like; refuses whatever would import or call anything."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to outside objects")


def read_published(folder: str | Path) -> PublishedVocabulary:
    """Read ``Visium_mean.npy``, ``model.h5ad`` and ``gene_name_id_dict.pkl`` of `folder`.

    Raises
    ------
    InputError
        A file that is missing, unreadable, not what it should be, or does not fit the others; a
        pickle that holds anything but text.
    """
    folder = Path(folder)
    missing = [name for name in (MEANS, ORDER, SYMBOLS) if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder} is not a folder with the published vocabulary",
            got=f"no {', '.join(missing)}",
            expected=f"{MEANS}, {ORDER} and {SYMBOLS}",
            fix="Copy the three files of the UMPIRE repository into one folder and name it",
        )
    means = read_means(folder / MEANS)
    ids = read_order(folder / ORDER)
    symbol_to_id = _read_symbols(folder / SYMBOLS)
    if len(ids) != means.size:
        raise InputError(
            f"The published files in {folder} do not belong together",
            got=f"{means.size:,} means in {MEANS} and {len(ids):,} genes in {ORDER}",
            expected="one mean per gene",
        )
    if not set(ids) & set(symbol_to_id.values()):
        raise InputError(
            f"The published files in {folder} do not belong together",
            got=f"no gene of {ORDER} (such as {ids[0]}) in {SYMBOLS}",
            expected="symbols of the same genes",
        )
    return PublishedVocabulary(ids, means, symbol_to_id)


def read_means(path: Path) -> np.ndarray:
    """(n_genes,) float64, the gene means in an npy file without pickle."""
    means = load_npy(path, f"The gene means {path}")
    if means.ndim != 1 or means.dtype.kind not in "fiu":
        raise _unreadable(path, f"shape {means.shape}, type {means.dtype}", "one number per gene")
    return means.astype(np.float64)


def read_order(path: Path) -> list[str]:
    """The gene ids of an h5ad file, in token order."""
    import h5py
    from anndata.io import read_elem

    check_file(path, str(path))
    with (
        reading(f"{path} cannot be used", expected=_ORDER_FILE, fix=_FETCH),
        h5py.File(path) as file,
    ):
        # Only the names: the matrix of this file is a header without meaning.
        var = read_elem(file["var"])
    if not isinstance(var, pd.DataFrame) or var.empty and not len(var.index):
        raise _unreadable(path, "no genes", _ORDER_FILE)
    return [str(name) for name in var.index]


def _read_symbols(path: Path) -> dict[str, str]:
    expected = "a pickle that holds only a dictionary from gene symbol to Ensembl id"
    check_file(path, str(path))
    # What a damaged pickle raises depends on where the damage lies.
    with reading(f"{path} cannot be used", expected=expected, fix=_FETCH), path.open("rb") as file:
        entries = _NoGlobals(file).load()
    if not isinstance(entries, dict) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in entries.items()
    ):
        raise _unreadable(path, f"a {type(entries).__name__} of other things", expected)
    return entries


def _unreadable(path: Path, got: object, expected: str) -> InputError:
    return InputError(
        f"{path} cannot be used",
        got=got,
        expected=expected,
        fix=_FETCH,
    )
