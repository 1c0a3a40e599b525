"""`SignatureScoring`: scores of large signatures, made beside the window."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_umpire.inference.genes.signature import Score, signature_steps
from napari_umpire.plugin.runs.latest import Latest

if TYPE_CHECKING:
    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.signature import Signature
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

    _Question = tuple[SlideState, Signature, GenePrediction | None, Measured | None]

__all__ = ["SignatureScoring"]


class SignatureScoring(QObject):
    """Scores the signature that is shown, of the current slide first, then of the others.

    Another signature, prediction or measurement takes the place of what is under way.

    Signals
    -------
    changed
        It began or ended.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._here = weakref.ref(session)
        self._asked: _Question | None = None
        self._before: str | None = None
        self.latest = Latest(self)
        self.latest.done.connect(self._on_done)
        self.latest.failed.connect(self._on_failed)
        for signal in (
            session.gene_changed,
            session.slides_changed,
            session.current_changed,
            session.values_changed,
        ):
            signal.connect(self.look)

    @property
    def running(self) -> bool:
        """Whether scores are still to come."""
        return self.latest.running

    def look(self) -> None:
        """Start, or start anew, where scores are missed."""
        session = self._here()
        if session is None:
            return
        signature = session.signature
        if signature is None:
            self._before = session.gene
        wanted = None if signature is None else self._missed(session, signature)
        if _same(wanted, self._asked):
            return
        self._asked = wanted
        if wanted is None:
            self.latest.cancel()
        else:
            state, one, prediction, measured = wanted
            self.latest.ask(partial(signature_steps, one, state.genes, prediction, measured))
        self.changed.emit()

    def cancel(self) -> None:
        """Score no more, and show the gene that was shown before."""
        session = self._here()
        if session is None or self._asked is None:
            return
        state = self._asked[0]
        gene = self._before if self._before is not None else str(state.genes.frame.index[0])
        session.set_gene(gene)  # which `look` hears of

    def _missed(self, session: Session, signature: Signature) -> _Question | None:
        current = session.current
        states = sorted(session.slides.values(), key=lambda state: state is not current)
        for state in states:
            prediction, measured = state.prediction, state.measured
            known = prediction is not None or measured is not None
            if known and state.pending(signature.key):
                return state, signature, prediction, measured
        return None

    def _on_done(self, scores: dict[str, Score]) -> None:
        self._keep(scores)

    def _on_failed(self, _sentence: str) -> None:
        self._keep({})  # said by now; asking again would say it again

    def _keep(self, scores: dict[str, Score]) -> None:
        session = self._here()
        if self._asked is None or session is None:
            return
        (state, signature, _, _), self._asked = self._asked, None
        state.keep_scores(signature.key, scores)
        session.gene_changed.emit()  # `look` goes on with the next slide
        self.changed.emit()


def _same(a: _Question | None, b: _Question | None) -> bool:
    """Of the same objects: another prediction of the same values is another question."""
    if a is None or b is None:
        return a is b
    return all(one is other for one, other in zip(a, b, strict=True))
