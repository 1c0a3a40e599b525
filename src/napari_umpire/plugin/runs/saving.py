"""What the Results widget saves of a slide: which genes, which columns, where to, how large."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.inference.predictions.record import RunRecord
    from napari_umpire.inference.predictions.saving import Saved
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = [
    "GENE_CHOICES",
    "GeneChoice",
    "Place",
    "SaveOrder",
    "extras_of",
    "genes_to_write",
    "place_steps",
    "record_of",
    "save_order",
    "save_steps",
    "size_words",
]

GeneChoice = Literal["all", "listed", "shown"]
GENE_CHOICES: dict[GeneChoice, str] = {
    "all": "all genes",
    "listed": "the genes below",
    "shown": "the gene that is shown",
}


@dataclass(frozen=True, eq=False)
class SaveOrder:
    """All that a save needs; nothing of it is a layer or a widget."""

    slide: Slide
    prediction: GenePrediction
    record: RunRecord
    store: Path | None
    labels: tuple[SpotLabels, ...]
    columns: dict[str, np.ndarray]


@dataclass(frozen=True)
class Place:
    """Where a table will be written.

    Attributes
    ----------
    path
        The store, or an ``.h5ad`` file; None where there is no place.
    what
        What that is, or why there is none.
    """

    path: Path | None
    what: str

    def describe(self) -> str:
        """Path and what it is, in a line."""
        if self.path is None:
            return self.what
        return f"{self.path}: {self.what}; its run record (.yaml) beside it"


def place_steps(slide: Slide, chosen: Path | None) -> Steps[Place]:
    """Find out where a table of ``slide`` goes; stores that lie beside it are looked into.

    Parameters
    ----------
    chosen
        By the user; None: the slide's own store, or one beside it.
    """
    from napari_umpire.inference.predictions.saving import place_of

    yield Progress("Looking at the place", 0, 0, "")
    try:
        path = place_of(slide, chosen)
    except InputError as error:
        return Place(None, f"{error.problem}. Choose one: press Elsewhere…")
    if path.suffix == ".h5ad":
        return Place(path, "the table alone")
    if not path.exists():
        return Place(path, "a new store")
    own = slide.sdata.path is not None and path == place_of(slide)
    return Place(path, "the slide's store" if own else "a store that is there")


def genes_to_write(
    state: SlideState, choice: GeneChoice, names: Sequence[str], shown: str | None
) -> tuple[tuple[str, ...], str]:
    """Names of the genes of the prediction to write, empty for all; and what is left out, in words.

    Parameters
    ----------
    names
        As the user typed them, for "listed".
    shown
        Key of the gene that is shown.

    Raises
    ------
    InputError
        Where none is left.
    """
    from napari_umpire.inference.genes.lists import resolve

    if choice == "all":
        return (), ""
    table = state.genes
    keys: Sequence[str] = () if shown is None or shown not in table else (shown,)
    said = "no gene is shown"
    if choice == "listed":
        found = resolve(names, table.index)
        keys, said = found.keys, found.describe()
    written = [str(table.frame.at[key, "predicted"]) for key in keys]
    kept = tuple(name for name in written if name)
    if not kept:
        raise InputError(
            f"None of these genes was predicted on {state.name}",
            got=said,
            fix="Name genes that are predicted, or save all",
        )
    left_out = said if choice == "listed" and len(kept) < len(names) else ""
    measured_only = len(written) - len(kept)
    if measured_only:
        left_out += f" {measured_only:,} of them are measured, but not predicted."
    return kept, left_out.strip()


def extras_of(state: SlideState) -> dict[str, str]:
    """Key -> title of what can be saved beside the genes: classes, and maps with values."""
    extras = {f"labels:{name}": f"classes: {name}" for name in state.labels}
    for key, spot_map in state.maps.items():
        if spot_map.labels is None:
            extras[f"map:{key}"] = spot_map.title
        elif spot_map.labels.name not in state.labels:
            extras[f"map:{key}"] = f"classes: {spot_map.labels.name}"
    return extras


def record_of(
    prediction: GenePrediction, genes: Sequence[str], *, std: bool, name: str
) -> RunRecord:
    """The record of the run with what is to be written of it."""
    if not name.strip():
        raise InputError("The table needs a name", fix="Write one, such as umpire")
    return replace(prediction.record, genes=tuple(genes), std=std, name=name.strip())


def save_order(
    state: SlideState, record: RunRecord, store: Path | None, extras: Sequence[str]
) -> SaveOrder:
    """Order a save of what is known of a slide.

    Parameters
    ----------
    store
        None: the slide's own store, or one beside it.
    extras
        Keys of `extras_of`.
    """
    if state.prediction is None:
        raise InputError(
            f"Nothing was predicted on {state.name} yet", fix="Run a model in Predict first"
        )
    labels: list[SpotLabels] = []
    columns: dict[str, np.ndarray] = {}
    for extra in extras:
        sort, _, key = extra.partition(":")
        one = state.labels.get(key) if sort == "labels" else state.maps[key].labels
        if one is not None:
            labels.append(one)
        else:
            columns[key] = np.asarray(state.maps[key].values, np.float32)
    return SaveOrder(state.slide, state.prediction, record, store, tuple(labels), columns)


def save_steps(order: SaveOrder) -> Steps[Saved]:
    """Write it: see `inference.saving.save_steps`."""
    from napari_umpire.inference.predictions import saving

    return saving.save_steps(
        order.slide, order.prediction, order.record, store=order.store, labels=order.labels,
        columns=order.columns,
    )  # fmt: skip


def size_words(state: SlideState, n_genes: int | None, *, std: bool, store: Path | None) -> str:
    """How large the table will be, and how much room there is.

    Parameters
    ----------
    n_genes
        None: all.
    """
    from napari_umpire.inference.predictions.table import table_bytes
    from napari_umpire.words import size_on_disk

    prediction = state.prediction
    if prediction is None:
        return ""
    genes = len(prediction.genes) if n_genes is None else n_genes
    size = size_on_disk(table_bytes(prediction, n_genes, std=std))
    said = f"{state.slide.n_spots:,} spots x {genes:,} genes, at most about {size}"
    around = store or state.slide.path
    while around is not None and not around.exists():
        around = None if around == around.parent else around.parent
    if around is None:
        return f"{said}."
    return f"{said}; {size_on_disk(shutil.disk_usage(around).free)} free."
