"""What a map is called, as long as its pane has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

__all__ = ["KEY", "MapTitle", "drawn_width", "fit_titles", "set_title", "shortened"]

KEY = "napari_umpire"
"""Our entry in ``layer.metadata``."""

_NARROW, _WIDE = "ijlI.,:;'| ftr()[]-/J", "mwMW%…×"
_MARGIN_PX = 20
_LEAST = 8


@dataclass(frozen=True)
class MapTitle:
    """What a map shows, in parts, so that the less important ones can be left out.

    Attributes
    ----------
    what
        Gene, signature or labels.
    rest
        Kind and unit, said in any case.
    slide
        Name of the slide; it is in the list of layers too.
    """

    what: str
    rest: str
    slide: str

    @property
    def whole(self) -> str:
        """All of it."""
        return f"{self.what}{self.rest}: {self.slide}"

    def fit(self, room: float) -> str:
        """The title as it fits into ``room`` (see `drawn_width`), if kind and unit do."""
        if drawn_width(self.whole) <= room:
            return self.whole
        most = len(self.what)
        while most > _LEAST and drawn_width(shortened(self.what, most) + self.rest) > room:
            most -= 1
        return shortened(self.what, most) + self.rest


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


def fit_titles(viewer: Viewer) -> None:
    """Shorten or lengthen the titles of all maps to the panes; names that the user gave stay."""
    width = float(viewer.canvas.viewbox_size(viewer.layers)[1])
    for layer in viewer.layers:
        ours = layer.metadata.get(KEY, {})
        title = ours.get("title")
        if title is None or layer.name != ours["titled"]:
            continue
        name = title.fit((width - _MARGIN_PX) / layer.name_overlay.font_size)
        if layer.name != name:
            layer.name = name
            ours["titled"] = layer.name  # napari tells namesakes apart
