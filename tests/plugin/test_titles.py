"""Titles of maps as long as their panes have room for, measured in the real canvas."""

from __future__ import annotations

import gc

from napari_umpire.plugin.layers.titles import MapTitle, drawn_width, shortened

WHOLE = "a long signature of keratins (measured), mean log1p(CP10k): section_1"


def test_names_lose_their_middles_and_none_is_left_out():
    title = MapTitle("a long signature of keratins", " (measured), mean log1p(CP10k)", "section_1")
    assert title.whole == WHOLE
    assert title.fit(drawn_width(WHOLE)) == WHOLE
    shorter = title.fit(drawn_width(WHOLE) - 8)
    assert shorter == "a long si…keratins (measured), mean log1p(CP10k): section_1"
    assert title.fit(0) == "a lo…ins (measured), mean log1p(CP10k): sect…n_1"
    assert MapTitle("GENE", ", unit", "C3").fit(0) == "GENE, unit: C3"


def test_one_rule_for_the_name_of_the_slide_whatever_the_width():
    title = MapTitle("PIBF1", " (spread), log1p(CP10k)", "section_1")
    widths = range(0, 80, 5)
    assert all(": sect" in title.fit(room) for room in widths)
    assert not any("sect" in title.fit(room, beside=True) for room in widths)


def test_both_ends_of_a_shortened_name_stay():
    assert shortened("ACGTACGT-1", 10) == "ACGTACGT-1"
    assert shortened("TGAGTAGTGCGGACAC-1", 9) == "TGAG…AC-1"


def test_panes_leave_the_slide_out_and_hidden_maps_of_others_keep_it(
    maps_dock, slides, prediction, qtbot
):
    viewer, widget, session = maps_dock(slides[1], slides[0], predictions=[prediction], show=True)
    session.set_gene(session.current.genes.key_of_predicted(str(prediction.genes.index[0])))
    session.set_current(slides[1].name)
    qtbot.waitUntil(lambda: session.current.measured is not None, timeout=20_000)

    def titles():
        ours = (v for v in viewer.layers if "title" in v.metadata.get("napari_umpire", {}))
        return {v: v.name for v in ours}

    session.set_current(slides[0].name)
    assert all(f": {v.metadata['napari_umpire']['slide'].name}" in n for v, n in titles().items())
    widget.beside.click()
    panes = session.display.panes
    assert len(panes) == 4
    for layer, name in titles().items():
        assert (": " in name) == (layer not in panes), name
        assert "[" not in name, "napari had to tell namesakes apart"
    widget.beside.click()
    assert all(": " in name for name in titles().values())


def test_titles_lie_within_their_panes(make_napari_viewer, slides, qtbot):
    """What is drawn, not what was counted: two panes at the width of a laptop's window."""
    from napari._vispy.overlays.text import VispyLayerNameOverlay

    from napari_umpire.inference.genes.measured import read_measured
    from napari_umpire.inference.genes.signature import Signature
    from napari_umpire.plugin.layers.make import slide_layer
    from napari_umpire.plugin.session.session import session_of
    from napari_umpire.progress import run

    viewer = make_napari_viewer(show=True)
    data, attributes, _ = slide_layer(slides[0])
    viewer.add_image(data, **attributes)
    session = session_of(viewer)
    state = session.current
    session.set_measured(state.name, run(read_measured(state.slide)))
    names = tuple(state.genes.frame["symbol"][:3])
    session.show_signature(Signature("genes of the HER2 amplicon and a few more of them", names))
    session.set_view(kind="measured")
    layer = session.display.layer("measured")

    def right_end():
        overlays = [o for o in gc.get_objects() if type(o) is VispyLayerNameOverlay]
        (shown,) = [o for o in overlays if o.layer is layer and o.overlay.visible]
        return shown.x_size

    said = {}
    for width in (1366, 900, 1500):
        viewer.window.resize(width, 768)
        qtbot.wait(100)
        assert right_end() < viewer.canvas.size[1]
        said[width] = layer.name
    assert len(said[900]) < len(said[1366]) < len(said[1500]), "a wide window says more again"
    layer.name = "mine"
    viewer.window.resize(900, 768)
    qtbot.wait(100)
    assert layer.name == "mine"
