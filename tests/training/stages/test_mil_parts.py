"""Slide status without slides: labels, folds, scores, and bags whose answer hangs on one tile."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from napari_umpire.errors import InputError
from umpire_training.corpus.patients import Patients, read_patients
from umpire_training.options.mil import HeadOptions, MilSettings, ValidationOptions
from umpire_training.options.training import TrainerOptions
from umpire_training.stages.mil import abmil_config, check_settings, cross_validate, fit_head
from umpire_training.stages.mil_bags import Bags
from umpire_training.stages.mil_folds import bag_plan, check_folds, deal_folds, scheme_words
from umpire_training.stages.mil_scores import auc, auc_interval, majority_f1, weighted_f1

SLIDES = ["a1", "a2", "b", "c"]
GOOD = "slide,patient,label,age\na1,A,low,50\nb,B,high,60\na2,A,low,50\nc,C,high,70\n"


def table(tmp_path, text, name="labels.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_slides_of_a_patient_go_together(tmp_path):
    patients = read_patients(table(tmp_path, "\ufeff" + GOOD), SLIDES)
    assert patients.names == ("A", "B", "C")
    assert patients.classes == ("high", "low")
    assert patients.codes.tolist() == [1, 0, 0]
    assert patients.slides == (("a1", "a2"), ("b",), ("c",))
    assert patients.counts == (2, 1)
    tabs = GOOD.replace(",", "\t").replace("slide", " Slide ")
    again = read_patients(table(tmp_path, tabs, "labels.tsv"), SLIDES)
    assert again.to_frame().equals(patients.to_frame())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace("patient,", "case,"), "lacks the column patient"),
        (lambda t: t.replace("\nb,", "\nbb,"), "no slide is called bb.*no row for the slide b"),
        (lambda t: t.replace("a2,A,low", "a2,A,high"), "patient A has the labels high and low"),
        (lambda t: t.replace("high", "low"), "only one class, low"),
        (lambda t: t + "c,C,high,70\n", "more than one row for c"),
        (lambda t: t.replace("b,B,high", "b,B,"), "no patient or label for b"),
        (lambda t: "slide,patient,label\n", "no label at all"),
        (lambda t: "", "is not a table"),
    ],
    ids=["column", "slide", "two labels", "one class", "twice", "empty", "no rows", "no table"],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        read_patients(table(tmp_path, change(GOOD)), SLIDES)


def test_no_table_is_said(tmp_path):
    with pytest.raises(InputError, match="no table of labels"):
        read_patients(tmp_path / "none.csv", SLIDES)


@pytest.mark.parametrize(("n", "folds"), [((11, 9), 5), ((3, 17), 5), ((2, 2), 4)])
def test_each_class_is_dealt_out_evenly(n, folds):
    codes = np.repeat([0, 1], n)
    fold = deal_folds(codes, folds, seed=3)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for c in (0, 1):
        held = np.bincount(fold[codes == c], minlength=folds)
        assert held.max() - held.min() <= 1
        # So that each fold has something of it to learn from.
        assert all((codes[fold != f] == c).any() for f in range(folds))
    np.testing.assert_array_equal(fold, deal_folds(codes, folds, seed=3))
    assert not np.array_equal(fold, deal_folds(codes, folds, seed=4)) or sum(n) == folds


def test_few_patients_are_left_out_one_by_one_or_refused():
    assert check_folds(np.array([0, 0, 1, 1]), ("a", "b"), 5) == 4
    assert check_folds(np.repeat([0, 1], 9), ("a", "b"), 5) == 5
    with pytest.raises(InputError, match="b has one patient only"):
        check_folds(np.array([0, 0, 0, 1]), ("a", "b"), 5)
    with pytest.raises(InputError, match="at least two folds"):
        check_folds(np.array([0, 0, 1, 1]), ("a", "b"), 1)
    options = TrainerOptions(epochs=50, patience=5, val_fraction=0.2)
    assert "leaving one of 4 patients out" in scheme_words(np.array([0, 0, 1, 1]), 4, options)
    assert "stratified" in scheme_words(np.repeat([0, 1], 9), 5, options)


def test_the_inner_split_spares_every_class_or_there_is_none():
    options = TrainerOptions(epochs=3, patience=5, val_fraction=0.2, batch_size=1)
    codes = np.repeat([0, 1], [12, 5])
    rows = np.arange(1, 17)
    plan, kept = bag_plan(rows, codes, options, seed=0)
    assert kept.patience == 5
    assert sorted([*plan.train, *plan.held]) == rows.tolist()
    assert set(codes[plan.held]) == {0, 1}
    assert plan.total_steps == 3 * len(plan.train)
    few, kept = bag_plan(np.array([0, 1, 2, 15, 16]), codes, options, seed=0)
    assert kept.patience is None
    assert len(few.held) == 0


def test_auc_counts_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 40)
    p = np.round(rng.random(40), 1)
    probability = np.stack([1 - p, p], axis=1)
    ones, zeros = p[codes == 1], p[codes == 0]
    wanted = np.mean([(a > b) + 0.5 * (a == b) for a, b in product(ones, zeros)])
    assert auc(codes, probability) == pytest.approx(wanted)
    three = rng.integers(0, 3, 60)
    spread = rng.dirichlet(np.ones(3), 60)
    parts = []
    for c in range(3):
        ones, zeros = spread[three == c, c], spread[three != c, c]
        parts.append(np.mean([a > b for a, b in product(ones, zeros)]))
    assert auc(three, spread) == pytest.approx(np.mean(parts))
    assert auc(np.zeros(5, int), probability[:5]) is None


def test_f1_and_the_interval():
    codes = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    p = np.linspace(0, 1, 12)
    probability = np.stack([1 - p, p], axis=1)
    low, high = auc_interval(codes, probability, 0)
    assert (low, high) == (1.0, 1.0)
    noisy = np.random.default_rng(1).dirichlet(np.ones(2), 12)
    low, high = auc_interval(codes, noisy, 0)
    assert 0 <= low <= auc(codes, noisy) <= high <= 1
    assert high - low > 0.3  # twelve patients say little
    assert auc_interval(codes[3:], noisy[3:], 0) is None
    assert majority_f1(codes) == pytest.approx(
        f1_score(codes, np.ones(12), average="weighted", zero_division=0.0)
    )
    assert weighted_f1(codes, probability) == pytest.approx(
        f1_score(codes, probability.argmax(1), average="weighted")
    )


DIM, KEY = 6, 3


def key_bags(n, seed=0):
    """Bags of 40 to 60 random tiles; in a positive one, one tile has a 6 more at `KEY`.

    That moves the mean of a bag by less than its noise: the answer hangs on the one tile.
    """
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    parts, keys = [], []
    for code in codes:
        x = rng.normal(size=(rng.integers(40, 60), DIM)).astype(np.float32)
        where = int(rng.integers(len(x)))
        if code:
            x[where, KEY] += 6.0
        cut = len(x) // 2
        parts.append((x[:cut], x[cut:]))
        keys.append(where if code else None)
    names = tuple(f"p{i:02d}" for i in range(n))
    slides = tuple((f"{name}a", f"{name}b") for name in names)
    return Bags(tuple(parts)), Patients(names, codes, ("no", "yes"), slides), keys


def settings(**changes):
    trainer = TrainerOptions(
        epochs=40,
        patience=None,
        batch_size=4,
        round_steps=1000,
        accelerator="cpu",
        progress_bar=False,
    )
    base = MilSettings(
        trainer=trainer, validation=ValidationOptions(folds=2, permutations=3),
        head=HeadOptions(attention=16),
    )  # fmt: skip
    base.optim.lr = 2e-2
    return replace(base, **changes)


def test_the_statistics_are_those_of_the_tiles_together():
    bags, _, _ = key_bags(5)
    rows = np.array([0, 3, 4])
    mean, std = bags.statistics(rows)
    whole = np.concatenate([bags.bag(i) for i in rows])
    np.testing.assert_allclose(mean, whole.mean(0), atol=1e-5)
    np.testing.assert_allclose(std, whole.std(0), rtol=1e-4)


def test_attention_finds_the_tile_that_the_answer_hangs_on(tmp_path):
    bags, patients, keys = key_bags(40)
    head = fit_head(
        bags, patients.codes, np.arange(40), abmil_config(bags, patients, settings()), settings(),
        folder=tmp_path, seed=0, resume=False,
    )  # fmt: skip
    fresh, others, keys = key_bags(30, seed=9)
    found, right = [], []
    with torch.inference_mode():
        for i, key in enumerate(keys):
            logits, attention = head(torch.from_numpy(fresh.bag(i)))
            right.append(int(logits.argmax()) == others.codes[i])
            if key is not None:
                found.append(int(attention.argmax()) == key)
    assert np.mean(found) > 0.9
    assert np.mean(right) > 0.9


@pytest.mark.slow
def test_left_out_patients_are_told_apart_and_shuffled_labels_are_not(tmp_path):
    bags, patients, _ = key_bags(60)
    chosen = settings()
    chosen.validation.permuted_epochs = 8
    scores, probability, fold = cross_validate(
        bags, patients, 2, chosen, folder=tmp_path, seed=1, resume=False
    )
    np.testing.assert_allclose(probability.sum(1), 1)
    assert sorted(np.bincount(fold)) == [30, 30]
    assert scores.auc > 0.95
    assert scores.f1 > 0.85
    assert scores.patients == (30, 30)
    assert scores.n_slides == 120
    assert scores.n_tiles == bags.n_tiles
    assert len(scores.auc_permuted) == 3
    assert abs(np.mean(scores.auc_permuted) - 0.5) < 0.2
    assert scores.permuted_epochs == 8
    assert scores.f1_majority == pytest.approx(1 / 3)
    assert scores.auc == pytest.approx(auc(patients.codes, probability))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trainer": TrainerOptions(epochs=1, devices=2)}, "one device"),
        ({"trainer": TrainerOptions(epochs=0)}, "epochs must be"),
        ({"trainer": TrainerOptions()}, "How long"),
        ({"validation": ValidationOptions(permutations=-1)}, "permutations must be"),
        ({"validation": ValidationOptions(permuted_epochs=0)}, "permuted_epochs must be"),
        ({"head": HeadOptions(attention=0)}, "head.attention must be"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        check_settings(settings(**change))


def test_the_recipe_is_what_the_paper_says():
    from umpire_training.cli import parse

    given = ["--model", "m", "--slides", "a", "--labels", "l.csv", "--output", "o"]
    options = parse("mil", ["--config", "mil", *given])
    # Section 4.5 and appendix B.2: 256 px at 20x, Adam 5e-4, 50 epochs, patience 5, five folds.
    assert (options.tiles.field_um, options.tiles.pitch_um) == (128, 128)
    assert (options.optim.lr, options.trainer.epochs, options.trainer.patience) == (5e-4, 50, 5)
    assert (options.validation.folds, options.trainer.batch_size) == (5, 1)
    # The verb does the same without its recipe.
    assert options == parse("mil", given)
    check_settings(options)
