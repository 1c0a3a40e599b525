"""A real window for every test here, a small slide, a tiny model; no trace in the user's home."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def qapp_cls():
    """Without a display Qt ends the whole test run; say instead what to do."""
    if sys.platform.startswith("linux"):
        how = "install Xvfb: each test process then gets a display of its own"
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            pytest.fail(f"The window tests need a display, and there is none; {how}", pytrace=False)
        if os.environ.get("QT_QPA_PLATFORM") in ("offscreen", "minimal"):
            pytest.fail(f"napari cannot draw offscreen; unset QT_QPA_PLATFORM and {how}", False)
    from qtpy.QtWidgets import QApplication

    return QApplication


@pytest.fixture(autouse=True)
def private_places(tmp_path, monkeypatch):
    """Settings and caches of a test go to its own folder."""
    from napari import settings
    from qtpy.QtCore import QSettings

    # As napari's own fixture does, which however hides the installed plugins.
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "settings" / "settings.yaml"))
    monkeypatch.setattr(settings, "_PLUGIN_SETTINGS", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    QSettings.setPath(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings")
    )


@pytest.fixture(autouse=True)
def no_worker_outlives_its_test():
    yield
    if "superqt" in sys.modules:
        from superqt.utils import WorkerBase

        WorkerBase.await_workers(20_000)


@pytest.fixture(scope="session")
def slides():
    """Three small synthetic sections, taller than wide."""
    from napari_umpire.slides.synthetic import make_slide

    return [make_slide(seed, rows=14, cols=10, mpp=2.0) for seed in range(3)]


@pytest.fixture
def slide(slides):
    return slides[0]


@pytest.fixture(scope="session")
def model_folder(slides, tmp_path_factory):
    """A tiny untrained model whose reference are the second and third slide."""
    import torch

    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.inference.model import load_model
    from napari_umpire.models import (
        ContextConfig,
        GeneConfig,
        GeneMLPConfig,
        Umpire,
        UmpireConfig,
        VisionConfig,
        save_model,
    )
    from napari_umpire.progress import run

    torch.set_num_threads(2)
    torch.manual_seed(0)
    vocabulary = GeneVocabulary.from_counts((s.counts(), s.genes) for s in slides)
    panel = tuple(str(gene) for gene in vocabulary.ids[:50])
    config = UmpireConfig(
        gene=GeneConfig(kind="mlp", mlp=GeneMLPConfig(50, (32,), 16, panel=panel)),
        vision=VisionConfig(size_px=32, kwargs={"widths": [8, 16], "norm": "group"}),
        dim=16,
        context=ContextConfig(),
    )
    folder = save_model(tmp_path_factory.mktemp("models") / "tiny", Umpire(config), vocabulary)
    run(load_model(folder, "cpu").build_reference(slides[1:], folder / "reference"))
    return folder


@pytest.fixture(scope="session")
def prediction(slides, model_folder):
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run

    return run(load_model(model_folder, "cpu").predict(slides[0], k=20))


@pytest.fixture(scope="session")
def pictured(slides, model_folder, tmp_path_factory):
    """A prediction of the first slide from a reference that has pictures of its spots."""
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run

    model = load_model(model_folder, "cpu")
    folder = tmp_path_factory.mktemp("pictured") / "reference"
    reference = run(model.build_reference(slides[1:], folder, patches=True))
    return run(model.predict(slides[0], reference=reference, k=20))


@pytest.fixture(scope="session")
def measured(slides):
    from napari_umpire.inference.genes.measured import read_measured
    from napari_umpire.progress import run

    return run(read_measured(slides[0]))


@pytest.fixture
def flat_slide():
    """A white picture, 300 x 520 px at 0.5 um, with a black square under each of three spots."""
    from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
    from napari_umpire.slides.scale import PhysicalScale
    from napari_umpire.slides.slide import Slide

    pixels = np.full((300, 520, 3), 255, np.uint8)
    yx = np.array([[60.0, 90.0], [60.0, 430.0], [230.0, 170.0]])
    for y, x in yx.astype(int):
        pixels[y - 30 : y + 30, x - 30 : x + 30] = 0
    levels = [ArrayLevel(pixels[::d, ::d].copy(), d, tile=128) for d in (1, 2)]
    spots = pd.DataFrame(yx, columns=["y", "x"], index=["a", "b", "c"])
    return Slide(
        name="flat",
        sdata=SimpleNamespace(),
        pyramid=Pyramid(tuple(levels)),
        spots=spots.assign(instance_id=range(3)),
        scale=PhysicalScale(0.5, "user", {"user": 0.5}),
        pitch_um=100.0,
        spot_diameter_um=20.0,
        platform="image",
        region="flat",
    )


@pytest.fixture
def open_viewer(make_napari_viewer, qtbot):
    """Return a viewer with the slides given, as if they had been dropped on it."""
    from napari_umpire.plugin.layers.make import slide_layer

    def open_(*slides, size=(1366, 768), show=True):
        viewer = make_napari_viewer(show=show)
        viewer.window.resize(*size)
        for one in slides:
            data, attributes, _ = slide_layer(one)
            viewer.add_image(data, **attributes)
        qtbot.wait(50 if show else 1)
        return viewer

    return open_


@pytest.fixture
def maps_dock(open_viewer, qtbot):
    """Return a viewer with slides and predictions, Gene maps and session; counts were read."""

    def open_(*slides, predictions=(), show=False):
        from napari_umpire.plugin.session.session import session_of

        viewer = open_viewer(*slides, show=show)
        session = session_of(viewer)
        for prediction in predictions:
            session.set_prediction(prediction.slide_name, prediction)
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Gene maps")
        busy = (widget.work, widget.naming)
        qtbot.waitUntil(lambda: not any(work.running for work in busy), timeout=20_000)
        return viewer, widget, session

    return open_


class Canvas:
    """What the window shows, addressed by world coordinates."""

    def __init__(self, viewer, qtbot):
        qtbot.wait(150)
        viewer.screenshot(canvas_only=True, flash=False)
        self.pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        self._centre, self._zoom = viewer.scene.camera.center[-2:], viewer.scene.camera.zoom

    def at(self, y, x):
        """Colour of the world position (y, x)."""
        row, col = (
            (v - c) * self._zoom + s / 2
            for v, c, s in zip((y, x), self._centre, self.pixels.shape[:2], strict=True)
        )
        return self.pixels[round(row), round(col)]


@pytest.fixture
def canvas(qtbot):
    return lambda viewer: Canvas(viewer, qtbot)
