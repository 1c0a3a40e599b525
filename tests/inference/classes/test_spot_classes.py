"""The linear probe: known answers, controls, leaks, refusals, and its file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.folds import spatial_blocks
from napari_umpire.inference.classes.labelled import LabelledSlide, gather
from napari_umpire.inference.classes.labels import SpotLabels, class_colours
from napari_umpire.inference.classes.probe import ProbeOptions, fit
from napari_umpire.inference.classes.probe_check import cross_validate, train_probe
from napari_umpire.inference.classes.probe_file import list_probes, load_probe, save_probe
from napari_umpire.inference.classes.scores import ProbeScores, class_scores, confusion
from napari_umpire.progress import run

CENTRES = np.random.default_rng(99).normal(size=(4, 16))
FAST = ProbeOptions(permutations=3)


def labelled(seed, codes, embeddings, *, name="s", model="model-1", names="abcd", yx=None):
    rng = np.random.default_rng(seed)
    n = len(codes)
    if yx is None:
        yx = np.stack([rng.uniform(0, 3000, n), rng.uniform(0, 1700, n)], axis=1)
    k = max(codes.max() + 1, 1)
    labels = SpotLabels("tissue", codes, tuple(names[:k]), class_colours(k))
    return LabelledSlide(name, f"digest-{name}", labels, embeddings, model, yx, 100.0)


def separable(seed, n=300, k=3, noise=0.5, **more):
    """Classes whose embeddings lie about centres of their own."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, k, n)
    x = CENTRES[codes] + noise * rng.normal(size=(n, 16))
    return labelled(seed, codes, x.astype(np.float32), **more)


# -- scores against an independent oracle ---------------------------------------------------


def test_scores_are_those_of_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(0)
    given = rng.choice(4, 500, p=[0.6, 0.3, 0.1, 0.0])
    said = np.where(rng.random(500) < 0.6, given, rng.integers(0, 4, 500))
    ours = class_scores(confusion(given, said, 4))
    np.testing.assert_array_equal(
        ours.confusion, metrics.confusion_matrix(given, said, labels=range(4))
    )
    assert ours.balanced_accuracy == pytest.approx(
        metrics.recall_score(given, said, average="macro", labels=[0, 1, 2])
    )
    assert ours.weighted_f1 == pytest.approx(metrics.f1_score(given, said, average="weighted"))
    assert np.isnan(ours.recall[3])
    assert ours.n == 500


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("balanced", [True, False])
def test_probabilities_are_those_of_scikit_learn(k, balanced):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = gather([separable(1, k=k, noise=2.0)], "image")
    x = np.c_[data.embeddings, np.full(len(data.codes), 0.25)]  # and a constant
    ours = fit(x, data.codes, k, c=0.3, balanced=balanced)
    theirs = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=0.3, class_weight="balanced" if balanced else None, max_iter=1000),
    ).fit(x, data.codes)
    np.testing.assert_allclose(ours.probability(x), theirs.predict_proba(x), atol=1e-6)
    assert ours.converged


def test_a_class_that_is_not_there_is_never_said():
    data = gather([separable(1)], "image")
    some = data.codes != 1
    regression = fit(data.embeddings[some], data.codes[some], 3)
    said = regression.probability(data.embeddings)
    assert (said[:, 1] == 0).all()
    np.testing.assert_allclose(said.sum(axis=1), 1)


# -- known answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slides",
    [
        pytest.param([separable(1)], id="blocks of one slide"),
        pytest.param([separable(i, n=90, name=f"s{i}") for i in range(3)], id="slides"),
    ],
)
@pytest.mark.parametrize("c", [1.0, None], ids=["C = 1", "C chosen"])
def test_classes_that_embeddings_tell_apart_score_near_one(slides, c):
    scores = run(cross_validate(gather(slides, "image"), ProbeOptions(c=c, permutations=3)))
    assert scores.pooled.balanced_accuracy > 0.97
    assert scores.pooled.weighted_f1 > 0.97
    for control in scores.controls:
        assert control.balanced_accuracy < 0.55, control.name
    (majority,) = [c for c in scores.controls if c.name == "largest class"]
    assert majority.balanced_accuracy == pytest.approx(1 / 3, abs=0.05)
    assert sum(fold.n_test for fold in scores.folds) == scores.pooled.n


def test_random_labels_score_like_shuffled_ones():
    rng = np.random.default_rng(5)
    one = labelled(5, rng.integers(0, 3, 600), rng.normal(size=(600, 16)).astype(np.float32))
    scores = run(cross_validate(gather([one], "image"), FAST))
    assert scores.pooled.balanced_accuracy == pytest.approx(1 / 3, abs=0.07)
    by_name = {control.name: control for control in scores.controls}
    assert by_name["shuffled labels"].balanced_accuracy == pytest.approx(1 / 3, abs=0.07)
    assert by_name["shuffled labels"].sd > 0


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_only_follow_the_place_do_not_score(seed):
    """Nothing to learn but the place: random folds call that perfect, blocks must not.

    Embeddings tell which of 20 places, four to a block, a spot lies in; labels are drawn per place.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    rng = np.random.default_rng(seed)
    yx = np.stack([rng.uniform(0, 6000, 900), rng.uniform(0, 3400, 900)], axis=1)
    block = spatial_blocks(yx, 5, seed=seed)
    place = np.zeros(900, int)
    for b in range(5):
        place[block == b] = 4 * b + spatial_blocks(yx[block == b], 4)
    codes = rng.permutation(np.arange(20) % 2)[place]
    x = rng.normal(size=(20, 32))[place] + 0.1 * rng.normal(size=(900, 32))
    one = labelled(3, codes, x.astype(np.float32), yx=yx)
    random = cross_val_score(
        LogisticRegression(C=1.0), x, codes, cv=StratifiedKFold(5, shuffle=True, random_state=0)
    )
    assert random.mean() > 0.99
    scores = run(cross_validate(gather([one], "image"), replace(FAST, seed=seed)))
    assert scores.pooled.balanced_accuracy < 0.65


def test_position_alone_scores_where_classes_are_places():
    yx = np.stack(np.meshgrid(np.arange(30) * 100.0, np.arange(17) * 100.0), -1).reshape(-1, 2)
    codes = (yx[:, 1] > 800).astype(np.int64)
    rng = np.random.default_rng(0)
    one = labelled(0, codes, rng.normal(size=(len(yx), 16)).astype(np.float32), yx=yx)
    scores = run(cross_validate(gather([one], "image"), FAST))
    (position,) = [c for c in scores.controls if c.name == "position only"]
    assert position.balanced_accuracy > 0.8
    assert scores.pooled.balanced_accuracy < 0.6


def test_the_same_options_give_the_same_scores():
    data = gather([separable(2, noise=2.0)], "image")
    one, two = (run(cross_validate(data, FAST)).to_json() for _ in range(2))
    assert one == two


def test_scores_come_back_from_json():
    scores = run(cross_validate(gather([separable(2, noise=2.0)], "image"), FAST))
    again = ProbeScores.from_json(json.loads(json.dumps(scores.to_json())))
    assert again.to_json() == scores.to_json()


def test_the_protocol_says_what_was_done():
    slides = [separable(i, n=90, name=f"s{i}") for i in range(2)]
    said = run(cross_validate(gather(slides, "genes"), FAST)).protocol
    for words in ("180 labelled spots", "2 slides (s0, s1)", "3 classes", "measured genes", "C = 1",
                  "Leave one slide out", "shuffled within each slide (3 times)"):  # fmt: skip
        assert words in said


def test_it_can_be_cancelled_between_fits():
    steps = train_probe(gather([separable(1)], "image"), "tissue", FAST)
    assert next(steps).total == 5 * (2 + 3)
    steps.close()


# -- what it learns from --------------------------------------------------------------------


def test_slides_with_other_orders_of_classes_are_brought_together():
    a = separable(1, n=60, name="a", names="xyz")
    b = labelled(2, np.repeat([0, 1], 10), np.zeros((20, 16), np.float32), name="b", names="zw")
    data = gather([a, b], "image")
    assert data.classes == ("x", "y", "z", "w")
    assert data.counts[1].tolist() == [0, 0, 10, 10]
    assert data.colours[:3] == a.labels.colours


def test_unlabelled_spots_and_rare_classes_are_left_out_and_said():
    codes = np.array([0] * 20 + [1] * 20 + [2] * 4 + [-1] * 10)
    data = gather([labelled(0, codes, np.ones((54, 16), np.float32))], "image")
    assert len(data.codes) == 40
    assert data.classes == ("a", "b")
    assert data.notes == ("The class 'c' has 4 spots, fewer than 5, and is left out.",)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        pytest.param([-1] * 9, "No spot has a class", id="all unlabelled"),
        pytest.param([0] * 9, "All labelled spots are of one class, 'a'", id="one class"),
        pytest.param([0] * 9 + [1] * 4, "too few labelled spots", id="too few"),
    ],
)
def test_labels_that_nothing_can_be_learned_from_are_refused(codes, said):
    one = labelled(0, np.array(codes), np.zeros((len(codes), 16), np.float32))
    with pytest.raises(InputError, match=said):
        gather([one], "image")


def test_embeddings_of_two_models_or_with_nan_are_refused():
    with pytest.raises(InputError, match="different models"):
        gather([separable(1), separable(2, name="t", model="model-2")], "image")
    bad = separable(1)
    bad.embeddings[3, 2] = np.nan
    with pytest.raises(InputError, match="1 embeddings of s are not finite"):
        gather([bad], "image")


def test_classes_that_are_slides_are_learned_but_not_scored():
    a = labelled(0, np.zeros(20, int), np.ones((20, 16), np.float32), name="a", names="p")
    b = labelled(0, np.zeros(20, int), np.zeros((20, 16), np.float32), name="b", names="q")
    probe = run(train_probe(gather([a, b], "image"), "t", FAST))
    assert probe.scores == {}
    assert probe.protocol.startswith("Not tested.")
    assert probe.apply(a.embeddings, "image", "model-1").named()[0] == "p"


# -- applied to another slide, and kept -----------------------------------------------------


@pytest.fixture(scope="module")
def probe():
    return run(train_probe(gather([separable(1)], "image"), "tissue", FAST))


def test_another_slide_gets_classes_and_probabilities(probe):
    other = separable(8)
    labels = probe.apply(other.embeddings, "image", "model-1")
    assert labels.name == "predicted_tissue"
    assert (labels.codes == other.labels.codes).mean() > 0.97
    np.testing.assert_allclose(
        labels.probability, probe.regression.probability(other.embeddings).max(axis=1), rtol=1e-6
    )
    gap = other.embeddings.copy()
    gap[2] = np.nan
    assert probe.apply(gap, "image", "model-1").codes[2] == -1


@pytest.mark.parametrize(
    ("kind", "digest", "dim", "said"),
    [
        pytest.param("image", "model-2", 16, "embeddings of another model", id="model"),
        pytest.param("genes", "model-1", 16, "another sort of embeddings", id="sort"),
        pytest.param("image", "model-1", 15, "do not fit the probe", id="length"),
    ],
)
def test_other_embeddings_are_refused(probe, kind, digest, dim, said):
    with pytest.raises(InputError, match=said):
        probe.apply(np.zeros((3, dim), np.float32), kind, digest)


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


@pytest.fixture
def mine(probe, folder):
    """The probe as one of the model in ``folder``."""
    from napari_umpire.models.folder import model_digest

    return replace(probe, model_digest=model_digest(folder))


def test_a_probe_comes_back_as_it_was(mine, folder):
    place = save_probe(mine, folder)
    assert place == folder / "probes" / "tissue"
    again = load_probe(place, mine.model_digest)
    x = separable(8).embeddings
    np.testing.assert_array_equal(again.regression.probability(x), mine.regression.probability(x))
    for name in ("name", "kind", "model_digest", "classes", "colours", "c", "balanced", "training",
                 "scores", "protocol"):  # fmt: skip
        assert getattr(again, name) == getattr(mine, name), name
    assert list_probes(folder) == ["tissue"]


def test_a_probe_of_the_same_name_is_kept(mine, folder):
    first = save_probe(mine, folder)
    before = {p.name: p.read_bytes() for p in first.iterdir()}
    assert save_probe(mine, folder).name == "tissue_2"
    assert save_probe(mine, folder).name == "tissue_3"
    assert {p.name: p.read_bytes() for p in first.iterdir()} == before
    assert save_probe(mine, folder, "my tissue/..").name == "my_tissue"
    assert sorted(p.name for p in (folder / "probes").iterdir()) == [
        "my_tissue", "tissue", "tissue_2", "tissue_3",
    ]  # fmt: skip


def test_the_model_stays_what_it_was(mine, folder):
    from napari_umpire.inference.model import load_model

    save_probe(mine, folder)
    assert load_model(folder, "cpu").digest == mine.model_digest


def test_a_probe_of_another_model_is_neither_saved_nor_loaded(probe, mine, folder):
    with pytest.raises(InputError, match="do not belong together"):
        save_probe(probe, folder)
    assert not (folder / "probes").exists()
    place = save_probe(mine, folder)
    with pytest.raises(InputError, match="do not belong together"):
        load_probe(place, "another digest")


def rewrite(place, **changes):
    path = place / "probe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"format": "x"}, "damaged", id="format"),
        pytest.param({"version": 2}, "another version", id="version"),
        pytest.param({"dim": 15}, "wrong numbers", id="dim"),
        pytest.param({"classes": ["a", "b"]}, "damaged|wrong numbers", id="classes"),
        pytest.param({"colours": ["red"] * 3}, "damaged", id="colours"),
        pytest.param({"kind": "sound"}, "damaged", id="kind"),
        pytest.param({"scores": 3}, "damaged", id="scores"),
    ],
)
def test_a_changed_probe_is_refused(mine, folder, change, said):
    place = save_probe(mine, folder)
    rewrite(place, **change)
    with pytest.raises(InputError, match=said):
        load_probe(place)


def test_damaged_numbers_are_refused(mine, folder):
    from safetensors.numpy import load_file, save_file

    place = save_probe(mine, folder)
    path = place / "probe.safetensors"
    numbers = load_file(path)
    save_file(numbers | {"weight": np.full_like(numbers["weight"], np.nan)}, path)
    with pytest.raises(InputError, match="not finite"):
        load_probe(place)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="no safetensors"):
        load_probe(place)
    path.unlink()
    with pytest.raises(InputError, match="probe.safetensors cannot be read.*No such file"):
        load_probe(place)
    with pytest.raises(InputError, match="is not a probe"):
        load_probe(folder)


def test_a_folder_that_cannot_be_written_to_is_said(mine, folder, monkeypatch):
    import os

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(InputError, match="cannot be written.*No space left"):
        save_probe(mine, folder)
    monkeypatch.undo()
    assert list((folder / "probes").iterdir()) == []
