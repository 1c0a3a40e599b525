"""Groups of spots that can be compared: drawn regions, the selection, classes, the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.plugin.layers.drawing import drawn_layers, region_names, region_rows
from napari_umpire.words import counted

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["REST", "SpotGroup", "group_problem", "pair_words", "rest_of", "spot_groups"]

REST = ("rest",)
_HOW = "press Draw, click round it on the slide, and end with a double click"


@dataclass(frozen=True, eq=False)
class SpotGroup:
    """Some spots of a slide, and where they come from.

    Attributes
    ----------
    key
        Tells it from the others, the same as long as it lives.
    name
        As in a table: "A", "tumour".
    source
        As in a list: "A, drawn".
    rows
        (n,) int64 ascending.
    note
        What the user should know of it, "" where nothing.
    """

    key: tuple[str, ...]
    name: str
    source: str
    rows: np.ndarray
    note: str = ""


def spot_groups(session: Session, state: SlideState) -> dict[tuple[str, ...], SpotGroup]:
    """What is drawn on a slide, selected on it, and its classes, by key; in that order."""
    found: list[SpotGroup] = []
    viewer = session.viewer
    for layer in () if viewer is None else drawn_layers(viewer, state):
        found += _drawn(state, layer)
    selected = session.selection.get(state.name)
    if selected is not None:
        found.append(SpotGroup(("selection",), "selection", "selected spots", selected))
    for labels in state.labels.values():
        for code, category in enumerate(labels.categories):
            rows = np.flatnonzero(labels.codes == code)
            key = ("class", labels.name, category)
            found.append(SpotGroup(key, category, f"{category}, of {labels.name}", rows))
    return {group.key: group for group in found}


def _drawn(state: SlideState, layer: Shapes) -> list[SpotGroup]:
    names = region_names(layer)
    lines = {name for name, kind in zip(names, layer.shape_type, strict=False) if kind == "line"}
    groups = []
    for name, rows in region_rows(state, layer).items():
        notes = []
        if names.count(name) > 1:
            notes.append(
                f"{names.count(name)} shapes are named {name}: they count as one region; to keep "
                "them apart, give one another name in the layer's table of features."
            )
        if not len(rows) and name in lines:
            notes.append(f"{name} is a line, which bounds nothing: draw a closed shape.")
        key = ("drawn", layer.name, name)
        groups.append(SpotGroup(key, name, f"{name}, drawn", rows, " ".join(notes)))
    return groups


def rest_of(group: SpotGroup | None, n_spots: int) -> SpotGroup:
    """All spots of the slide that are not in ``group``."""
    taken = np.empty(0, np.int64) if group is None else group.rows
    rows = np.setdiff1d(np.arange(n_spots), taken)
    return SpotGroup(REST, "the rest", "the rest of the slide", rows)


def group_problem(side: str, group: SpotGroup | None) -> str:
    """Why a group cannot be compared, "" where it can.

    Parameters
    ----------
    side
        "A" or "B".
    """
    if group is None:
        return f"Nothing is drawn as {side} yet: {_HOW}."
    if len(group.rows):
        return ""
    if group.key == REST:
        return "There is no rest: all spots of the slide are in A."
    return (
        f"{group.name} holds no spots: no spot has its centre in it. Draw it larger or elsewhere, "
        "or choose another group."
    )


def pair_words(a: SpotGroup | None, b: SpotGroup | None) -> str:
    """How many spots there are in A, in B and in both, and what stands in the way."""
    problems = [group_problem("A", a), group_problem("B", b)]
    if a is None and b is None:
        problems = [f"Nothing is drawn as A and as B yet: {_HOW}."]
    if a is not None and b is not None and not any(problems):
        shared = len(np.intersect1d(a.rows, b.rows))
        both = f", {_spots(shared)} in both" if shared else ""
        if shared == len(a.rows) == len(b.rows):
            both += ": they are the same; choose another group"
        problems = [f"{_size('A', a)}. {_size('B', b)}{both}."]
    notes = dict.fromkeys(group.note for group in (a, b) if group is not None)
    return "\n".join(line for line in (*problems, *notes) if line)


def _size(side: str, group: SpotGroup) -> str:
    name = side if group.name == side else f"{side}, {group.name}"
    return f"{name}: {_spots(len(group.rows))}"


def _spots(n: int) -> str:
    return counted(n, "spot")
