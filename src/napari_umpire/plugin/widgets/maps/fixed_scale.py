"""Finds one range for all genes when "Fixed scale" is pressed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_umpire.inference.genes.fixed_range import fixed_range
from napari_umpire.plugin.runs.workers import Work

if TYPE_CHECKING:
    from napari_umpire.inference.genes.fixed_range import FixedRange
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.widgets.maps.list_choice import ListChoice
    from napari_umpire.plugin.widgets.maps.range_box import RangeBox

__all__ = ["FixedScale"]


class FixedScale(QObject):
    """Looks at several genes in the thread, then sets an absolute range."""

    def __init__(self, session: Session, box: RangeBox, choice: ListChoice) -> None:
        super().__init__(box)
        self._session, self._box, self._choice = session, box, choice
        self._found: FixedRange | None = None
        self.work = Work(self)
        box.fixed_wanted.connect(self._on_wanted)
        self.work.done.connect(self._on_found)

    @property
    def words(self) -> str:
        """Where the present range comes from, "" where it is not from here."""
        found, now = self._found, self._session.range
        if found is None or now.mode != "absolute" or now.absolute != (0.0, found.high):
            return ""
        return found.describe()

    def _on_wanted(self) -> None:
        state = self._session.current
        if state is None or self.work.running:
            return
        name = self._choice.name or ""
        steps = partial(
            fixed_range, state.genes, state.prediction, state.measured, self._choice.keys, name
        )
        self._box.words.setText("Looking at several genes…")
        self.work.start(steps)

    def _on_found(self, found: FixedRange) -> None:
        self._found = found
        choice = replace(self._session.range, mode="absolute", absolute=(0.0, found.high))
        self._session.set_view(range=choice)
        self._box.words.setText(found.describe())
