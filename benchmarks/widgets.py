"""Opening each dock widget of the manifest, in a fresh process each, and what that imports.

"open" is from asking napari for the widget to the painted window, with nothing loaded: what a user
waits for after the first click in the menu; "cpu" is what of it was computing, which a busy machine
does not lengthen. "again" is a second viewer in the same process. The
peer is napari's own cheapest dock, an empty QWidget, opened in the same way. Nothing may import
torch before a run. Without a display it starts itself again under xvfb-run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

PLUGIN = "napari-umpire"
GOAL_S = 1.0
REPEATS = 3
HEAVY = ("torch", "timm", "sklearn", "spatialdata", "scanpy", "anndata", "umap", "pyqtgraph")

_ONE = """
import json, sys, time
import napari
from qtpy.QtWidgets import QApplication, QWidget

viewer = napari.Viewer(show=True)
app = QApplication.instance()
for _ in range(20):
    app.processEvents()
viewer.window.add_dock_widget(QWidget(), name="warm")

def timed(open_):
    wall, cpu = time.perf_counter(), time.process_time()
    open_()
    for _ in range(3):
        app.processEvents()
    return time.perf_counter() - wall, time.process_time() - cpu

name = sys.argv[1]
before = set(sys.modules)
empty = timed(lambda: viewer.window.add_dock_widget(QWidget(), name="empty"))
first = timed(lambda: viewer.window.add_plugin_dock_widget("napari-umpire", name))
new = {m.partition(".")[0] for m in set(sys.modules) - before}
other = napari.Viewer(show=True)
for _ in range(20):
    app.processEvents()
again = timed(lambda: other.window.add_plugin_dock_widget("napari-umpire", name))
print("RESULT" + json.dumps([empty, first, again, sorted(new), "torch" in sys.modules]))
other.close()
viewer.close()
"""


def run() -> None:
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        _again_under_xvfb()
        return
    names = widget_names()
    print(f"\nopening each of {len(names)} widgets, medians of {REPEATS} fresh processes")
    width = max(map(len, names))
    head = f"{'widget':<{width}}  {'open s':>7}  {'cpu s':>7}  {'again s':>7}  {'x empty':>7}"
    print(f"  {head}  goal {GOAL_S:g} s  imports")
    failed = []
    for name in names:
        results = [_open(name) for _ in range(REPEATS)]
        empty, first, again = (median(r[i][0] for r in results) for i in range(3))
        cpu = median(r[1][1] for r in results)
        heavy = [m for m in HEAVY if m in results[0][3]]
        verdict = "met" if first <= GOAL_S else "NOT MET"
        print(
            f"  {name:<{width}}  {first:7.2f}  {cpu:7.2f}  {again:7.2f}  {first / empty:6.1f}x"
            f"  {verdict:<8}  {', '.join(heavy) or 'none of the heavy ones'}"
        )
        failed += [name for r in results if r[4]][:1]
    if failed:
        raise AssertionError(f"torch was imported by opening {', '.join(failed)}")
    print("  torch was imported by none of them")


def widget_names() -> list[str]:
    """Display names of the widgets in the manifest, so that new ones are measured too."""
    import yaml

    import napari_umpire

    manifest = Path(napari_umpire.__file__).with_name("napari.yaml")
    contributions = yaml.safe_load(manifest.read_text(encoding="utf-8"))["contributions"]
    return [widget["display_name"] for widget in contributions["widgets"]]


def _open(name: str) -> list:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ONE, name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise RuntimeError(f"{name} cannot be opened:\n{done.stderr[-2000:]}")
    return json.loads(lines[0].removeprefix("RESULT"))


def _again_under_xvfb() -> None:
    if shutil.which("xvfb-run") is None:
        raise SystemExit("widgets needs a display: install xvfb, or run it on a desktop")
    print("\nwidgets: no display, so under xvfb-run (software OpenGL)", flush=True)
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
    env = {k: v for k, v in os.environ.items() if k != "QT_QPA_PLATFORM"}
    subprocess.run([*screen, sys.executable, "-m", "benchmarks", "widgets"], check=True, env=env)
