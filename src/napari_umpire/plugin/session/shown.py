"""`Shown`: what the window shows of the slides: which gene, which map of it, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_umpire.plugin.layers.colours import Look
from napari_umpire.plugin.layers.ranges import RangeChoice
from napari_umpire.plugin.preferences import preferences

if TYPE_CHECKING:
    from napari_umpire.inference.genes.signature import Signature
    from napari_umpire.inference.predictions.trust import Calibration
    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.layers.spot_map import SpotMap
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["Shown"]


class Shown:
    """The half of a `Session` that is about looking; its signals are described there.

    Attributes
    ----------
    slides
        By name.
    calibrations
        How similar a reference's own spots are to the rest of it, by its digest and K.
    """

    maps_changed = Signal(str)
    gene_changed = Signal()
    view_changed = Signal()

    def __init__(self) -> None:
        self.slides: dict[str, SlideState] = {}
        self.calibrations: dict[tuple[str, int], Calibration] = {}
        self._gene: str | None = None
        self._kind: Kind = "predicted"
        self._range = RangeChoice(mode=preferences().range_mode)
        self._look = Look(colormap=preferences().colormap)
        self._signatures: dict[str, Signature] = {}
        self._beside = False
        self._shown_map: str | None = None

    @property
    def gene(self) -> str | None:
        """Key of the gene that is shown, or of a signature, which is shown like a gene.

        ``gene in state.genes`` tells a single gene of that slide.
        """
        return self._gene

    @property
    def signature(self) -> Signature | None:
        """The signature that is shown; None where a single gene is."""
        return self._signatures.get(self._gene or "")

    def show_signature(self, signature: Signature) -> None:
        """Show the score of a list of genes like a gene; one of the same key is replaced."""
        if self._signatures.get(signature.key) != signature:
            self._signatures[signature.key] = signature
            for state in self.slides.values():
                state.forget_maps()
            if self._gene == signature.key:
                self._gene = None
        self.set_gene(signature.key)

    def set_gene(self, gene: str) -> None:
        """Show another gene, instead of another map where one is shown."""
        gene_changed, map_left = gene != self._gene, self._shown_map is not None
        self._gene, self._shown_map = gene, None
        if gene_changed:
            self.gene_changed.emit()
        if map_left:
            self.view_changed.emit()

    @property
    def kind(self) -> Kind:
        """Which map of the gene is shown."""
        return self._kind

    @property
    def range(self) -> RangeChoice:
        """How the ends of the colour bar are chosen."""
        return self._range

    @property
    def look(self) -> Look:
        """Colours and opacity of the maps of genes."""
        return self._look

    @property
    def beside(self) -> bool:
        """Whether measured and predicted are wanted side by side."""
        return self._beside

    @property
    def shown_map(self) -> str | None:
        """Key of the map that is shown instead of the gene; None: the gene."""
        return self._shown_map

    def set_view(
        self,
        *,
        kind: Kind | None = None,
        range: RangeChoice | None = None,  # noqa: A002 - the word of the interface
        beside: bool | None = None,
        look: Look | None = None,
    ) -> None:
        """Change how the gene is shown; None leaves a part as it is.

        A chosen kind or comparison shows the gene again where another map was shown.
        """
        old = (self._kind, self._range, self._beside, self._look, self._shown_map)
        self._kind = kind or self._kind
        self._range = range or self._range
        self._beside = self._beside if beside is None else beside
        self._look = look or self._look
        if kind is not None or beside is not None:
            self._shown_map = None
        if old != (self._kind, self._range, self._beside, self._look, self._shown_map):
            self.view_changed.emit()

    def set_map(self, name: str, spot_map: SpotMap, *, show: bool = True) -> None:
        """Keep a map of a slide, in place of that of the same key, and show it."""
        state = self.slides[name]
        if spot_map.n_spots != state.slide.n_spots:
            raise ValueError(f"{spot_map.n_spots} values for {state.slide.n_spots} spots")
        state.maps[spot_map.key] = spot_map
        self.maps_changed.emit(name)
        if show:
            self.show_map(spot_map.key)

    def show_map(self, key: str | None) -> None:
        """Show a map instead of the gene, on slides that have it; None: the gene."""
        if key != self._shown_map:
            self._shown_map = key
            self.view_changed.emit()

    def drop_map(self, name: str, key: str) -> None:
        """Forget a map; the gene is shown again if it was the one shown."""
        if self.slides[name].maps.pop(key, None) is not None:
            self.maps_changed.emit(name)
            if self._shown_map == key and not any(key in s.maps for s in self.slides.values()):
                self.show_map(None)
