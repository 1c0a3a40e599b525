"""A prediction from the image alone in the real window: every dock says what is not there."""

from __future__ import annotations

import numpy as np
import pytest
import spatialdata as sd
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_umpire.inference.predictions.direct import DirectPrediction
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.words.command import predict_command
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide

LEFT = Qt.MouseButton.LeftButton
ALONE = "Predicted from the image alone"


@pytest.fixture(scope="module")
def folders(slides, tmp_path_factory):
    """A model with a reference and a decoder of 30 genes, and one of the decoder alone."""
    import torch

    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.inference.model import load_model
    from napari_umpire.models import (
        DecoderConfig,
        GeneConfig,
        GeneMLPConfig,
        Umpire,
        UmpireConfig,
        VisionConfig,
        save_model,
    )
    from napari_umpire.progress import run

    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("decoders")
    vocabulary = GeneVocabulary.from_counts((s.counts(), s.genes) for s in slides)
    panel = tuple(str(gene) for gene in vocabulary.ids[:50])
    for name, alone in (("both", False), ("alone", True)):
        config = UmpireConfig(
            gene=GeneConfig(kind="mlp", mlp=GeneMLPConfig(50, (32,), 16, panel=panel)),
            vision=VisionConfig(size_px=32, kwargs={"widths": [8, 16], "norm": "group"}),
            dim=16,
            decoder=DecoderConfig(panel[:30], 8, alone),
        )
        model = Umpire(config)
        model.decoder.set_statistics(torch.full((30,), 1.5), torch.rand(30) + 2)
        save_model(place / name, model, vocabulary)
    run(load_model(place / "both", "cpu").build_reference(slides[1:], place / "both/reference"))
    return place


@pytest.fixture
def stored(slides, tmp_path):
    (tmp_path / "stored").mkdir()
    return open_slide(write_slide(slides[0], tmp_path / "stored" / "slide.zarr"))


@pytest.fixture(scope="module")
def decoded(slides, folders):
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run

    return run(load_model(folders / "both", "cpu").predict(slides[0], method="decoder"))


@pytest.fixture
def dock(open_viewer, slide, decoded):
    """Open a dock over a slide with a decoder's prediction, a gene of it shown."""

    def open_(name, show=False):
        viewer = open_viewer(slide, show=show)
        session = session_of(viewer)
        session.set_prediction(slide.name, decoded)
        session.set_gene(session.current.genes.key_of_predicted(decoded.genes.index[0]))
        _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", name)
        return widget, session

    return open_


def choose_model(widget, folder):
    widget.model.set_value(str(folder))
    widget.device.setCurrentText("cpu")


@pytest.mark.parametrize("name", ["both", "alone"])
def test_predict_offers_the_methods_of_the_model_and_runs_the_chosen_one(
    open_viewer, stored, folders, qtbot, name
):
    viewer = open_viewer(stored, show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    choose_model(widget, folders / name)
    session = session_of(viewer)
    assert widget.method.isVisibleTo(widget) is (name == "both")
    if name == "both":
        assert widget.k.isVisibleTo(widget)
        assert "Decoder" not in widget.card.text
        widget.method.setCurrentIndex(widget.method.findData("decoder"))
        assert widget.options().method == "decoder"
    assert not widget.k.isVisibleTo(widget)
    assert "Decoder: 30 genes from the image alone: no evidence" in widget.card.text
    assert ("cannot retrieve" in widget.card.text) is (name == "alone")
    with qtbot.waitSignal(widget.work.done, timeout=60_000):
        qtbot.mouseClick(widget.run, LEFT)
    prediction = session.current.prediction
    assert isinstance(prediction, DirectPrediction)
    assert prediction.record.method == "decoder"
    assert "30 genes from the image alone, without evidence" in widget.progress.text.text()
    layer = session.display.layer("predicted")
    key = session.current.genes.frame.at[session.gene, "predicted"]
    np.testing.assert_array_equal(
        layer.metadata["napari_umpire"]["map"].values, prediction.gene_map(key)
    )
    assert session.current.retrieval is None


def test_a_model_without_decoder_offers_nothing_new(open_viewer, slide, model_folder):
    viewer = open_viewer(slide, show=False)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    choose_model(widget, model_folder)
    assert not widget.method.isVisibleTo(widget)
    assert widget.options().method == "auto"


def test_a_record_brings_the_method_back(open_viewer, slide, folders, decoded):
    viewer = open_viewer(slide, show=False)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    widget.restore(decoded.record)
    assert widget.method.currentData() == "decoder"
    assert widget.options().method == "decoder"
    assert widget.options().reference is None
    widget.restore(RunRecord(decoded.record.slide, decoded.record.model, k=7))
    assert (widget.options().method, widget.options().k) == ("retrieval", 7)


def test_gene_maps_have_no_spread_no_similarity_no_confidence(dock, slide, measured):
    widget, session = dock("Gene maps", show=True)
    session.set_measured(slide.name, measured)
    assert set(session.current.kinds) == {"predicted", "measured", "difference"}
    assert ALONE in widget.words.text()
    trust = widget.trust
    assert not trust.similarity.isEnabled()
    assert not trust.out.isEnabled()
    assert "no measure of how sure it is; predict by retrieval" in trust.words.text()
    widget.look.opacity.setCurrentIndex(2)
    assert session.look.opacity == "confidence"
    assert "no confidence" in widget.look.words.text()
    missing = next(
        key for key in session.current.genes.frame.index
        if not session.current.genes.frame.at[key, "predicted"]
    )  # fmt: skip
    session.set_gene(missing)
    assert "Not among the decoder's genes" in widget.words.text()


def test_from_retrieval_to_the_decoder_and_back_nothing_old_stays(dock, decoded, prediction, qtbot):
    widget, session = dock("Gene maps", show=True)
    name = session.current.name
    session.set_prediction(name, prediction)
    qtbot.mouseClick(widget.trust.similarity, LEFT)
    assert session.shown_map == "similarity"
    session.set_prediction(name, decoded)
    assert session.shown_map is None
    assert "similarity" not in session.current.maps
    session.set_prediction(name, prediction)
    session.set_view(kind="spread")
    session.set_prediction(name, decoded)
    assert session.display.layer("spread") is None or not session.display.layer("spread").visible


def test_evidence_says_that_there_is_none(dock):
    widget, session = dock("Evidence")
    session.set_spot(3)
    assert "So there is no evidence; predict by retrieval" in widget.words.text()
    assert not widget.split.isVisibleTo(widget)


def test_retrieve_says_that_there_is_nothing_to_search(dock):
    widget, session = dock("Retrieve")
    assert not widget.run.isEnabled()
    assert "no space to search in" in widget.words.text()
    session.set_spot(3)
    assert "no usual value" in widget.genes.words.text()
    assert not widget.genes.ask.isEnabled()


def test_compare_scores_the_genes_that_the_decoder_knows(dock, decoded, qtbot):
    widget, session = dock("Compare")
    with qtbot.waitSignal(widget.work.done, timeout=60_000):
        if not widget.work.running:
            qtbot.mouseClick(widget.run, LEFT)
    frame = widget._scored[session.current].scores.frame
    assert np.isfinite(frame["PCC"]).sum() > 20
    missing = frame[~frame.index.isin(decoded.genes.index)]
    assert set(missing["why no PCC"]) == {"not in the decoder"}
    session.set_gene(missing.index[0])
    assert "not in the decoder" in widget._why_no_scatter(session.current, missing.index[0])


def test_results_save_it_and_the_shell_repeats_it(open_viewer, stored, folders, qtbot, tmp_path):
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run
    from umpire_training.cli import main

    predicted = run(
        load_model(folders / "both", "cpu").predict(stored, method="decoder", batch_size=16)
    )
    viewer = open_viewer(stored, show=False)
    session = session_of(viewer)
    session.set_prediction(stored.name, predicted)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Results")
    form = widget.save
    form.std.setChecked(True)
    assert not form.std.isEnabled()
    assert "no spread" in form.std.toolTip()
    assert "no spread, similarity or confidence to save" in form.size_words.text()
    assert not form.record().std
    with qtbot.waitSignal(form.work.done, timeout=60_000):
        qtbot.mouseClick(form.save, LEFT)
    qtbot.mouseClick(form.copy, LEFT)
    command = QApplication.clipboard().text()
    assert "--method decoder" in command
    assert "--k" not in command.split()
    assert main(command.split()[1:]) == 0
    tables = sd.read_zarr(stored.path).tables
    np.testing.assert_array_equal(tables["umpire"].X, tables["umpire_2"].X)
    assert "mean_similarity" not in tables["umpire"].obs


def test_figures_name_the_decoder_in_their_caption(open_viewer, slide, decoded):
    from napari_umpire.plugin.layers.colours import Look
    from napari_umpire.plugin.layers.ranges import RangeChoice
    from napari_umpire.plugin.runs.figures import content_steps, order
    from napari_umpire.progress import run

    session = session_of(open_viewer(slide, show=False))
    session.set_prediction(slide.name, decoded)
    state = session.current
    gene = state.genes.key_of_predicted(decoded.genes.index[0])
    content = run(
        content_steps(order(state, [gene], ["predicted"], choice=RangeChoice(), look=Look()))
    )
    assert "from the image alone by its decoder" in " ".join(content.caption)


@pytest.mark.parametrize("name", ["Regions", "Classes", "Embedding", "Slide status"])
def test_the_other_docks_open_and_follow_a_click(dock, decoded, name):
    _, session = dock(name)  # what goes wrong in a slot fails the test
    session.set_spot(3)
    session.set_prediction(session.current.name, decoded)
    assert session.current.kinds == ("predicted", "measured", "difference")


def test_regions_compare_what_the_decoder_said(slide, decoded):
    from napari_umpire.plugin.runs.genes import compare_steps
    from napari_umpire.progress import run

    a, b = np.arange(20), np.arange(20, 60)
    frame = run(compare_steps(slide, decoded, None, ("a", a), ("b", b))).result.frame
    unknown = frame[~frame.index.isin(decoded.genes.index)]
    assert set(unknown["predicted why"]) == {"not predicted"}
    gene = decoded.genes.index[0]
    values = decoded.gene_map(gene)
    assert frame.loc[gene, "predicted difference"] == pytest.approx(
        values[a].mean() - values[b].mean(), abs=1e-5
    )


def test_embeddings_that_came_along_are_at_hand(open_viewer, slide, decoded):
    from napari_umpire.plugin.runs.embedding import embed_steps, request
    from napari_umpire.progress import run

    session = session_of(open_viewer(slide, show=False))
    session.set_prediction(slide.name, decoded)
    found = run(embed_steps(request(session, [slide.name], "image", device="cpu")))
    assert not found.fresh
    assert found.by_name[slide.name] is decoded.embeddings


def test_embeddings_of_a_decoder_alone_are_refused_in_words(open_viewer, slide, folders, qtbot):
    from napari_umpire.errors import InputError
    from napari_umpire.plugin.runs.embedding import embed_steps, request
    from napari_umpire.progress import run

    session = session_of(open_viewer(slide, show=False))
    session.choose_model(str(folders / "alone"))
    with pytest.raises(InputError, match="trained by reconstruction alone"):
        run(embed_steps(request(session, [slide.name], "image", device="cpu")))


def test_the_command_of_a_retrieval_names_its_method(slide, prediction, tmp_path):
    from dataclasses import replace

    command = predict_command(replace(prediction.record, slide=str(tmp_path)))
    assert "--method retrieval --k 20" in command
