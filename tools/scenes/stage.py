"""`Stage`: a window with slides, and hands to play a scene with."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["GENE", "SCENES", "Stage", "page_of", "scene", "texts"]

SIZE = (1366, 768)  # of a laptop
GENE = "PIBF1"
SCENES: dict[str, Callable[[Stage], None]] = {}


class Stage:
    """A window with a slide, and hands to play a scene with."""

    def __init__(self, demo: Path, output: Path) -> None:
        from qtpy.QtWidgets import QApplication

        self.demo, self.output = demo, output
        self.app = QApplication.instance() or QApplication([])
        self.model = demo / "align" / "model"
        self.slides = sorted((demo / "slides").glob("synthetic_*"))
        self.viewer: Any = None

    @property
    def model_path(self) -> str:
        """As a user in the folder of the demo would name it."""
        return os.path.relpath(self.model)

    @property
    def session(self) -> Any:
        from napari_umpire.plugin.session.session import session_of

        return session_of(self.viewer)

    def open(self, *paths: Path) -> None:
        import napari

        self.viewer = napari.Viewer(title="napari-umpire", show=True)
        self.viewer.window.resize(*SIZE)
        for path in paths:
            self.viewer.open(str(path), plugin="napari-umpire")
        self.settle(0.3)

    def dock(self, name: str, width: int = 400) -> Any:
        dock, widget = self.viewer.window.add_plugin_dock_widget("napari-umpire", name, tabify=True)
        self.viewer.window._qt_window.resizeDocks([dock], [width], horizontal())
        self.settle(0.2)
        return widget

    def settle(self, seconds: float = 0.4) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.app.processEvents()
            time.sleep(0.005)

    def wait(self, *works: Any, at_most: float = 300) -> None:
        """Until all work has ended; a failure ends the play."""
        self.settle(0.1)
        end = time.monotonic() + at_most
        while any(work.running for work in works):
            if time.monotonic() > end:
                raise TimeoutError("work does not end")
            self.settle(0.05)
        self.settle(0.3)

    def predict(self, gene: str = GENE) -> Any:
        """Run the model through the Predict widget, and look at ``gene``."""
        widget = self.dock("Predict")
        widget.model.set_value(self.model_path)
        self.wait(widget.surveyor.work, widget.surveyor.drawing)
        widget.run.click()
        self.wait(widget.work)
        maps = self.dock("Gene maps")
        self.wait(maps.work)
        state = self.session.current
        self.session.set_gene(state.genes.key_of_predicted(state.prediction.find(gene)))
        self.settle()
        return maps

    def zoom(self, factor: float, row: int | None = None) -> None:
        camera = self.viewer.scene.camera
        if row is not None:
            y, x = self.session.current.slide.yx[row] * self.session.current.slide.mpp
            camera.center = (0.0, y, x)
        camera.zoom *= factor
        self.settle(0.3)

    def shot(self, name: str) -> None:
        self.settle(0.8)
        path = self.output / f"{name}.png"
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        # All colours: of fewer, a colour bar gets steps that it does not have.
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, optimize=True)
        print(f"  {path}", flush=True)

    def close(self) -> None:
        if self.viewer is not None:
            self.viewer.close()
            self.viewer = None
            self.settle(0.3)


def scene(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
    SCENES[play.__name__.replace("_", "-")] = play
    return play


def texts(combo: Any) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def page_of(tabs: Any, part: Any) -> Any:
    """The page of ``tabs`` that holds ``part``."""
    return next(
        tabs.widget(i)
        for i in range(tabs.count())
        if tabs.widget(i) is part or tabs.widget(i).isAncestorOf(part)
    )


def horizontal() -> Any:
    from qtpy.QtCore import Qt

    return Qt.Orientation.Horizontal
