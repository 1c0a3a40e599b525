"""`Session`: what one viewer works on. Widgets read it, change it, and hear of changes by it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_umpire.plugin.gene_table import GeneTable
from napari_umpire.plugin.layers import KEY, Kind
from napari_umpire.plugin.ranges import RangeChoice
from napari_umpire.plugin.raster import SpotRaster, raster_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

    from napari_umpire.inference.model import Model
    from napari_umpire.inference.prediction import Prediction
    from napari_umpire.plugin.measured import Measured
    from napari_umpire.slides.slide import Slide

__all__ = ["Session", "SlideState", "session_of"]


@dataclass(eq=False)
class SlideState:
    """A slide in a viewer, and what is known about it so far.

    Attributes
    ----------
    name
        Its name among the slides of the session, unique.
    image
        The layer that shows it.
    prediction, measured
        None until they were computed, read.
    """

    name: str
    slide: Slide
    image: Image
    prediction: Prediction | None = None
    measured: Measured | None = None
    _genes: GeneTable | None = field(default=None, repr=False)
    _maps: tuple[str, dict[Kind, np.ndarray]] | None = field(default=None, repr=False)

    @property
    def raster(self) -> SpotRaster:
        """The spot-index raster."""
        return raster_of(self.slide)

    @property
    def genes(self) -> GeneTable:
        """The genes that can be shown."""
        if self._genes is None:
            self._genes = GeneTable.build(
                None if self.prediction is None else self.prediction.genes,
                None if self.measured is None else self.measured.genes,
            )
        return self._genes

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What there is to see of some gene."""
        kinds: list[Kind] = []
        if self.prediction is not None:
            kinds.append("predicted")
        if self.slide.has_counts:
            kinds.append("measured")
        if len(kinds) == 2:
            kinds.append("difference")
        return tuple(kinds)

    def maps(self, gene: str) -> dict[Kind, np.ndarray]:
        """What there is to see of a gene: kind -> (n_spots,) float32, log1p CP10k."""
        if self._maps is None or self._maps[0] != gene:
            self._maps = (gene, self._compute_maps(gene) if gene in self.genes else {})
        return self._maps[1]

    def _compute_maps(self, gene: str) -> dict[Kind, np.ndarray]:
        row = self.genes.frame.loc[gene]
        maps: dict[Kind, np.ndarray] = {}
        if self.prediction is not None and row["predicted"]:
            maps["predicted"] = np.asarray(self.prediction.gene_map(row["predicted"]), np.float32)
        if self.measured is not None and row["measured"]:
            maps["measured"] = self.measured.column(row["measured"])
        if len(maps) == 2:
            maps["difference"] = maps["predicted"] - maps["measured"]
        return maps

    def forget_genes(self) -> None:
        """Compute genes and maps anew when next asked for them."""
        self._genes = self._maps = None


class Session:
    """What one viewer works on; get it by `session_of`.

    Signals: ``slides_changed`` (a slide came, went or was replaced), ``current_changed``,
    ``values_changed`` (name of the slide whose prediction or measurement arrived),
    ``gene_changed``, ``view_changed`` (kind, range or comparison), ``model_changed``.
    """

    slides_changed = Signal()
    current_changed = Signal()
    values_changed = Signal(str)
    gene_changed = Signal()
    view_changed = Signal()
    model_changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = weakref.ref(viewer)
        self.slides: dict[str, SlideState] = {}
        self.model: Model | None = None
        self._current: str | None = None
        self._gene: str | None = None
        self._kind: Kind = "predicted"
        self._range = RangeChoice()
        self._beside = False
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._take(layer)

    @property
    def viewer(self) -> Viewer | None:
        """The viewer, None once it is closed and gone."""
        return self._viewer()

    # -- slides ---------------------------------------------------------------------------

    @property
    def current(self) -> SlideState | None:
        """The slide that the widgets speak of."""
        return None if self._current is None else self.slides[self._current]

    def set_current(self, name: str) -> None:
        """Make another slide the one that the widgets speak of."""
        if name not in self.slides:
            raise KeyError(name)
        if name != self._current:
            self._current = name
            self.current_changed.emit()

    def replace_slide(self, name: str, slide: Slide) -> None:
        """Put ``slide``, such as one with its scale now known, in place of the one at ``name``.

        What was predicted for the old one is dropped: it was made at another scale.
        """
        state = self.slides[name]
        state.slide, state.prediction, state.measured = slide, None, None
        state.forget_genes()
        state.image.metadata[KEY]["slide"] = slide
        state.image.metadata["sdata"] = slide.sdata
        self.slides_changed.emit()

    def set_prediction(self, name: str, prediction: Prediction) -> None:
        """Keep what was predicted for a slide."""
        self.slides[name].prediction = prediction
        self.slides[name].forget_genes()
        self.values_changed.emit(name)

    def set_measured(self, name: str, measured: Measured) -> None:
        """Keep what was measured on a slide."""
        self.slides[name].measured = measured
        self.slides[name].forget_genes()
        self.values_changed.emit(name)

    def set_model(self, model: Model) -> None:
        """Keep a loaded model for the next run."""
        self.model = model
        self.model_changed.emit()

    # -- what is shown --------------------------------------------------------------------

    @property
    def gene(self) -> str | None:
        """Key of the gene that is shown."""
        return self._gene

    def set_gene(self, gene: str) -> None:
        """Show another gene."""
        if gene != self._gene:
            self._gene = gene
            self.gene_changed.emit()

    @property
    def kind(self) -> Kind:
        """Which map of the gene is shown."""
        return self._kind

    @property
    def range(self) -> RangeChoice:
        """How the ends of the colour bar are chosen."""
        return self._range

    @property
    def beside(self) -> bool:
        """Whether measured and predicted are wanted side by side."""
        return self._beside

    def set_view(
        self,
        *,
        kind: Kind | None = None,
        range: RangeChoice | None = None,  # noqa: A002 - the word of the interface
        beside: bool | None = None,
    ) -> None:
        """Change how the gene is shown; None leaves a part as it is."""
        old = (self._kind, self._range, self._beside)
        self._kind = kind or self._kind
        self._range = range or self._range
        self._beside = self._beside if beside is None else beside
        if old != (self._kind, self._range, self._beside):
            self.view_changed.emit()

    # -- following the layer list ---------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        before = self._current
        if self._take(event.value):
            self.slides_changed.emit()
            if self._current != before:
                self.current_changed.emit()

    def _take(self, layer: Layer) -> bool:
        ours = layer.metadata.get(KEY)
        if not ours or ours.get("role") != "image":
            return False
        name, number = ours["slide"].name, 2
        while name in self.slides:
            name, number = f"{ours['slide'].name} ({number})", number + 1
        self.slides[name] = SlideState(name, ours["slide"], layer)
        # The slide that was opened last lies on top, and is the one that the user means; of a
        # store with several sections only the first is visible.
        if self._current is None or layer.visible:
            self._current = name
        return True

    def _on_removed(self, event: Any) -> None:
        gone = [n for n, state in self.slides.items() if state.image is event.value]
        for name in gone:
            del self.slides[name]
            if self._current == name:
                self._current = next(reversed(self.slides), None)
        if gone:
            self.slides_changed.emit()

    @cached_property
    def display(self) -> Any:
        """Keeps the map layers in step with this session."""
        from napari_umpire.plugin.display import GeneDisplay

        return GeneDisplay(self)


_sessions: weakref.WeakKeyDictionary[Viewer, Session] = weakref.WeakKeyDictionary()


def session_of(napari_viewer: Viewer) -> Session:
    """The one session of a viewer, made when first asked for.

    Parameters
    ----------
    napari_viewer
        The viewer, or the proxy of it that napari hands to a plugin's widget.
    """
    viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
    session = _sessions.get(viewer)
    if session is None:
        session = _sessions[viewer] = Session(viewer)
        session.display.refresh()
    return session
