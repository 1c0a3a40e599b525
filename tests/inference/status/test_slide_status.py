"""A head asked about a slide: against the model and the formula, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.inference.cache import FeatureCache
from napari_umpire.inference.status.slide_status import slide_status, tile_inputs, tiles_of
from napari_umpire.inference.status.words import (
    best_words,
    describe,
    protocol_words,
    trust_words,
)
from napari_umpire.models.abmil import Abmil
from napari_umpire.models.status_config import (
    AbmilConfig,
    StatusConfig,
    StatusScores,
    TileConfig,
)
from napari_umpire.models.status_head import StatusHead
from napari_umpire.progress import run
from napari_umpire.slides.patches import PatchSpec, iter_patches

SCORES = StatusScores(
    (6, 7), 15, 2000, "5 folds by patient, stratified", 0.812, 0.74, (0.6, 0.97),
    (0.5, 1.0, None, 0.75, 1.0), (0.7, 0.6, 0.8, 0.7, 0.9), (0.41, 0.55), (0.5, 0.4), 0.35, 20,
)  # fmt: skip


def make_head(model, *, source="features", kind="square", hidden=0, scores=SCORES, field_um=128.0):
    torch.manual_seed(3)
    dim = model.module.image_dim if source == "features" else model.config.dim
    module = Abmil(AbmilConfig(dim=dim, n_classes=2, hidden=hidden, attention=8)).eval()
    with torch.no_grad():
        module.attention.w.weight.mul_(20)  # so that tiles differ visibly
    config = StatusConfig(
        "grade", ("low", "high"), ("#3366cc", "#cc3333"), module.config,
        TileConfig(kind, field_um, 128.0, source), model.digest, scores,
    )  # fmt: skip
    return StatusHead(module, config, "digest", model.path)


def test_it_is_encoder_then_attention_on_the_tiles_of_the_grid(model, slides):
    head, slide = make_head(model), slides[0]
    status = run(slide_status(model, head, slide))
    spec = PatchSpec(128.0, model.config.vision.size_px)
    features = np.zeros((status.n_tiles, model.module.image_dim), np.float32)
    with torch.inference_mode():
        for batch in iter_patches(status.tiles, spec):
            features[batch.rows] = model.module.encode_image(torch.from_numpy(batch.pixels))
        logits, attention = head.module(torch.from_numpy(features))
    wanted = np.exp(logits.numpy() - logits.numpy().max())
    np.testing.assert_allclose(status.probability, wanted / wanted.sum(), rtol=1e-4)
    np.testing.assert_allclose(status.attention, attention, rtol=1e-3, atol=1e-6)
    assert status.attention.sum() == pytest.approx(1, abs=1e-9)
    assert status.relative.mean() == pytest.approx(1)
    assert status.tiles.pitch_um == 128.0
    # Concentration: between one tile and all of them.
    assert 1 <= status.effective_tiles <= status.n_tiles
    order = status.top(5)
    assert list(status.attention[order]) == sorted(status.attention, reverse=True)[:5]


def test_spots_show_the_tile_that_they_lie_in(model, slides):
    slide = slides[0]
    status = run(slide_status(model, make_head(model), slide))
    values = status.at(slide.yx)
    assert values.shape == (slide.n_spots,)
    for row in np.flatnonzero(np.isfinite(values))[::7]:
        away = np.abs(status.tiles.yx - slide.yx[row]).max(axis=1)
        assert values[row] == status.relative[np.argmin(away)]
    assert np.isfinite(values).mean() > 0.8
    far = np.array([[-1e4, -1e4]])
    assert np.isnan(status.at(far)).all()
    tile = int(status.top(1)[0])
    spot = status.nearest_spot(tile, slide.yx)
    assert spot is None or np.abs(slide.yx[spot] - status.tiles.yx[tile]).max() <= 32
    assert status.nearest_spot(tile, far) is None
    assert status.nearest_spot(tile, np.empty((0, 2))) is None


@pytest.mark.parametrize("source", ["features", "embedding"])
def test_a_head_for_spots_reads_the_spots(model, slides, source):
    slide = slides[1]
    head = make_head(model, kind="spots", source=source, field_um=112.0, hidden=5)
    status = run(slide_status(model, head, slide))
    np.testing.assert_array_equal(status.at(slide.yx), status.relative)
    x = run(tile_inputs(model, tiles_of(slide, head.config.tiles), head.config.tiles))
    if source == "embedding":
        np.testing.assert_allclose(x, run(model.embed_images(slide)), atol=1e-6)
    assert x.shape == (slide.n_spots, head.config.abmil.dim)
    with pytest.raises(ValueError, match="not the spots"):
        status.at(slide.yx[:-1])


def test_a_cancelled_run_goes_on_from_the_cache(model, slides, tmp_path):
    head, cache = make_head(model), FeatureCache(tmp_path)
    steps = slide_status(model, head, slides[0], batch_size=8, cache=cache)
    for progress in steps:
        if progress.done >= 16:
            break
    steps.close()
    reports = []
    again = run(slide_status(model, head, slides[0], batch_size=8, cache=cache), reports.append)
    image = [p for p in reports if p.stage.startswith("Image")]
    assert image[0].done >= 16
    whole = run(slide_status(model, head, slides[0], batch_size=8))
    np.testing.assert_allclose(again.attention, whole.attention, rtol=1e-5)


def test_a_head_of_another_model_or_size_is_refused(model, slides):
    head = make_head(model)
    with pytest.raises(InputError, match="another model"):
        run(slide_status(replace(model, digest="0" * 64), head, slides[0]))
    wrong = make_head(model, source="embedding")
    config = replace(wrong.config, tiles=TileConfig())
    with pytest.raises(InputError, match="numbers per tile"):
        run(slide_status(model, replace(wrong, config=config), slides[0]))
    with pytest.raises(InputError, match="not a slide-status head"):
        run(slide_status(model, model.path / "slide_status" / "none", slides[0]))


def test_the_words_hold_the_answer_its_caveat_and_its_protocol(model, slides):
    status = run(slide_status(model, make_head(model), slides[0]))
    text = describe(status)
    name = ("low", "high")[int(status.probability.argmax())]
    assert f"{name}, probability {status.probability.max():.2f} (low " in text
    sure = replace(status, probability=np.array([0.001, 0.999]))
    assert best_words(sure) == "high, probability above 0.99"
    useless = replace(sure.config.scores, auc=0.55)  # as high as a shuffle came
    sure = replace(sure, config=replace(sure.config, scores=useless))
    assert best_words(sure).startswith("Not to be relied on, no better than with shuffled labels")
    assert trust_words(status.config) == (
        "The head scored AUC 0.81 on 13 left-out patients; with permuted labels 0.48 (up to 0.55 "
        "in 2 shuffles). Few patients."
    )
    assert "no proof" in text
    assert f"{status.n_tiles:,} tiles" in text
    for said in (
        "13 patients (6 low, 7 high; 15 slides, 2,000 tiles)",
        "5 folds by patient",
        "AUC for high: 0.81 (95 % interval 0.60 to 0.97",
        "by fold 0.81 ± 0.24 (1 of 5 folds hold one class only)",
        "permuted labels 0.48 (up to 0.55 in 2 shuffles)",
        "most frequent class 0.35",
        "20 epochs",
        "Few patients",
    ):
        assert said in text, said


def test_a_slide_that_the_head_was_trained_on_is_no_test_of_it(model, slides):
    head = make_head(model)
    config = replace(head.config, trained_on={"other": "0", "this": slides[0].digest})
    seen = run(slide_status(model, replace(head, config=config), slides[0]))
    unseen = run(slide_status(model, replace(head, config=config), slides[1]))
    assert "no test of it" in describe(seen)
    assert "no test of it" not in describe(unseen)


def test_a_slide_unlike_all_of_the_training_is_called_so(model, slides):
    head = make_head(model)
    x = run(tile_inputs(model, tiles_of(slides[0], TileConfig()), TileConfig()))
    wanted = float(np.square(x).mean())  # the head's statistics are 0 and 1
    for farthest, foreign in ((wanted / 2, True), (wanted * 2, False), (None, False)):
        config = replace(head.config, farthest=farthest)
        status = run(slide_status(model, replace(head, config=config), slides[0]))
        assert status.is_foreign is foreign
        assert ("unlike every patient" in describe(status)) is foreign
        assert status.distance == (None if farthest is None else pytest.approx(wanted, rel=1e-4))


def test_many_patients_are_not_called_few_and_no_validation_is_said(model):
    many = replace(SCORES, patients=(200, 237))
    assert "Few patients" not in protocol_words(make_head(model, scores=many).config)
    assert "Few patients" not in trust_words(make_head(model, scores=many).config)
    for words in (protocol_words, trust_words):
        assert "never validated" in words(make_head(model, scores=None).config)
