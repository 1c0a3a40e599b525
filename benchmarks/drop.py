"""From dropping a slide on the window to its first pixel, and how long the window stood still.

A 400 MB pyramidal TIFF as Aperio writes it, 46,080 x 33,024 px, and a JPEG of 14,000 x 12,000 px
are dropped on the canvas by Qt's own events, in a fresh process each. "first pixel" is the first
frame that has the layer; "stood still" is the largest gap of a timer of 5 ms, until one second
after that frame, and then once more while the finest level is zoomed into. The peer is the same
reader called in the window's thread, as napari does by itself. Without a display it starts itself
again under xvfb-run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

REPEATS = 3
TILE = 256
SVS_PX, JPEG_PX = (33_024, 46_080), (12_000, 14_000)

_ONE = """
import json, sys, time
import napari
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

path, where = sys.argv[1:]
if where == "window":
    from napari_umpire.plugin import reader
    if hasattr(reader, "_living_window"):
        reader._living_window = lambda: None
viewer = napari.Viewer(show=True)
app = QApplication.instance()
ending = "*" + path[path.rindex("."):]
get_settings().plugins.extension2reader = {ending: "napari-umpire"}
import napari_umpire.slides.open, napari_umpire.plugin.layers.make, spatialdata, dask.array
for _ in range(50):
    app.processEvents()
    time.sleep(0.01)
gaps, seen, last = [], {}, [time.perf_counter()]

def tick():
    now = time.perf_counter()
    gaps.append(now - last[0])
    last[0] = now

def drawn(_=None):
    if len(viewer.layers):
        seen.setdefault("pixel", time.perf_counter())

def let_go():
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path)])
    target, copy = viewer.window._qt_viewer, Qt.DropAction.CopyAction
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    seen["drop"] = time.perf_counter()
    app.sendEvent(target, QDragEnterEvent(QPoint(5, 5), copy, mime, left, none))
    app.sendEvent(target, QDropEvent(QPointF(5, 5), copy, mime, left, none))

def zoom():
    seen["still"] = max(gaps)
    gaps.clear()
    layer = viewer.layers[0]
    viewer.scene.camera.center = tuple(0.5 * (a + b) for a, b in zip(*layer.extent.world))
    viewer.scene.camera.zoom = 2 / layer.scale[-1]

def look():
    now = time.perf_counter()
    if "still" not in seen and "pixel" in seen and now > seen["pixel"] + 1:
        seen["zoomed"] = now
        zoom()
    elif "still" in seen and now > seen["zoomed"] + 2:
        app.quit()

viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(drawn, position="last")
timer, watch = QTimer(), QTimer()
timer.timeout.connect(tick)
watch.timeout.connect(look)
timer.start(5)
watch.start(50)
QTimer.singleShot(300, let_go)
QTimer.singleShot(120_000, app.quit)
app.exec()
layer = viewer.layers[0]
print("RESULT" + json.dumps(
    [seen["pixel"] - seen["drop"], seen["still"], max(gaps), layer.data_level == 0]
))
viewer.close()
"""


def run() -> None:
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        _again_under_xvfb()
        return
    folder = Path(tempfile.mkdtemp(prefix="drop_"))
    try:
        for path in (_svs(folder / "large.svs"), _jpeg(folder / "large.jpg")):
            size = path.stat().st_size / 1e6
            print(f"\n{path.suffix[1:]} of {size:,.0f} MB, medians of {REPEATS} processes, s")
            print(f"  {'read in':<18} {'first pixel':>12} {'stood still':>12} {'in zooming':>12}")
            for name, where in (("a thread", "thread"), ("the window's own", "window")):
                found = [_measure(path, where) for _ in range(REPEATS)]
                pixel, still, zoom = (median(row[i] for row in found) for i in range(3))
                print(f"  {name:<18} {pixel:12.2f} {still:12.2f} {zoom:12.2f}")
                if not all(row[3] for row in found):
                    raise AssertionError("the finest level was not drawn")
    finally:
        shutil.rmtree(folder)


def _measure(path: Path, where: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", _ONE, str(path), where], capture_output=True, text=True, check=False
    )
    line = next((v for v in done.stdout.splitlines() if v.startswith("RESULT")), None)
    if line is None:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(line.removeprefix("RESULT"))


def _tissue(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stain with the noise of a camera, so that it compresses as a scan does."""
    stain = np.array([178, 105, 165]) + rng.normal(0, 16, (height, width, 1))
    return np.clip(stain + rng.normal(0, 5, (height, width, 3)), 0, 255).astype(np.uint8)


def _svs(path: Path) -> Path:
    """Tiles drawn from 48 different ones, so that it is written in seconds."""
    import tifffile

    rng = np.random.default_rng(0)
    how = {"photometric": "rgb", "tile": (TILE, TILE), "compression": "jpeg", "metadata": None}
    glass = np.full((TILE, TILE, 3), 242, np.uint8)
    pool = np.concatenate([_tissue(rng, TILE, 47 * TILE), glass], axis=1)
    tifffile.imwrite(path, pool, **how)
    with tifffile.TiffFile(path) as tiff, open(path, "rb") as file:
        page, tiles = tiff.pages.first, []
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(offset)
            tiles.append(file.read(count))

    def laid(shape: tuple[int, int]):
        rows, cols = -(-shape[0] // TILE), -(-shape[1] // TILE)
        for row in range(rows):
            for col in range(cols):
                away = ((row + 0.5) / rows - 0.5) ** 2 + ((col + 0.5) / cols - 0.5) ** 2
                yield tiles[int(rng.integers(47))] if away < 0.12 else tiles[47]

    said = f"Aperio Image Library\n{SVS_PX[1]}x{SVS_PX[0]}|AppMag = 20|MPP = 0.5"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for factor in (1, 4, 16):
            shape = (SVS_PX[0] // factor, SVS_PX[1] // factor)
            tiff.write(laid(shape), shape=(*shape, 3), dtype=np.uint8, description=said, **how)
            if factor == 1:  # scanners put the thumbnail second, in strips
                small = np.full((SVS_PX[0] // 60, SVS_PX[1] // 60, 3), 242, np.uint8)
                tiff.write(small, photometric="rgb", description=said, metadata=None)
    return path


def _jpeg(path: Path) -> Path:
    from PIL import Image

    rng = np.random.default_rng(1)
    pixels = np.full((*JPEG_PX, 3), 242, np.uint8)
    patch = _tissue(rng, 2000, 2000)
    for row in range(1, 11):
        for col in range(2, 12):
            pixels[row * 1000 : (row + 1) * 1000, col * 1000 : (col + 1) * 1000] = np.roll(
                patch, int(rng.integers(2000)), axis=1
            )[:1000, :1000]
    Image.fromarray(pixels).save(path, quality=85, dpi=(50_800, 50_800))
    return path


def _again_under_xvfb() -> None:
    if shutil.which("xvfb-run") is None:
        raise RuntimeError("drop needs a display: install xvfb")
    subprocess.run(
        ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", sys.executable, "-m", "benchmarks.drop"],
        check=True,
    )


if __name__ == "__main__":
    run()
