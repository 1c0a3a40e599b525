"""The spots closest to a query: a gallery, or a table where there are no pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_umpire.plugin.widgets.parts.enter_table import EnterTable
from napari_umpire.plugin.widgets.parts.gallery import Gallery, GalleryItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["RetrievedSpots"]

_MISSING = (
    "The reference was built without pictures of its spots. With them: "
    "umpire-train reference --patches"
)


class RetrievedSpots(QWidget):
    """Spots with their cosine; ``activated(int)`` gives the place of the one to go to."""

    activated = Signal(int)

    def __init__(self, tooltip: str) -> None:
        super().__init__()
        self.gallery = Gallery(shown_px=72)
        self.gallery.view.setToolTip(tooltip)
        self.table = EnterTable()
        self.table.setToolTip(tooltip)
        self.words = QLabel()
        self.words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.gallery, 1)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.words)
        self.gallery.activated.connect(self.activated)
        self.table.gone.connect(self._on_gone)
        self.say("")
        self.table.setVisible(False)

    def show_spots(
        self,
        spots: Sequence[tuple[str, str, float]],
        pictures: Sequence[np.ndarray] | None,
        field_um: float = 0.0,
    ) -> None:
        """Show (slide, barcode, cosine) of some spots, closest first, with their pictures."""
        bare = pictures is None and len(spots) > 0
        self.gallery.setVisible(not bare)
        self.table.setVisible(bare)
        self.say(_MISSING if bare else "")
        if bare:
            frame = pd.DataFrame(spots, columns=["slide", "spot", "cosine"])
            self.table.set_frame(frame, {"cosine": "{:.3f}"})
        self.gallery.show_items(
            [
                GalleryItem(
                    image,
                    f"cosine {cosine:.2f}",
                    f"slide {slide}, spot {spot}\ncosine {cosine:.3f}\n{field_um:g} µm across",
                )
                for (slide, spot, cosine), image in zip(spots, pictures or (), strict=False)
            ]
        )

    def _on_gone(self, place: int) -> None:
        self.activated.emit(place)

    def say(self, text: str) -> None:
        """A sentence under the spots; "" for none."""
        self.words.setText(text)
        self.words.setVisible(bool(text))
