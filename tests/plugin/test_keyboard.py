"""Every dock without a mouse: found, reached, seen and named, in the real window."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QApplication, QDockWidget, QWidget

from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.manners import Manners, controls

DOCKS = (
    *("Predict", "Gene maps", "Evidence", "Retrieve", "Classes", "Embedding"),
    *("Compare", "Regions", "Slide status", "Results", "Help"),
)
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(open_viewer, slide, prediction, measured, qtbot):
    """A window with a predicted and measured slide, and a function that opens docks as menus do."""
    viewer = open_viewer(slide)
    session = session_of(viewer)
    session.set_measured(slide.name, measured)
    session.set_prediction(slide.name, prediction)

    def open_(name):
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", name)
        widget.window().activateWindow()
        qtbot.waitUntil(lambda: widget.isAncestorOf(QApplication.focusWidget()), timeout=5_000)
        return widget

    open_.viewer = viewer
    return open_


def walk(qtbot, widget):
    """The controls that Tab comes by, from the first one to the end of the dock."""
    seen = []
    while True:
        here = QApplication.focusWidget()
        if here is None or here in seen or not widget.isAncestorOf(here):
            return seen
        seen.append(here)
        qtbot.keyClick(here, Qt.Key.Key_Tab)


def reached(control, seen):
    """A button of an exclusive group is reached by arrow keys from the one that is down."""
    group = control.group() if isinstance(control, QAbstractButton) else None
    others = group.buttons() if group is not None and group.exclusive() else []
    return any(c in seen or c.focusProxy() in seen for c in (control, *others))


def test_tab_comes_by_every_control_and_each_has_a_name(window, qtbot):
    for name in DOCKS:
        widget = window(name)
        tabs = getattr(widget, "tabs", None)
        first = QApplication.focusWidget()
        for page in range(1 if tabs is None else tabs.count()):
            if tabs is not None:
                tabs.setCurrentIndex(page)
            first.setFocus()
            seen = walk(qtbot, widget)
            # From the last one on, keys leave the dock: no trap.
            assert not widget.isAncestorOf(QApplication.focusWidget()), name
            ready = [
                c
                for c in controls(widget)
                if c.isVisible() and c.isEnabled() and c.focusPolicy() != Qt.FocusPolicy.NoFocus
            ]
            before = before_of(first, widget)
            missed = [c for c in ready if not reached(c, seen) and c not in before]
            assert missed == [], (name, [text_of(c) or c.toolTip() for c in missed])
            nameless = [c for c in ready if not (c.accessibleName() or text_of(c).strip())]
            assert nameless == [], (name, [c.toolTip() for c in nameless])


def before_of(first, widget):
    """Controls from which Tab leads to ``first``: Shift+Tab reaches them from it."""
    found, here = [], first.previousInFocusChain()
    while here is not None and here is not widget and widget.isAncestorOf(here):
        found.append(here)
        here = here.previousInFocusChain()
    return found


def text_of(control):
    return control.text() if isinstance(control, QAbstractButton) else ""


def test_docks_lie_over_each_other_in_tabs_and_the_window_keeps_its_size(window, qtbot):
    widgets = [window(name) for name in ("Predict", "Gene maps", "Evidence", "Compare")]
    main = widgets[0].window()
    assert (main.width(), main.height()) == (1366, 768)
    docks = [dock_of(widget) for widget in widgets]
    assert set(main.tabifiedDockWidgets(docks[0])) == set(docks[1:])
    assert not docks[-1].visibleRegion().isEmpty()
    assert all(dock.visibleRegion().isEmpty() for dock in docks[:-1])
    # Closed and opened again, it is in front, and has the keyboard.
    docks[1].setVisible(False)
    docks[1].setVisible(True)
    qtbot.waitUntil(lambda: widgets[1].isAncestorOf(QApplication.focusWidget()), timeout=5_000)
    assert not docks[1].visibleRegion().isEmpty()
    # What the user pulled out of the tabs stays there.
    docks[2].setFloating(True)
    docks[2].setVisible(False)
    docks[2].setVisible(True)
    qtbot.wait(50)
    assert docks[2].isFloating()


def test_a_ring_is_round_the_control_that_the_keyboard_is_on_and_not_where_one_clicks(
    window, qtbot
):
    widget = window("Predict")
    ring = widget.findChild(Manners).ring
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert ring.control is widget.opener
    qtbot.wait(50)
    picture = widget.grab().toImage()
    corner = widget.opener.mapTo(widget, widget.opener.rect().topLeft())
    edge = picture.pixelColor(corner.x() + widget.opener.width() // 2, corner.y() - 2)
    beside = picture.pixelColor(corner.x() + widget.opener.width() // 2, corner.y() - 4)
    assert edge.lightness() > beside.lightness() + 60
    qtbot.mouseClick(widget.card.outline, LEFT)
    assert ring.control is None


def test_a_ring_stays_with_a_control_that_goes(qtbot):
    box = QWidget()
    qtbot.addWidget(box)
    from qtpy.QtWidgets import QPushButton

    button, other = QPushButton("a", box), QPushButton("b", box)
    manners = Manners(box, button)
    box.show()
    box.activateWindow()
    qtbot.waitUntil(box.isActiveWindow, timeout=5_000)
    other.setFocus(Qt.FocusReason.TabFocusReason)
    assert manners.ring.control is other
    other.deleteLater()
    qtbot.waitUntil(lambda: manners.ring.control is not other, timeout=2_000)
    button.setFocus(Qt.FocusReason.TabFocusReason)
    assert manners.ring.control is button


def test_run_hands_the_keyboard_to_cancel_and_never_to_the_frame_of_the_dock(qtbot):
    from qtpy.QtWidgets import QPushButton, QVBoxLayout

    outer = QWidget()
    qtbot.addWidget(outer)
    box, other = QWidget(), QPushButton("hide the dock")
    layout = QVBoxLayout(outer)
    layout.addWidget(box)
    layout.addWidget(other)
    run, cancel = QPushButton("Run"), QPushButton("Cancel")
    for button in (run, cancel):
        box.setLayout(box.layout() or QVBoxLayout())
        box.layout().addWidget(button)
    cancel.setEnabled(False)
    run.clicked.connect(lambda: (run.setEnabled(False), cancel.setEnabled(True)))
    cancel.clicked.connect(lambda: (cancel.setEnabled(False), run.setEnabled(True)))
    Manners(box, run)
    outer.show()
    outer.activateWindow()
    qtbot.waitUntil(outer.isActiveWindow, timeout=5_000)
    run.setFocus()
    qtbot.keyClick(run, Qt.Key.Key_Space)
    qtbot.waitUntil(cancel.hasFocus, timeout=2_000)
    qtbot.keyClick(cancel, Qt.Key.Key_Space)
    qtbot.waitUntil(run.hasFocus, timeout=2_000)


def test_alt_and_arrows_go_from_spot_to_spot(window, slide, qtbot):
    widget = window("Evidence")
    session = session_of(window.viewer)
    alt = Qt.KeyboardModifier.AltModifier
    pressed = {Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Left: (0, -1)}
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Right, alt)
    assert session.spot is not None, "the middlemost of the view"
    for key, (down, right) in pressed.items():
        before = slide.yx[session.spot[1]]
        qtbot.keyClick(QApplication.focusWidget(), key, alt)
        moved = slide.yx[session.spot[1]] - before
        assert moved @ (down, right) > 0
        assert widget.isAncestorOf(QApplication.focusWidget())
    barcode = slide.spots.index[session.spot[1]]
    qtbot.waitUntil(lambda: barcode in widget.words.text(), timeout=10_000)
    middle = session.viewer.scene.camera.center[-2:]
    assert tuple(middle) == pytest.approx(tuple(slide.yx[session.spot[1]] * slide.mpp))


def dock_of(widget):
    above = widget.parentWidget()
    while not isinstance(above, QDockWidget):
        above = above.parentWidget()
    return above
