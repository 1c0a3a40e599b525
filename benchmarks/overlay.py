"""Switching the gene over a slide: our map layer against Points recoloured by a feature.

Both show the same values on the same spots, each in a real window of its own. "set" is everything
from the values to the layer, with the range of the colour bar; "set+draw" also runs the event loop
until the canvas is painted, on whatever OpenGL there is (a virtual display draws in software, so
look at the ratios). Without a display it starts itself again under xvfb-run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np

from benchmarks.harness import Timing, assert_same, measure, print_table

PITCH_PX, DIAMETER_PX = 200.0, 110.0
SIZES = (5_000, 50_000, 500_000)
GOAL_MS = 100.0
GOAL_RATIO_AT_500K = 20.0
PEER = "Points, features"


def run() -> None:
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        _again_under_xvfb()
        return
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance() or QApplication([])
    for n in SIZES:
        _compare(n, app)


def _again_under_xvfb() -> None:
    if shutil.which("xvfb-run") is None:
        raise SystemExit("overlay needs a display: install xvfb, or run it on a desktop")
    print("\noverlay: no display, so under xvfb-run (software OpenGL)", flush=True)
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
    env = {k: v for k, v in os.environ.items() if k != "QT_QPA_PLATFORM"}
    subprocess.run([*screen, sys.executable, "-m", "benchmarks", "overlay"], check=True, env=env)


class _Ours:
    """The map layer of the plugin."""

    def __init__(self, yx: np.ndarray) -> None:
        from napari_umpire.plugin.layers.make import gene_layer
        from napari_umpire.plugin.layers.raster import SpotRaster
        from napari_umpire.slides.scale import PhysicalScale

        self.raster = SpotRaster.build(yx, DIAMETER_PX)
        self.slide = SimpleNamespace(
            name="slide", sdata=None, scale=PhysicalScale(0.5, "user"), region="spots"
        )
        self.layer = gene_layer(self.slide, self.raster, "predicted")

    def show(self, values: np.ndarray, gene: str) -> None:
        from napari_umpire.plugin.layers.make import show_values
        from napari_umpire.plugin.layers.ranges import RangeChoice, display_range

        limits = display_range([values], RangeChoice())
        show_values(
            self.layer, values, limits,
            slide=self.slide, gene=gene, label=gene, run=None,
        )  # fmt: skip

    def shown(self, yx: np.ndarray) -> np.ndarray:
        at = ((yx - self.raster.origin) / self.raster.step).astype(int)
        return np.asarray(self.layer.data[0])[at[:, 0], at[:, 1]]


class _Points:
    """The layer that napari's users reach for: one point per spot, coloured by a feature."""

    def __init__(self, yx: np.ndarray, values: np.ndarray) -> None:
        from napari.layers import Points

        self.layer = Points(
            yx * 0.5, size=DIAMETER_PX * 0.5, border_width=0, features={"value": values},
            face_color="value", face_colormap="viridis",
        )  # fmt: skip

    def show(self, values: np.ndarray, gene: str) -> None:
        layer = self.layer
        layer.name = gene
        layer.features["value"] = values
        layer.face_contrast_limits = tuple(np.percentile(values, (1, 99)))
        layer.refresh_colors()

    def shown(self) -> np.ndarray:
        return self.layer.features["value"].to_numpy()


def _compare(n: int, app) -> None:
    import napari

    yx = _hexagonal(n)
    genes = np.random.default_rng(0).gamma(2.0, 0.8, (2, len(yx))).astype(np.float32)
    ours, points = _Ours(yx), _Points(yx, genes[0])
    viewers = [napari.Viewer(show=True) for _ in range(2)]
    turns = {"ours": 0, "points": 0}

    def switch(who: str, show, draw: bool) -> None:
        turns[who] ^= 1
        show(genes[turns[who]], f"gene {turns[who]}")
        if draw:
            app.processEvents()

    try:
        for viewer, layer in zip(viewers, (ours.layer, points.layer), strict=True):
            viewer.window.resize(1000, 700)
            viewer.add_layer(layer)
            viewer.reset_view()
        for _ in range(20):
            app.processEvents()
        px = ours.raster.index.size / 1e6
        print(f"\n{len(yx):,} spots; raster of {px:.1f} Mpx, "
              f"{DIAMETER_PX / ours.raster.step:.0f} px per spot")  # fmt: skip
        for what, draw in (("set", False), ("set+draw", True)):
            timings = measure(
                {
                    "map layer": lambda d=draw: switch("ours", ours.show, d),
                    PEER: lambda d=draw: switch("points", points.show, d),
                },
                repeats=3 if n >= 500_000 else 5,
            )
            goals = {"map layer": GOAL_RATIO_AT_500K} if draw and n >= 500_000 else None
            print_table(
                f"{what}, {len(yx):,} spots", timings,
                peer=PEER, items=len(yx), unit="spots", clock="wall", goals=goals,
            )  # fmt: skip
            _say_goal(what, timings["map layer"])
        ours.show(genes[0], "same")
        points.show(genes[0], "same")
        assert_same("value at the centre of each spot", ours.shown(yx), points.shown())
        _assert_drawn(viewers[0], ours, genes)
    finally:
        for viewer in viewers:
            viewer.close()


def _say_goal(what: str, timing: Timing) -> None:
    ms = timing.wall_s * 1e3
    verdict = "met" if ms <= GOAL_MS else "NOT MET"
    print(f"  gene switch ({what}) {ms:.0f} ms, goal {GOAL_MS:.0f} ms: {verdict}")


def _assert_drawn(viewer, ours: _Ours, genes: np.ndarray) -> None:
    """A layer that is not drawn is fast: the canvas must differ between two genes."""
    pictures = []
    for number in (0, 1):
        ours.show(genes[number], "same")
        pictures.append(viewer.screenshot(canvas_only=True, flash=False))
    if np.array_equal(*pictures):
        raise AssertionError("the canvas did not change with the gene")


def _hexagonal(n: int) -> np.ndarray:
    """(n', 2) spot centres of a hexagonal array with about ``n`` spots, full-resolution px."""
    rows = round(np.sqrt(n * 2 / np.sqrt(3)))
    row, col = np.divmod(np.arange(rows * (n // rows)), n // rows)
    return np.column_stack([row * PITCH_PX * np.sqrt(0.75), (col + row % 2 / 2) * PITCH_PX])
