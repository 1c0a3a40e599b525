"""Scenes: what is asked of a slide as a whole, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenes.stage import Stage, page_of, scene

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["help", "keep_it", "retrieve", "slide_status"]


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
    widget.tabs.setCurrentWidget(page_of(widget.tabs, widget.table))
    stage.shot("help")
