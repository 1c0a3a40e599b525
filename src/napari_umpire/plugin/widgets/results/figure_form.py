"""The form by which figures are made: the view, or a grid of genes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.plugin.layers.view_picture import save_view
from napari_umpire.plugin.runs.figures import FigureOrder, Row, figure_steps, order
from napari_umpire.plugin.runs.predict import measured_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.parts.form_parts import line_of
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.progress_row import UNWRITTEN, ProgressRow
from napari_umpire.plugin.widgets.results.gene_box import GeneBox

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["FigureForm"]

_EACH, _ALL = "each gene its own", "one for all genes"


class FigureForm(QWidget):
    """Saves the view as PNG, and grids of genes as PNG and SVG."""

    def __init__(self, viewer: Viewer, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session
        self._left_out = ""
        self._of: Slide | None = None
        self._waiting: tuple[str, str, str] | None = None
        self.work, self.reading = Work(self), Work(self)
        self._build()
        self.save_view.clicked.connect(self._on_view)
        self.draw.clicked.connect(self._on_draw)
        self.cancel.clicked.connect(self._on_cancel)
        self.reading.done.connect(self._on_measured)
        self.reading.failed.connect(self.progress.say)
        self.reading.cancelled.connect(self.progress.say_cancelled)
        self.reading.ended.connect(self._update)
        self.work.done.connect(self._on_drawn)
        self.work.ended.connect(self._update)
        for signal in (session.current_changed, session.slides_changed):
            listen(self, signal, self._on_slide)
        listen(self, session.values_changed, self._update)
        self._on_slide()

    def _build(self) -> None:
        self.scale = QDoubleSpinBox()
        self.scale.setRange(0.5, 8.0)
        self.scale.setSingleStep(0.5)
        self.scale.setValue(2.0)
        self.scale.setSuffix(" x screen")
        self.scale.setToolTip("How many px the picture has for each px on the screen, each way")
        self.save_view = QPushButton("Save view…")
        self.save_view.setToolTip("What the canvas shows now, with colour bar and scale bar, PNG")
        self.genes = GeneBox(self._session)
        self.rows: dict[Row, QCheckBox] = {
            "measured": QCheckBox("measured"),
            "predicted": QCheckBox("predicted"),
        }
        for box in self.rows.values():
            box.setChecked(True)
        self.range = QComboBox()
        self.range.addItems([_EACH, _ALL])
        self.range.setToolTip(
            "Measured and predicted of a gene always share a range; how its ends are chosen is "
            "set in Gene maps"
        )
        self.columns = QSpinBox()
        self.columns.setRange(1, 10)
        self.columns.setValue(4)
        self.columns.setToolTip("Genes beside each other")
        self.dpi = QSpinBox()
        self.dpi.setRange(72, 600)
        self.dpi.setValue(300)
        self.dpi.setSuffix(" dpi")
        self.dpi.setToolTip("Of a PNG, and of the pictures in an SVG; a map is 2 inches wide")
        self.draw = QPushButton("Save figure…")
        self.cancel = QPushButton("Cancel")
        self.progress = ProgressRow(self.work, cancelled=UNWRITTEN)
        view, grid = QGroupBox("The view"), QGroupBox("A grid of genes")
        line = QHBoxLayout(view)
        line.addWidget(self.scale)
        line.addWidget(self.save_view, 1)
        form = QFormLayout(grid)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.genes)
        form.addRow("Rows", line_of(*self.rows.values()))
        form.addRow("Range", self.range)
        form.addRow("Columns", self.columns)
        form.addRow("Resolution", self.dpi)
        form.addRow(line_of(self.draw, self.cancel))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 6, 2, 2)
        layout.addWidget(view)
        layout.addWidget(grid)
        layout.addWidget(self.progress)
        layout.addStretch(1)

    def _on_slide(self) -> None:
        """Another slide: what was said of the last one's figures is not meant for it."""
        state = self._session.current
        slide = None if state is None else state.slide
        if slide is not self._of:
            self._of = slide
            if not (self.work.running or self.reading.running):
                self.progress.say("")
        self._update()

    def _update(self) -> None:
        state, busy = self._session.current, self.work.running or self.reading.running
        kinds = () if state is None else state.kinds
        for row, box in self.rows.items():
            box.setEnabled(row in kinds)
        some = bool({"measured", "predicted"} & set(kinds))
        self.draw.setEnabled(some and not busy)
        self.draw.setToolTip(
            "As .png, .svg, or both" if some else "Needs a slide with a measurement or a prediction"
        )
        self.save_view.setEnabled(state is not None)
        self.cancel.setEnabled(busy)

    # -- what the buttons do --------------------------------------------------------------

    def _on_view(self) -> None:
        state = self._session.current
        name = "view.png" if state is None else f"{state.name}.png"
        path, _ = QFileDialog.getSaveFileName(self, "Save the view", name, "Picture (*.png)")
        if not path:
            return
        try:
            chosen = Path(path)
            chosen = chosen if chosen.suffix else chosen.with_suffix(".png")
            save_view(self._viewer, chosen, self.scale.value())
        except InputError as error:
            self._refuse(error)
        else:
            self.progress.say(f"Saved: {chosen}")

    def _on_draw(self) -> None:
        state = self._session.current
        if state is None or self.work.running or self.reading.running:
            return
        path, kind = QFileDialog.getSaveFileName(
            self, "Save the figure", f"{state.name} genes",
            "PNG and SVG (*);;Picture (*.png);;Drawing (*.svg)",
        )  # fmt: skip
        if not path:
            return
        if self.rows["measured"].isChecked() and state.slide.has_counts and state.measured is None:
            # No other widget has asked for the counts yet.
            self._waiting = (state.name, path, kind)
            self.progress.begin("Reading the counts")
            self.reading.start(partial(measured_steps, state.slide))
            self._update()
        else:
            self._start(state, path, kind)

    def _on_measured(self, measured: Measured) -> None:
        if self._waiting is None:
            return
        (name, path, kind), self._waiting = self._waiting, None
        state = self._session.slides.get(name)
        if state is not None:
            self._session.set_measured(name, measured)
            self._start(state, path, kind)

    def _start(self, state: SlideState, path: str, kind: str) -> None:
        try:
            paths, wanted = _paths(Path(path), kind), self._order(state)
        except InputError as error:
            self._refuse(error)
            return
        self.progress.begin("Drawing")
        self.work.start(partial(figure_steps, wanted, paths))
        self._update()

    def _on_cancel(self) -> None:
        self.work.cancel()
        self.reading.cancel()

    def _order(self, state: SlideState) -> FigureOrder:
        from napari_umpire.inference.genes.lists import resolve

        session, names = self._session, self.genes.names
        found = resolve(names, state.genes.index)
        keys = found.keys
        self._left_out = found.describe() if len(keys) < len(names) else ""
        if not names and session.gene is not None and session.gene in state.genes:
            keys = (session.gene,)
        return order(
            state, keys, [row for row, box in self.rows.items() if box.isChecked()],
            choice=session.range, look=session.look,
            one_range=self.range.currentText() == _ALL, columns=self.columns.value(),
            dpi=self.dpi.value(),
        )  # fmt: skip

    def _on_drawn(self, paths: list[Path]) -> None:
        saved = "Saved: " + ", ".join(map(str, paths))
        self.progress.say("\n".join(filter(None, (saved, self._left_out))))

    def _refuse(self, error: InputError) -> None:
        show_error(str(error))
        self.progress.say(str(error))


def _paths(chosen: Path, kind: str) -> list[Path]:
    """The files to write: the one chosen, or those of the kind with their endings added."""
    if chosen.suffix.lower() in (".png", ".svg"):
        return [chosen]
    endings = [end for end in (".png", ".svg") if end in kind] or [".png", ".svg"]
    paths = [chosen.with_name(f"{chosen.name}{end}") for end in endings]
    taken = [path for path in paths if path.exists()]
    if taken:  # nobody was asked whether to overwrite these
        raise InputError(f"{taken[0]} is there already", fix="Choose another name")
    return paths
