"""Scenes: a slide is opened, predicted, looked at and compared."""

from __future__ import annotations

import time

import numpy as np

from scenes.stage import GENE, Stage, page_of, scene

__all__ = ["ask_how_sure", "ask_why", "compare", "look", "run", "slide_card"]


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
    maps.tabs.setCurrentWidget(page_of(maps.tabs, maps.trust))
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
