"""The Gene maps widget, with mouse and keyboard, in the real window."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_umpire.inference.genes.measured import read_measured
from napari_umpire.plugin.layers.make import KEY, gene_colormap, slide_layer
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.maps.gene_search import PAUSE_MS
from napari_umpire.progress import run

LEFT = Qt.MouseButton.LeftButton


def rows(widget):
    model = widget.search.hits
    return [model.index(i).data() for i in range(model.rowCount())]


def test_it_opens_alone_with_nothing_loaded(maps_dock):
    _, widget, _ = maps_dock()
    assert "Drop a slide" in widget.words.text()
    assert widget.search.hits.rowCount() == 0
    assert not any(button.isEnabled() for button in widget.buttons.values())
    assert not widget.beside.isEnabled()


def test_the_list_is_what_the_line_says_whoever_wrote_there(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    everything = rows(widget)
    line = widget.search.line
    line.setText("cd3")  # as a paste or an undo does
    assert 0 < len(rows(widget)) < len(everything)
    assert "CD3" in rows(widget)[0]
    line.clear()
    assert rows(widget) == everything
    qtbot.keyClicks(line, "cd3")
    # A list that is kept is shown whole: the search was for something else.
    widget.lists.text.setPlainText("ERBB2 EPCAM")
    qtbot.keyClicks(widget.lists.name, "mine")
    qtbot.mouseClick(widget.lists.keep, LEFT)
    assert line.text() == ""
    assert widget.search.lists.currentText() == "mine"
    assert sorted(rows(widget)) == ["EPCAM", "ERBB2"]
    assert widget.search.count.text() == "2 genes"
    # What is typed then searches that list, and stays while another is chosen.
    qtbot.keyClicks(line, "erb")
    assert rows(widget) == ["ERBB2"]
    widget.search.list_chosen.emit("all genes")
    assert line.text() == "erb"
    assert len(rows(widget)) > 1
    assert rows(widget)[0] == "ERBB2"


def test_counts_go_to_the_slide_they_were_read_of_not_to_another_of_its_name(
    open_viewer, qtbot, slides
):
    viewer = open_viewer(slides[0], show=False)
    session = session_of(viewer)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Gene maps")
    assert widget.work.running
    viewer.layers.remove(session.current.image)
    other = dataclasses.replace(slides[1], name=slides[0].name)
    data, attributes, _ = slide_layer(other)
    viewer.add_image(data, **attributes)
    assert session.current.slide is other
    assert session.current.name == slides[0].name
    qtbot.waitUntil(
        lambda: not widget.work.running and session.current.measured is not None, timeout=20_000
    )
    right = run(read_measured(other))
    gene = session.current.measured.most_variable()
    np.testing.assert_array_equal(session.current.measured.column(gene), right.column(gene))
    qtbot.waitUntil(lambda: not widget.naming.running, timeout=20_000)


def test_a_measured_slide_opens_with_a_gene_that_shows_something(maps_dock, slide, measured):
    viewer, widget, session = maps_dock(slide)
    assert session.gene == measured.most_variable()
    layer = session.display.layer("measured")
    np.testing.assert_array_equal(layer.metadata[KEY]["map"].values, measured.column(session.gene))
    assert widget.search.hits.rowCount() == len(measured.genes)
    assert widget.buttons["measured"].isChecked()
    assert not widget.buttons["predicted"].isEnabled()
    assert "log1p(CP10k)" in widget.words.text()


def type_gene(widget, qtbot, text):
    """Type, and wait as a user who has stopped typing."""
    qtbot.keyClicks(widget.search.line, text)
    qtbot.wait(PAUSE_MS + 100)


def test_typing_narrows_the_list_and_shows_the_best_hit_after_a_pause(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    before, heard = session.gene, []
    session.gene_changed.connect(lambda: heard.append(session.gene))
    type_gene(widget, qtbot, "erb")
    assert all("erb" in row.lower() for row in rows(widget))
    assert session.current.genes.label(session.gene).upper().startswith("ERB")
    heard.clear()
    widget.search.line.clear()
    for key in "epcam":
        qtbot.keyClicks(widget.search.line, key)
        qtbot.wait(20)
    assert not heard, "the map must not jump while one types"
    qtbot.waitUntil(lambda: bool(heard), timeout=2000)
    assert [session.current.genes.label(key) for key in heard] == ["EPCAM"]
    widget.search.line.clear()
    type_gene(widget, qtbot, "erbb2")
    assert session.display.layer("measured").name == f"ERBB2 (measured), log1p(CP10k): {slide.name}"
    widget.search.line.clear()
    assert widget.search.hits.rowCount() == len(session.current.genes)
    assert session.current.genes.label(session.gene) == "ERBB2"
    assert before != session.gene
    qtbot.keyClicks(widget.search.line, "ensg00000119888.11"[:15])
    qtbot.keyClick(widget.search.line, Qt.Key.Key_Return)
    assert session.current.genes.label(session.gene) == "EPCAM", "Enter does not wait"


def test_the_name_of_a_stain_finds_its_gene_and_says_so(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    type_gene(widget, qtbot, "her2")
    assert rows(widget)[0] == "HER2 → ERBB2"
    assert session.current.genes.label(session.gene) == "ERBB2"


def test_arrow_keys_step_through_the_hits(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    qtbot.keyClicks(widget.search.line, "k")
    hits = [widget.search.hits.key(i) for i in range(widget.search.hits.rowCount())]
    for expected in hits[:3]:
        qtbot.keyClick(widget.search.line, Qt.Key.Key_Down)
        assert session.gene == expected
    qtbot.keyClick(widget.search.line, Qt.Key.Key_Up)
    assert session.gene == hits[1]
    qtbot.wait(PAUSE_MS + 100)
    assert session.gene == hits[1], "who has stepped is not thrown back to the best hit"
    for _ in range(9):
        qtbot.keyClick(widget.search.line, Qt.Key.Key_Up)
    assert session.gene == hits[0]


def test_a_click_in_the_list_shows_that_gene(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    view = widget.search.list
    at = view.visualRect(widget.search.hits.index(view.currentIndex().row() + 1)).center()
    expected = widget.search.hits.key(view.currentIndex().row() + 1)
    qtbot.mouseClick(view.viewport(), LEFT, pos=at)
    assert session.gene == expected


def test_nothing_found_is_said_and_changes_nothing(maps_dock, slide, qtbot):
    _, widget, session = maps_dock(slide)
    before = session.gene
    qtbot.keyClicks(widget.search.line, "!no such gene")
    qtbot.keyClick(widget.search.line, Qt.Key.Key_Down)
    qtbot.keyClick(widget.search.line, Qt.Key.Key_Return)
    assert widget.search.count.text() == "0 genes found"
    assert session.gene == before


def test_buttons_choose_the_map_and_the_words_give_the_score(
    maps_dock, slide, prediction, measured, qtbot
):
    viewer, widget, session = maps_dock(slide, predictions=[prediction])
    for kind in ("predicted", "measured", "difference", "spread"):
        qtbot.mouseClick(widget.buttons[kind], LEFT)
        assert session.kind == kind
        (shown,) = [v for v in viewer.layers if v.visible and v.metadata[KEY]["role"] != "image"]
        assert shown.metadata[KEY]["role"] == kind
    predicted = prediction.gene_map(session.gene)
    good = measured.detected >= 100
    pcc = np.corrcoef(predicted[good], measured.column(session.gene)[good])[0, 1]
    assert f"Pearson correlation {pcc:.2f} over {good.sum()} spots" in widget.words.text()
    assert f"{prediction.mean_similarity.mean():.2f}" in widget.words.text()


def test_range_controls_set_the_colour_bar(maps_dock, slide, measured, qtbot):
    _, widget, session = maps_dock(slide)
    values = measured.column(session.gene)
    layer = session.display.layer("measured")
    assert layer.contrast_limits == pytest.approx(np.percentile(values, (1, 99)))
    widget.range.mode.setCurrentText("percentile")
    widget.range.percentiles.setValue((10, 80))
    assert layer.contrast_limits == pytest.approx(np.percentile(values, (10, 80)))
    widget.range.mode.setCurrentText("absolute")
    widget.range.low.setValue(3.0)
    widget.range.high.setValue(1.0)  # the wrong way round
    assert layer.contrast_limits == [1.0, 3.0]
    assert layer.colorbar.visible


def test_two_widgets_say_the_same(maps_dock, slide, qtbot):
    from napari_umpire.plugin.widgets.maps.gene_maps import GeneMapsWidget

    viewer, widget, session = maps_dock(slide)
    other = GeneMapsWidget(viewer)
    qtbot.addWidget(other)
    widget.range.mode.setCurrentText("absolute")
    assert other.range.mode.currentText() == "absolute"
    type_gene(other, qtbot, "EPCAM")
    assert session.current.genes.label(session.gene) == "EPCAM"
    assert widget.search.hits.key(widget.search.list.currentIndex().row()) == session.gene


def test_a_closed_dock_hears_no_more(maps_dock, slide, slides, qtbot):
    viewer, widget, session = maps_dock(slide)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    qtbot.wait(50)
    session.set_gene(session.current.genes.frame.index[3])
    viewer.layers.clear()
    assert session.current is None


@pytest.mark.slow
def test_the_window_shows_the_values_beside_each_other(maps_dock, slide, prediction, qtbot):
    """The colour at the centre of a spot, in both panes, is that of its value."""
    viewer, widget, session = maps_dock(slide, predictions=[prediction], show=True)
    qtbot.mouseClick(widget.beside, LEFT, pos=QPoint(8, widget.beside.height() // 2))
    assert session.beside, "the click missed the box"
    qtbot.wait(200)
    viewer.screenshot(canvas_only=True, flash=False)
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    height, width = pixels.shape[:2]
    camera, gap = viewer.scene.camera, viewer.canvas.grid.spacing
    pane = (width - gap) / 2
    checked = 0
    for number, kind in enumerate(("measured", "predicted")):
        layer = session.display.layer(kind)
        low, high = layer.contrast_limits
        wanted = np.clip((layer.metadata[KEY]["map"].values - low) / (high - low), 0, 1)
        colours = gene_colormap(kind).map(wanted)[:, :3] * 255
        for (y, x), colour in zip(slide.yx * slide.mpp, colours, strict=True):
            row = (y - camera.center[-2]) * camera.zoom + height / 2
            col = (x - camera.center[-1]) * camera.zoom + pane / 2
            # Not under the name or the colour bar.
            if not (220 < row < height - 60 and 5 < col < pane - 5):
                continue
            seen = pixels[round(row), round(col + number * (pane + gap))]
            assert np.abs(seen - colour).max() <= 12, (kind, y, x)
            checked += 1
    assert checked > 40
    limits = [session.display.layer(k).contrast_limits for k in ("measured", "predicted")]
    assert limits[0] == limits[1]


def test_unreadable_counts_are_a_sentence_and_asked_for_once(maps_dock, slide, qtbot, monkeypatch):
    from napari.utils.notifications import notification_manager

    table = slide.adata.copy()
    table.X = slide.counts().astype(np.float32)
    table.X.data[7] = -1
    monkeypatch.setitem(slide.__dict__, "adata", table)
    notification_manager.records.clear()
    _, widget, session = maps_dock(slide)
    (note,) = notification_manager.records
    assert slide.name in note.message
    assert "negative" in note.message
    assert session.current.measured is None
    session.current_changed.emit()
    assert not widget.work.running


def test_it_fits_a_small_laptop(maps_dock, slide, prediction):
    _, widget, _ = maps_dock(slide, predictions=[prediction], show=True)
    assert widget.minimumSizeHint().width() <= 360
    assert widget.minimumSizeHint().height() <= 600


@pytest.mark.slow
def test_a_key_among_twenty_thousand_genes_is_one_search_and_few_lines(qtbot, monkeypatch):
    import pandas as pd

    from napari_umpire.inference.genes.search import GeneIndex
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.plugin.widgets.maps.gene_search import GeneSearch

    names = [f"GENE{i}" for i in range(20_000)]
    frame = pd.DataFrame({"id": [f"ENSG{i:011}" for i in range(20_000)], "symbol": names})
    search = GeneSearch()
    qtbot.addWidget(search)
    search.set_table(GeneTable.build(frame.set_index("id", drop=False), None))
    search.hits.search("x")
    searched, built = [], []
    really, make = GeneIndex.search, GeneIndex.__init__

    def watched(self, text, *args, **options):
        searched.append(text)
        return really(self, text, *args, **options)

    monkeypatch.setattr(GeneIndex, "search", watched)
    monkeypatch.setattr(
        GeneIndex, "__init__", lambda self, *a, **k: built.append(1) or make(self, *a, **k)
    )
    qtbot.keyClicks(search.line, "GENE1234")
    assert searched == ["GENE1234"[:n] for n in range(1, 9)]
    assert not built, "the index is made once, for all keys"
    assert len(rows_of(search)) <= 200
    assert rows_of(search)[0] == "GENE1234"


def rows_of(search):
    return [search.hits.index(i).data() for i in range(search.hits.rowCount())]


def test_opening_the_widgets_imports_no_torch():
    code = """
import sys
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from napari_umpire.plugin.widgets.predict.predict import PredictWidget
from napari_umpire.plugin.widgets.maps.gene_maps import GeneMapsWidget
viewer = ViewerModel()
widgets = PredictWidget(viewer), GeneMapsWidget(viewer)
print(*{m.partition('.')[0] for m in sys.modules})
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "spatialdata", "scanpy", "sklearn"} & set(out.stdout.split())


def test_counts_go_to_the_slide_they_were_read_from_while_the_next_is_begun(
    maps_dock, slides, qtbot
):
    """What arrives makes the widget read the other slide at once, in the middle of the telling."""
    _, widget, session = maps_dock(*slides[:2])
    first, second = slides[0].name, slides[1].name
    session.set_current(second)
    qtbot.waitUntil(lambda: not widget.work.running, timeout=20_000)
    for name in (first, second):
        session.slides[name].measured = None
    told = []
    session.values_changed.connect(lambda name: (told.append(name), session.set_current(second)))
    session.set_current(first)
    qtbot.waitUntil(lambda: {first, second} <= set(told), timeout=20_000)
    assert slides[0].n_spots != slides[1].n_spots
    for one in slides[:2]:
        measured = session.slides[one.name].measured
        assert measured is not None
        assert len(measured.detected) == one.n_spots
