"""The form by which a prediction is saved as a table, and copied as a command."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.plugin.runs.saving import (
    GENE_CHOICES,
    GeneChoice,
    extras_of,
    genes_to_write,
    record_of,
    save_order,
    save_steps,
    size_words,
)
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.parts.form_parts import line_of
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.progress_row import UNWRITTEN, ProgressRow
from napari_umpire.plugin.widgets.results.extras_list import ExtrasList
from napari_umpire.plugin.widgets.results.gene_box import GeneBox
from napari_umpire.plugin.widgets.results.place_row import PlaceRow
from napari_umpire.plugin.words.command import predict_command, record_command
from napari_umpire.plugin.words.method import no_references

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.record import RunRecord
    from napari_umpire.inference.predictions.saving import Saved
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["SaveForm"]

_STD = "Also the weighted standard deviation over the references, as layer std; twice the size"


class SaveForm(QWidget):
    """Which genes and columns, where to; Save, and Copy as command."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._saved: Saved | None = None
        self._of: Slide | None = None
        self._saving: Slide | None = None
        self.work = Work(self)
        self._build()
        self.choice.currentIndexChanged.connect(self._update)
        self.genes.changed.connect(self._update)
        self.std.toggled.connect(self._update)
        self.save.clicked.connect(self._on_save)
        self.place.changed.connect(self._update)
        self.cancel.clicked.connect(self._on_cancel)
        self.copy.clicked.connect(self._on_copy)
        self.copy_record.clicked.connect(self._on_copy_record)
        self.work.done.connect(self._on_saved)
        self.work.ended.connect(self._update)
        for signal in (session.current_changed, session.slides_changed):
            listen(self, signal, self._on_slide)
        for signal in (session.values_changed, session.gene_changed):
            listen(self, signal, self._update)
        for signal in (session.labels_changed, session.maps_changed):
            listen(self, signal, self._fill_extras)
        self._on_slide()

    def _build(self) -> None:
        self.choice = QComboBox()
        for key, title in GENE_CHOICES.items():
            self.choice.addItem(title, key)
        self.choice.setToolTip("Which predicted genes the table gets")
        self.genes = GeneBox(self._session)
        self.std = QCheckBox("with their spread")
        self.std.setToolTip(_STD)
        self.extras = ExtrasList()
        self.name = QLineEdit("umpire")
        self.name.setToolTip("Name of the table; a number is added where it is taken")
        self.place = PlaceRow()
        self.size_words = QLabel()
        self.size_words.setWordWrap(True)
        self.save = QPushButton("Save table")
        self.cancel = QPushButton("Cancel")
        self.copy = QPushButton("Copy as command")
        self.copy.setToolTip(
            "The umpire-train call that makes the same table again, bit for bit, in a shell"
        )
        self.copy_record = QPushButton("Copy with record")
        self.copy_record.setToolTip(
            "The call that repeats the run record just saved, and that refuses where the slide or "
            "the model has changed since"
        )
        self.progress = ProgressRow(self.work, cancelled=UNWRITTEN)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Genes", self.choice)
        form.addRow(self.genes)
        form.addRow("", self.std)
        form.addRow("Columns", self.extras)
        form.addRow("Name", self.name)
        form.addRow("Place", self.place)
        form.addRow("Size", self.size_words)
        form.addRow(line_of(self.save, self.cancel))
        form.addRow(line_of(self.copy, self.copy_record))
        self._form = form
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 6, 2, 2)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addStretch(1)

    # -- what the form says ---------------------------------------------------------------

    def _on_slide(self) -> None:
        """Another slide: what was chosen, and said, of the last one is not meant for it."""
        state = self._session.current
        if state is None or state.slide is not self._of:
            self._of = None if state is None else state.slide
            self._saved = None
            self.place.set_slide(self._of)
            if not self.work.running:
                self.progress.say("")
        self._fill_extras()
        self._update()

    def _update(self) -> None:
        state, busy = self._session.current, self.work.running
        choice = self._gene_choice
        self._form.setRowVisible(self.genes, choice == "listed")
        ready = state is not None and state.prediction is not None
        self.place.allow(choose=ready and not busy, back=not busy)
        self.save.setEnabled(ready and not busy)
        self.copy.setEnabled(ready)
        self.copy_record.setEnabled(self._saved is not None)
        lacks = no_references(state, "spread")
        self.std.setEnabled(not lacks)
        self.std.setToolTip(lacks or _STD)
        self.cancel.setEnabled(busy)
        if state is None or not ready:
            said = "Open a slide first." if state is None else "Predict its genes first."
            self.size_words.setText(said)
            self.save.setToolTip(said)
            return
        self.save.setToolTip("Write the table and its run record, and read them back")
        try:
            genes, left_out = self._genes(state)
        except InputError as error:
            self.size_words.setText(str(error))
            return
        count = len(genes) if choice != "all" else None
        size = size_words(state, count, std=self._with_std, store=self.place.chosen)
        lacks = no_references(state, "spread, similarity or confidence to save")
        self.size_words.setText("\n".join(filter(None, (left_out, size, lacks))))

    @property
    def _with_std(self) -> bool:
        """A tick stays for the next prediction that has a spread."""
        return self.std.isChecked() and self.std.isEnabled()

    def _genes(self, state: SlideState) -> tuple[tuple[str, ...], str]:
        shown = self._session.gene
        return genes_to_write(state, self._gene_choice, self.genes.names, shown)

    @property
    def _gene_choice(self) -> GeneChoice:
        return next(c for c in get_args(GeneChoice) if c == self.choice.currentData())

    def _fill_extras(self) -> None:
        state = self._session.current
        columns = {} if state is None else extras_of(state)
        self.extras.offer(columns)
        self._form.setRowVisible(self.extras, bool(columns))

    def record(self) -> RunRecord:
        """The run with what the form says of it; `InputError` where that cannot be."""
        state = self._session.current
        if state is None or state.prediction is None:
            raise InputError("Nothing was predicted yet", fix="Run a model in Predict first")
        genes, _ = self._genes(state)
        return record_of(state.prediction, genes, std=self._with_std, name=self.name.text())

    # -- what the buttons do --------------------------------------------------------------

    def _on_save(self) -> None:
        state = self._session.current
        if state is None or self.work.running:
            return
        try:
            order = save_order(state, self.record(), self.place.chosen, self.extras.ticked)
        except InputError as error:
            self._refuse(error)
            return
        self._saving = state.slide
        self.progress.begin("Saving")
        self.work.start(partial(save_steps, order))
        self._update()

    def _on_saved(self, saved: Saved) -> None:
        if self._saving is self._of:  # else another slide was chosen meanwhile
            self._saved = saved
        self._saving = None
        self.place.look()  # what was to be made is there now
        self.progress.say(f"Saved: {saved.describe()}")

    def _on_cancel(self) -> None:
        self.work.cancel()
        self.cancel.setEnabled(False)

    def _on_copy(self) -> None:
        try:
            chosen = self.place.chosen
            output = None if chosen is None else chosen.parent
            self._to_clipboard(predict_command(self.record(), output))
        except InputError as error:
            self._refuse(error)

    def _on_copy_record(self) -> None:
        if self._saved is not None:
            self._to_clipboard(record_command(self._saved.record))

    def _to_clipboard(self, command: str) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(command)
        self.progress.say(f"Copied: {command}")
        show_info("The command is on the clipboard.")

    def _refuse(self, error: InputError) -> None:
        show_error(str(error))
        self.progress.say(str(error))

    def restore(self, record: RunRecord) -> None:
        """Show what was written of the run of a record."""
        self.choice.setCurrentIndex(self.choice.findData("listed" if record.genes else "all"))
        self.genes.set_names(record.genes)
        self.std.setChecked(record.std)
        self.name.setText(record.name)
