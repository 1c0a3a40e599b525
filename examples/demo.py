"""From nothing to a gene map: make slides, train on them, look at one that was not trained on.

Every step is a command that works on real slides too; it is printed before it runs. A second
call goes straight to the window. Without a display the same runs under a virtual one.

    python examples/demo.py --folder demo --gene PIBF1
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

N_TRAINING = 4
UMPIRE_TRAIN = Path(sys.executable).parent / "umpire-train"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where everything goes")
    parser.add_argument("--gene", default="PIBF1", help="symbol of the gene to show")
    parser.add_argument("--screenshot", type=Path, help="write the window here (and close it)")
    options = parser.parse_args()
    if not _has_display():
        return _again_in_a_virtual_display(options)
    training, unseen = make_slides(options.folder / "slides")
    model = train(options.folder, training)
    if not list((options.folder / "predicted").glob("*.zarr")):
        umpire_train(
            "predict", str(unseen), "--model", model, "--output", options.folder / "predicted"
        )
    show(unseen, model, options.gene, options.screenshot)
    return 0


def make_slides(folder: Path) -> tuple[list[Path], Path]:
    """Write the synthetic slides, unless they are there; the last one is kept from training."""
    from napari_umpire.slides.synthetic import make_slides as write

    paths = sorted(folder.glob("synthetic_*"))
    if len(paths) != N_TRAINING + 1:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Making {N_TRAINING + 1} synthetic Visium slides in {folder}", flush=True)
        paths = sorted(write(folder, N_TRAINING + 1, seed=1))
    return paths[:-1], paths[-1]


def train(folder: Path, slides: list[Path]) -> Path:
    """Train a model on ``slides`` by the recipe synthetic-small, unless it is there."""
    model = folder / "align" / "model"
    if (model / "reference").is_dir():
        print(f"Using the model of an earlier call, {model}", flush=True)
        return model
    for stage in ("prepare", "pretrain", "align"):
        shutil.rmtree(folder / stage, ignore_errors=True)
    begun = time.perf_counter()
    recipe = ("--config", "synthetic-small")
    umpire_train("prepare", *slides, *recipe, "--output", folder / "prepare")
    umpire_train(
        "pretrain",
        *recipe,
        "--corpus",
        folder / "prepare" / "corpus",
        "--output",
        folder / "pretrain",
    )
    umpire_train(
        "align", *recipe, "--pairs", folder / "prepare" / "pairs", "--output", folder / "align",
        "--gene.pretrained", folder / "pretrain",
    )  # fmt: skip
    umpire_train("reference", *slides, "--model", model, "--patches")
    print(f"Trained in {time.perf_counter() - begun:.0f} s", flush=True)
    return model


def umpire_train(verb: str, *words: object) -> None:
    """Run one verb as a user would, and stop the demonstration where it fails."""
    command = ["umpire-train", verb, *map(str, words)]
    print("\n$ " + " ".join(command), flush=True)
    subprocess.run([str(UMPIRE_TRAIN), *command[1:]], check=True)


def show(slide: Path, model: Path, gene: str, screenshot: Path | None) -> None:
    """Open napari on ``slide``, run the model through the Predict widget, show both maps."""
    import napari
    from qtpy.QtCore import QTimer

    from napari_umpire.plugin.session.session import session_of

    viewer = napari.Viewer(title="napari-umpire", show=True)
    viewer.window._qt_window.resize(1500, 900)
    viewer.open(str(slide), plugin="napari-umpire")
    _, predict = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    predict.model.set_value(str(model.resolve()))
    session = session_of(viewer)

    def show_both() -> None:
        genes, prediction = session.current.genes, session.current.prediction
        session.set_gene(genes.key_of_predicted(prediction.find(gene)))
        session.set_view(beside=True)
        viewer.canvas.overlays.scale_bar.visible = True
        if screenshot is not None:
            QTimer.singleShot(2500, lambda: _photograph(viewer, screenshot))

    predict.work.ended.connect(lambda: QTimer.singleShot(500, show_both))
    predict.run.click()
    napari.run()


def _photograph(viewer: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    print(f"\nThe window is in {path.resolve()}", flush=True)
    viewer.close()


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _again_in_a_virtual_display(options: argparse.Namespace) -> int:
    if shutil.which("xvfb-run") is None:
        print("There is no display, and no xvfb-run to make one: install xvfb", file=sys.stderr)
        return 1
    shot = options.screenshot or options.folder / "screenshot.png"
    words = ["--folder", options.folder, "--gene", options.gene, "--screenshot", shot]
    virtual = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
    return subprocess.run(
        [*virtual, sys.executable, __file__, *map(str, words)], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
