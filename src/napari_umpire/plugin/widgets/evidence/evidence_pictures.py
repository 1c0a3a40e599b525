"""The picture of a spot, large, beside those of the references that its prediction rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_umpire.genes.normalise import UNIT
from napari_umpire.plugin.widgets.parts.gallery import Gallery, GalleryItem, pixmap

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.evidence import Evidence, Pictures

__all__ = ["EvidencePictures"]

_OWN_PX = 138
_REFERENCE_PX = 68
_MISSING = (
    "The reference was built without pictures of its spots. With them: "
    "umpire-train reference --patches"
)


class EvidencePictures(QWidget):
    """Shows `Pictures` of an `Evidence`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.own = QLabel()
        self.own.setFixedSize(_OWN_PX, _OWN_PX)
        self.gallery = Gallery(shown_px=_REFERENCE_PX)
        self.gallery.setToolTip("Reference spots, heaviest first; the arrow keys go through them")
        self.missing = QLabel(_MISSING)
        self.missing.setWordWrap(True)
        self.missing.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.missing.setVisible(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.own, 0, Qt.AlignmentFlag.AlignTop)
        self.heading = QLabel("Reference spots with their weight")
        self.heading.setWordWrap(True)
        beside = QVBoxLayout()
        beside.setSpacing(2)
        beside.addWidget(self.heading)
        beside.addWidget(self.gallery, 1)
        row.addLayout(beside, 1)
        row.addWidget(self.missing, 1)

    def show_pictures(self, evidence: Evidence | None, pictures: Pictures | None) -> None:
        """Show these; None: nothing, such as while they are being read."""
        if evidence is None or pictures is None:
            self.own.clear()
            self.gallery.show_items([])
            return
        self.own.setPixmap(pixmap(pictures.own, _OWN_PX))
        self.own.setToolTip(
            f"Spot {evidence.spot} as the model sees it: {pictures.field_um:g} µm across"
        )
        self.gallery.setVisible(pictures.references is not None)
        self.heading.setVisible(pictures.references is not None)
        self.missing.setVisible(pictures.references is None)
        at = self.gallery.current
        lines = evidence.table.itertuples()
        gene, field = evidence.gene, pictures.field_um
        items = [
            GalleryItem(image, f"{line.weight:.1%}", _tip(line, gene, field))
            for image, line in zip(pictures.references or (), lines, strict=False)
        ]
        self.gallery.show_items(items)
        self.gallery.set_current(at if at < len(items) else -1)


def _tip(line: Any, gene: str | None, field_um: float) -> str:
    text = f"slide {line.slide}, spot {line.spot}\n"
    text += f"similarity {line.similarity:.3f} (cosine), weight {line.weight:.3f}\n"
    if gene is not None:
        text += f"{gene} {line.value:.2f} {UNIT}\n"
    return text + f"{field_um:g} µm across"
