"""What a map is called, as long as its pane has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari import Viewer
    from napari.layers import Layer

__all__ = ["KEY", "MapTitle", "drawn_width", "fit_titles", "set_title", "shortened"]

KEY = "napari_umpire"
"""Our entry in ``layer.metadata``."""

_NARROW, _WIDE = "ijlI.,:;'| ftr()[]-/J", "mwMW%…×"
_MARGIN_PX = 20
_LEAST = 8
_TRIES = ((12, 16), (10, 16), (10, _LEAST), (8, _LEAST))
_TRIES_BESIDE = ((8, 16), (7, 16), (7, _LEAST))
"""Size of type, pt, and characters that a name keeps, in the order that they are tried."""


@dataclass(frozen=True)
class MapTitle:
    """What a map shows, in parts, so that long names can be shortened each by itself.

    Attributes
    ----------
    what
        Gene, signature or labels.
    rest
        Kind and unit, said in any case.
    slide
        Name of the slide. Every title ends with it; only two panes side by side, which are of one
        slide and narrow, are without.
    """

    what: str
    rest: str
    slide: str

    @property
    def whole(self) -> str:
        """All of it."""
        return f"{self.what}{self.rest}: {self.slide}"

    def fit(self, room: float, *, beside: bool = False, least: int = _LEAST) -> str:
        """The title in ``room`` (see `drawn_width`): names lose their middles, none is left out.

        Parameters
        ----------
        beside
            Whether it is that of one of two panes.
        least
            Characters that a name keeps.
        """

        def said(most: int) -> str:
            slide = "" if beside else f": {shortened(self.slide, most)}"
            return f"{shortened(self.what, most)}{self.rest}{slide}"

        # The longer of the two names gives way first.
        most = max(len(self.what), len(self.slide), least)
        while most > least and drawn_width(said(most)) > room:
            most -= 1
        return said(most)


def drawn_width(text: str) -> float:
    """How wide the canvas draws ``text``, px per point of its size; as measured, rounded up."""
    return sum(
        0.7 if c in _NARROW else 1.8 if c in _WIDE else 1.4 if c.isupper() else 1.14 for c in text
    )


def shortened(text: str, most: int) -> str:
    """``text`` in at most ``most`` characters, its middle left out."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"


def set_title(layer: Layer, title: MapTitle) -> None:
    """Call a layer by its whole title, until `fit_titles` knows how wide its pane is."""
    ours = layer.metadata[KEY]
    if ours.get("title") != title or layer.name != ours.get("titled"):
        ours["title"] = title
        layer.name = title.whole
        ours["titled"] = layer.name


def fit_titles(viewer: Viewer, panes: Collection[Layer] = ()) -> None:
    """Shorten or lengthen the titles of all maps to the panes; names that the user gave stay.

    Parameters
    ----------
    panes
        The layers side by side; empty where there is one pane.
    """
    width = float(viewer.canvas.viewbox_size(viewer.layers)[1])
    for layer in viewer.layers:
        ours = layer.metadata.get(KEY, {})
        title = ours.get("title")
        if title is None or layer.name != ours["titled"]:
            continue
        beside = layer in panes
        for size, least in _TRIES_BESIDE if beside else _TRIES:
            room = (width - _MARGIN_PX) / size
            name = title.fit(room, beside=beside, least=least)
            if drawn_width(name) <= room:
                break
        if layer.name_overlay.font_size != size:
            layer.name_overlay.font_size = size
        if layer.name != name:
            layer.name = name
            ours["titled"] = layer.name  # napari tells namesakes apart
