"""Scenes: spots in groups, by class, by embedding, by region."""

from __future__ import annotations

import numpy as np

from scenes.stage import Stage, page_of, scene, texts

__all__ = ["classes", "embedding", "regions"]


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
    widget.tabs.setCurrentWidget(page_of(widget.tabs, widget.score_tab))
    stage.shot("classes-scores")
    stage.session.set_current(stage.slides[-1].name)
    widget.tabs.setCurrentWidget(page_of(widget.tabs, widget.apply_tab))
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
    widget.by.setCurrentText(next(t for t in texts(widget.by) if "tissue" in t))
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
