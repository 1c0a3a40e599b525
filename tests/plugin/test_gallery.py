"""The gallery of pictures, by mouse and keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage

from napari_umpire.plugin.widgets.parts.gallery import Gallery, GalleryItem, pixmap


def to_array(pixels):
    image = pixels.toImage().convertToFormat(QImage.Format.Format_RGB888)
    data = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    lines = data.reshape(image.height(), image.bytesPerLine())
    return lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (84, 84, 3), np.uint8) for _ in range(9)]


@pytest.fixture
def gallery(qtbot, pictures):
    widget = Gallery()
    qtbot.addWidget(widget)
    widget.resize(320, 260)
    widget.show_items([GalleryItem(p, f"{i:.2f}", f"picture {i}") for i, p in enumerate(pictures)])
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def test_a_picture_is_drawn_as_it_is(gallery, pictures, qtbot):
    # An odd width: lines of Qt's images are padded to four bytes.
    odd = pictures[0][:31, :53]
    np.testing.assert_array_equal(to_array(pixmap(odd)), odd)
    view, model = gallery.view, gallery.view.model()
    shown = to_array(view.viewport().grab())
    spot = view.visualRect(model.index(1)).center()
    patch = pictures[1]
    # Found somewhere in the item, pixel for pixel.
    area = shown[:, spot.x() - 60 : spot.x() + 60]
    hits = np.argwhere((area[: -83 or None, :-83] == patch[0, 0]).all(axis=2))
    assert any(np.array_equal(area[r : r + 84, c : c + 84], patch) for r, c in hits)
    assert model.data(model.index(1)) == "1.00"
    assert model.data(model.index(1), Qt.ItemDataRole.ToolTipRole) == "picture 1"


def test_mouse_and_keyboard_choose_and_activate(gallery, qtbot):
    chosen, activated = [], []
    gallery.current_changed.connect(chosen.append)
    gallery.activated.connect(activated.append)
    view, model = gallery.view, gallery.view.model()
    at = view.visualRect(model.index(1)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.keyClick(view, Qt.Key.Key_Right)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    at = view.visualRect(model.index(0)).center() + QPoint(1, 1)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert chosen[:2] == [1, 2]
    assert activated[0] == 2
    assert activated[-1] == 0
    # As wide as three pictures: down goes to the next row.
    gallery.set_current(0)
    assert gallery.current == 0
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert gallery.current == 3
    assert chosen[-1] == 3


def test_new_pictures_replace_the_old_ones(gallery, pictures):
    heard = []
    gallery.current_changed.connect(heard.append)
    gallery.set_current(4)
    gallery.show_items([GalleryItem(pictures[5])])
    assert len(gallery.items) == 1
    assert gallery.current == -1
    assert heard == []
    model = gallery.view.model()
    shown = model.data(model.index(0), Qt.ItemDataRole.DecorationRole)
    np.testing.assert_array_equal(to_array(shown), pictures[5])
    gallery.show_items([])
    assert model.rowCount() == 0
