"""A run of a slide ends with that slide: nobody could look at what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.words.gone import gone_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_umpire.plugin.runs.workers import Work
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.slides.slide import Slide

__all__ = ["EndWithSlide"]


class EndWithSlide(QObject):
    """Cancels ``work`` once a slide that it is of leaves the layer list, and says so.

    Parameters
    ----------
    say
        Where to: at once, and again after whatever else is said of a cancelled run.
    after
        What the user can do then, as a sentence; "" for nothing.

    Attributes
    ----------
    words
        What was said of the last run, "" where it was of slides that stayed.
    """

    def __init__(
        self, session: Session, work: Work, say: Callable[[str], object], *, after: str = ""
    ) -> None:
        super().__init__(work)
        self._session, self._work, self._say, self._after = session, work, say, after
        self._slides: list[Slide] = []
        self.words = ""
        self._cancelled = False
        work.cancelled.connect(self._on_cancelled)
        work.ended.connect(self._on_ended)
        listen(self, session.slides_changed, self._look)

    def watch(self, slides: Iterable[Slide]) -> None:
        """The run that was just started is of these slides."""
        self._slides = list(slides)
        self.words, self._cancelled = "", False

    def _look(self) -> None:
        if not self._work.running:
            return
        # By object: a slide that was given another scale is another slide.
        here = {id(state.slide) for state in self._session.slides.values()}
        gone = [slide.name for slide in self._slides if id(slide) not in here]
        if gone and not self.words:
            self.words = gone_words(gone, self._after)
            self._say(self.words)
            self._work.cancel()

    def _on_cancelled(self) -> None:
        self._cancelled = bool(self.words)

    def _on_ended(self) -> None:
        if self._cancelled:
            self._cancelled = False
            self._say(self.words)
        if not self._work.running:  # else the next has begun, of other slides
            self._slides = []
