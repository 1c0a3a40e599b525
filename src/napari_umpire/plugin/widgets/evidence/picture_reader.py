"""Reads the pictures of a spot and of its references in the thread, those asked for last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_umpire.inference.predictions.evidence import Pictures, picture_steps
from napari_umpire.plugin.runs.latest import Latest

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["PictureReader"]

_FIELD_UM = 112.0


class PictureReader(QObject):
    """Keeps the pictures of one spot.

    Signals
    -------
    changed
        They are there.
    failed(str)
        Why they are not.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._of: tuple[SlideState, int, Prediction] | None = None
        self._found: Pictures | None = None
        self.latest = Latest(self)
        self.latest.done.connect(self._on_done)
        self.latest.failed.connect(self.failed)

    @property
    def running(self) -> bool:
        """Whether pictures are still to come."""
        return self.latest.running

    def ask(self, state: SlideState, row: int) -> None:
        """Read the pictures of the spot in ``row`` of a slide that was predicted by retrieval."""
        prediction = state.retrieval
        assert prediction is not None
        if self._is(state, row):
            return
        self._of, self._found = (state, row, prediction), None
        slides = [other.slide for other in self._session.slides.values()]
        self.latest.ask(
            partial(
                picture_steps,
                prediction,
                state.slide,
                row,
                field_um=self._field_um(prediction),
                open_slides=slides,
            )  # fmt: skip
        )

    def pictures(self, state: SlideState | None, row: int | None) -> Pictures | None:
        """Those of a spot, None while they are not there."""
        fits = state is not None and row is not None and self._is(state, row)
        return self._found if fits else None

    def _is(self, state: SlideState, row: int) -> bool:
        if self._of is None:
            return False
        # Another prediction names other references.
        return self._of[0] is state and self._of[1] == row and self._of[2] is state.retrieval

    def _field_um(self, prediction: Prediction) -> float:
        """The field of the model that predicted, where it is loaded; else the usual one."""
        model = self._session.model
        digest = prediction.record.provenance.get("model_digest")
        same = model is not None and model.digest == digest
        return model.patch_spec.field_um if same and model is not None else _FIELD_UM

    def _on_done(self, pictures: Pictures) -> None:
        self._found = pictures
        self.changed.emit()
