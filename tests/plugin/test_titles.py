"""Titles of maps as long as their panes have room for, measured in the real canvas."""

from __future__ import annotations

import gc

from napari_umpire.plugin.layers.titles import MapTitle, drawn_width, shortened

WHOLE = "a long signature of keratins (measured), mean log1p(CP10k): section_1"


def test_slide_goes_first_then_the_middle_of_the_name():
    title = MapTitle("a long signature of keratins", " (measured), mean log1p(CP10k)", "section_1")
    assert title.whole == WHOLE
    bare = WHOLE.removesuffix(": section_1")
    assert title.fit(drawn_width(WHOLE)) == WHOLE
    assert title.fit(drawn_width(WHOLE) - 0.1) == bare
    assert title.fit(drawn_width(bare)) == bare
    shorter = title.fit(drawn_width(bare) - 8)
    assert shorter == "a long si…keratins (measured), mean log1p(CP10k)"
    assert title.fit(0) == "a lo…ins (measured), mean log1p(CP10k)"


def test_both_ends_of_a_shortened_name_stay():
    assert shortened("ACGTACGT-1", 10) == "ACGTACGT-1"
    assert shortened("TGAGTAGTGCGGACAC-1", 9) == "TGAG…AC-1"


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
