"""Play the workbench's scenes in the real window, on synthetic slides, and photograph each.

    python tools/screenshots.py --demo demo --output docs/images

Uses slides and model of examples/demo.py, which it makes where they are missing. Scenes can be
named after the options; without a display they run under a virtual one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (1366, 768)  # of a laptop
GENE = "PIBF1"
SIGNATURE = ("ERBB2", "EPCAM", "KRT8", "KRT18", "KRT19")
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
        self.viewer.window._qt_window.resizeDocks([dock], [width], _horizontal())
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


@scene
def slide_card(stage: Stage) -> None:
    """A plain H&E file: what was read, tissue outline, spots, and whether the model fits."""
    stage.open(stage.slides[-1] / f"{stage.slides[-1].name}.tif")
    widget = stage.dock("Predict")
    widget.model.set_value(stage.model_path)
    stage.wait(widget.surveyor.work, widget.surveyor.drawing)
    widget.card.spots.click()
    stage.wait(widget.surveyor.work, widget.surveyor.drawing)
    stage.shot("slide-card")


@scene
def run(stage: Stage) -> None:
    """A run under way: rate, time left, Cancel."""
    stage.open(stage.slides[-1] / f"{stage.slides[-1].name}.tif")
    widget = stage.dock("Predict")
    widget.model.set_value(stage.model_path)
    widget.batch.setValue(1)
    stage.wait(widget.surveyor.work, widget.surveyor.drawing)
    widget.run.click()
    end = time.monotonic() + 60
    while " left" not in widget.progress.text.text() and time.monotonic() < end:
        stage.settle(0.02)
    stage.shot("run")
    widget.cancel.click()
    stage.wait(widget.work)


@scene
def look(stage: Stage) -> None:
    """Type-ahead, a map with its unit, ranges."""
    stage.open(stage.slides[-1])
    maps = stage.predict()
    maps.search.line.setText("krt")
    maps.search.line.textEdited.emit("krt")
    stage.settle(0.6)
    stage.shot("look")


@scene
def ask_why(stage: Stage) -> None:
    """The reference spots behind the spot that was clicked."""
    stage.open(stage.slides[-1])
    stage.predict()
    widget = stage.dock("Evidence", 420)
    values = stage.session.current.prediction.gene_map(GENE)
    row = int(np.argmax(values))
    stage.session.set_spot(row)
    stage.wait(widget.reading, widget.looking)
    stage.zoom(2.5, row)
    stage.shot("ask-why")


@scene
def ask_how_sure(stage: Stage) -> None:
    """Spots that look like nothing in the reference."""
    stage.open(stage.slides[-1])
    maps = stage.predict()
    maps.tabs.setCurrentWidget(_page(maps.tabs, maps.trust))
    maps.trust.out.click()
    stage.wait(maps.trust.work)
    stage.shot("ask-how-sure")


@scene
def compare(stage: Stage) -> None:
    """Measured beside predicted, genes sorted by correlation, the scatter of one."""
    stage.open(stage.slides[-1])
    stage.predict()
    widget = stage.dock("Compare", 430)
    widget.run.click()
    stage.wait(widget.work)
    stage.session.set_view(beside=True)
    stage.shot("compare")


@scene
def classes(stage: Stage) -> None:
    """A probe trained on annotated spots, tested on held-out slides, applied to another."""
    stage.open(*stage.slides[:2], stage.slides[-1])
    widget = stage.dock("Classes", 430)
    stage.session.choose_model(stage.model_path)
    for path in stage.slides[:2]:
        stage.session.set_current(path.name)
        widget.label_tab.read_file(str(path / "tissue_annotation.csv"))
    widget.train_tab.train.click()
    stage.wait(widget.train_tab.work)
    widget.tabs.setCurrentWidget(_page(widget.tabs, widget.score_tab))
    stage.shot("classes-scores")
    stage.session.set_current(stage.slides[-1].name)
    widget.tabs.setCurrentWidget(_page(widget.tabs, widget.apply_tab))
    widget.apply_tab.apply.click()
    stage.wait(widget.apply_tab.work)
    widget.faint.setChecked(True)
    stage.shot("classes")


@scene
def embedding(stage: Stage) -> None:
    """Image embeddings of two slides in two dimensions, by class, with a selection."""
    stage.open(stage.slides[0], stage.slides[-1])
    labels = stage.dock("Classes", 430)
    for path in (stage.slides[0], stage.slides[-1]):
        stage.session.set_current(path.name)
        labels.label_tab.read_file(str(path / "tissue_annotation.csv"))
    widget = stage.dock("Embedding", 430)
    stage.session.choose_model(stage.model_path)
    widget.method.setCurrentText("UMAP")
    widget.run.click()
    stage.wait(widget.work, widget.scoring)
    widget.by.setCurrentText(next(t for t in _texts(widget.by) if "tissue" in t))
    widget.by.activated.emit(widget.by.currentIndex())
    state = stage.session.current
    codes, classes = state.labels["tissue"].codes, state.labels["tissue"].categories
    stage.session.select({state.name: np.flatnonzero(codes == classes.index("immune"))})
    stage.wait(widget.scoring)
    stage.shot("embedding")


@scene
def regions(stage: Stage) -> None:
    """Two drawn regions: the genes that differ, with effect sizes."""
    from napari_umpire.plugin.layers.drawing import draw, region_layer

    stage.open(stage.slides[-1])
    stage.predict()
    widget = stage.dock("Regions", 430)
    yx = stage.session.current.slide.yx * stage.session.current.slide.mpp
    low, size = yx.min(0), np.ptp(yx, axis=0)
    rings = {
        "A": [(0.03, 0.30), (0.03, 0.70), (0.25, 0.80), (0.28, 0.30), (0.15, 0.20)],
        "B": [(0.70, 0.40), (0.70, 0.75), (0.95, 0.70), (0.97, 0.35), (0.85, 0.25)],
    }
    layer = region_layer(stage.session, list(rings))
    unit = stage.session.current.slide.mpp
    for name, ring in rings.items():
        draw(layer, name, "pan_zoom")
        layer.add((low + np.array(ring) * size) / unit, shape_type="polygon")
    stage.settle(1.0)
    widget.run.click()
    stage.wait(widget.work)
    stage.shot("regions")


@scene
def retrieve(stage: Stage) -> None:
    """Patches that lie closest to a gene, here and in the reference."""
    stage.open(stage.slides[-1])
    stage.predict()
    widget = stage.dock("Retrieve", 430)
    widget.kind.setCurrentIndex(widget.kind.findData("gene"))
    widget.line.setText("CD3E")
    widget.run.click()
    stage.wait(widget.work)
    stage.shot("retrieve")


@scene
def slide_status(stage: Stage) -> None:
    """A head that tells immune-rich tumours from others, and what it looked at."""
    slides = _train_status_head(stage)
    stage.open(slides[-1])
    widget = stage.dock("Slide status", 430)
    widget.model.set_value(stage.model_path)
    widget.run.click()
    stage.wait(widget.work)
    stage.shot("slide-status")


def _train_status_head(stage: Stage) -> list[Path]:
    """Make small slides of twelve patients, half of them hot, and train on all but the last."""
    import demo

    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.synthetic import make_slide

    folder = stage.model.parent / "patients"
    folder.mkdir()
    lines, paths = ["slide,patient,label"], []
    for number in range(13):
        hot = number % 2 == 0
        more = {"immune": 1.0 if hot else -0.4}
        name = f"patient_{number + 1:02d}"
        slide = make_slide(500 + number, rows=20, cols=14, name=name, more=more)
        paths.append(write_slide(slide, folder / f"{name}.zarr"))
        lines.append(f"{name},{name},{'hot' if hot else 'cold'}")
    (folder / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    demo.umpire_train(
        "mil", "--config", "mil", "--model", stage.model, "--labels", folder / "labels.csv",
        "--output", folder / "run", "--name", "immune", "--slides", *paths[:-1],
    )  # fmt: skip
    return paths


@scene
def keep_it(stage: Stage) -> None:
    """A figure of genes, drawn for print."""
    from napari_umpire.plugin.runs.figures import figure_steps
    from napari_umpire.progress import run

    stage.open(stage.slides[-1])
    stage.predict()
    widget = stage.dock("Results", 430)
    widget.figures.genes.set_names(("PIBF1", "ERBB2", "KRT8", "CD3E"))
    widget.figures.dpi.setValue(110)
    stage.shot("keep-it")
    wanted = widget.figures._order(stage.session.current)
    run(figure_steps(wanted, [stage.output / "figure.png"]))
    print(f"  {stage.output / 'figure.png'}", flush=True)


@scene
def help(stage: Stage) -> None:  # noqa: A001 - the scene's name
    """What this computer, the model and the slide are fit for, and how to mend the rest."""
    stage.open(stage.slides[-1])
    stage.session.choose_model(stage.model_path)
    widget = stage.dock("Help", 480)
    widget.look.click()
    stage.wait(widget.work)
    widget.tabs.setCurrentWidget(_page(widget.tabs, widget.table))
    stage.shot("help")


def _texts(combo: Any) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def _page(tabs: Any, part: Any) -> Any:
    """The page of ``tabs`` that holds ``part``."""
    return next(
        tabs.widget(i)
        for i in range(tabs.count())
        if tabs.widget(i) is part or tabs.widget(i).isAncestorOf(part)
    )


def _horizontal() -> Any:
    from qtpy.QtCore import Qt

    return Qt.Orientation.Horizontal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="folder of the demo")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("scenes", nargs="*", help=f"of {', '.join(SCENES)}; none: all")
    options = parser.parse_args()
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        virtual = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
        return subprocess.run([*virtual, sys.executable, *sys.argv], check=False).returncode
    unknown = set(options.scenes) - set(SCENES)
    if unknown:
        parser.error(f"no scene {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    import demo

    training, _ = demo.make_slides(options.demo / "slides")
    demo.train(options.demo, training)
    options.output.mkdir(parents=True, exist_ok=True)
    stage = Stage(options.demo.resolve(), options.output.resolve())
    os.chdir(options.demo)
    with tempfile.TemporaryDirectory(dir=".", prefix="tour_") as folder:
        # Heads and probes are written into the model folder: into a copy. Features of an earlier
        # play would end the run before it can be seen.
        os.environ["XDG_CACHE_HOME"] = str(Path(folder).resolve() / "cache")
        stage.model = Path(shutil.copytree(stage.model, Path(folder).resolve() / "model"))
        for name in options.scenes or SCENES:
            print(name, flush=True)
            try:
                SCENES[name](stage)
            finally:
                stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
