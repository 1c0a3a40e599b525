"""A prediction kept: its table in a store, and its run record beside that.

The command line and the desk both save by `save_steps`, so that either repeats the other's run.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress, Steps
from napari_umpire.words import size_on_disk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.inference.predictions.record import RunRecord
    from napari_umpire.slides.slide import Slide

__all__ = ["Saved", "check_place", "place_of", "save_steps"]

_SPARE = 32 * 2**20
"""Bytes for what a store holds beside the table, such as the overview image of a new one."""


@dataclass(frozen=True)
class Saved:
    """Where a prediction is now.

    Attributes
    ----------
    store, element
        The store, and the name of the table in it; or an ``.h5ad`` file, and "".
    record
        The run record beside the store.
    n_spots, n_genes
        Size of the table.
    """

    store: Path
    element: str
    record: Path
    n_spots: int
    n_genes: int

    def describe(self) -> str:
        """Where it is, in a sentence."""
        what = f"table {self.element!r} in {self.store}" if self.element else str(self.store)
        return f"{self.n_spots:,} spots, {self.n_genes:,} genes: {what}, record {self.record}"


def save_steps(
    slide: Slide,
    prediction: GenePrediction,
    record: RunRecord,
    *,
    store: str | Path | None = None,
    labels: Sequence[SpotLabels] = (),
    columns: Mapping[str, np.ndarray] | None = None,
) -> Steps[Saved]:
    """Write a prediction as a new table, and the record that repeats it.

    Parameters
    ----------
    record
        The run; its ``genes``, ``std`` and ``name`` say what to write.
    store
        The store to write to, or to make; None: the slide's own, or one beside what was opened.
        A new ``.h5ad`` file is for the table alone, without image and spots.
    labels
        Classes of the spots, written as categories of obs with their colours in uns.
    columns
        More of each spot, (n_spots,) by name, written as columns of obs.

    Raises
    ------
    InputError
        For an unknown gene, a table too large, a place that cannot be written to or has too
        little room. Nothing is left half-written.
    """
    from napari_umpire.inference.predictions.table import table_bytes, table_steps
    from napari_umpire.slides.results import write_results

    genes = [prediction.find(gene) for gene in record.genes] or None
    yield Progress("Looking at the place", 0, 0, "")
    n_genes = None if genes is None else len(set(genes))
    check_place(place_of(slide, store), table_bytes(prediction, n_genes, std=record.std))
    table = yield from table_steps(prediction, genes, std=record.std)
    # Not the key of the prediction alone: a table taken out of its store repeats as it was saved.
    table.uns["umpire"] = record.to_uns()
    add_columns(table, labels, columns or {})
    yield Progress("Writing and reading back", 0, 0, "")
    # No report from here to the end: there is nothing to wait for, and nothing to cancel.
    if store is not None and Path(store).suffix == ".h5ad":
        path = place_of(slide, store)
        return Saved(path, "", _write_file(slide, table, path, record.to_yaml()), *table.shape)
    text = record.to_yaml()
    written = write_results(slide, table, name=record.name, store=store, record=text)
    assert written.record is not None
    return Saved(written.path, written.element, written.record, *table.shape)


def add_columns(
    table: AnnData, labels: Sequence[SpotLabels], columns: Mapping[str, np.ndarray]
) -> None:
    """Put classes and values of the spots into obs, under names that stores allow."""
    from napari_umpire.inference.classes.labels import to_obs
    from napari_umpire.slides.elements import element_name

    taken = {str(name).lower() for name in table.obs}

    def free(name: str) -> str:
        name, number = element_name(name), 1
        while (found := name if number == 1 else f"{name}_{number}").lower() in taken:
            number += 1
        taken.add(found.lower())
        return found

    for name, values in columns.items():
        table.obs[free(name)] = np.asarray(values)
    for one in labels:
        name = free(one.name)
        table.obs[name] = to_obs(one)
        table.uns[f"{name}_colors"] = list(one.colours)
        if one.probability is not None:
            table.obs[free(f"{name}_probability")] = one.probability.astype(np.float32)


def place_of(slide: Slide, store: str | Path | None = None) -> Path:
    """The store that a result of ``slide`` goes to; `InputError` where it has no place."""
    from napari_umpire.slides.result_place import store_beside

    if store is not None:
        return Path(store).expanduser().absolute()
    own = slide.sdata.path
    return store_beside(slide) if own is None else Path(own).absolute()


def check_place(store: Path, n_bytes: int) -> None:
    """Refuse, before the work, a place that cannot be written to or has too little room.

    Parameters
    ----------
    n_bytes
        Size of the table in memory; on disk it takes less, as a rule, and never twice as much.
    """
    around = store.parent
    while not around.exists() and around != around.parent:
        around = around.parent
    inside = store / "tables"
    try:
        for folder in (around, inside if inside.is_dir() else store):
            if folder.is_dir():
                # By trying: rights and mounts say less than the disk does.
                with tempfile.TemporaryFile(dir=folder):
                    pass
        free = shutil.disk_usage(around).free
    except OSError as error:
        raise InputError(
            f"The result cannot be written to {store}: {_why(error)}",
            got=error,
            fix="Save it elsewhere",
        ) from error
    needed = n_bytes + _SPARE
    if free < needed:
        raise InputError(
            f"The disk of {around} has too little room for the table",
            got=f"{size_on_disk(free)} free",
            expected=f"{size_on_disk(needed)}",
            fix="Free space there, write fewer genes, or save elsewhere",
        )


def _why(error: OSError) -> str:
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "it is read-only"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return "the disk refuses"


def _put_new(part: Path, path: Path) -> None:
    """Let ``part`` appear as ``path``, never in place of a file that another program made."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # exFAT and some network disks have no links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "File exists", str(path)) from None
        os.rename(part, path)


def _write_file(slide: Slide, table: AnnData, path: Path, record: str) -> Path:
    """Write a table as a new ``.h5ad`` file, read it back, and return the record beside it."""
    import anndata

    from napari_umpire.files import remove_leftovers, scratch_beside
    from napari_umpire.slides.elements import quiet_libraries
    from napari_umpire.slides.record_file import record_beside
    from napari_umpire.slides.table_check import check_numbers, differences

    check_numbers(table, name=slide.name)
    remove_leftovers(path)
    if os.path.lexists(path):
        raise InputError(f"{path} already exists", fix="Choose another name")
    try:
        with scratch_beside(path) as folder, quiet_libraries():
            part = folder / f"table{path.suffix}"
            table.write_h5ad(part)
            found = differences(table, anndata.read_h5ad(part))
            if found:
                raise InputError(
                    "The written table differs from the result when read back",
                    got=", ".join(found),
                    fix="Check the disk, and write again",
                )
            with part.open("rb+") as written:
                os.fsync(written.fileno())
            with record_beside(record, path, "", scratch=folder, of=path) as file:
                _put_new(part, path)
    except FileExistsError as error:
        raise InputError(f"{path} already exists", fix="Choose another name") from error
    except OSError as error:
        raise InputError(
            f"The table cannot be written to {path}: {_why(error)}",
            got=error,
            fix="Make room there, or save elsewhere",
        ) from error
    assert file is not None
    return file
