from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.inference.scores.reliability import half_expression
from umpire_training.baselines.colour import N_FEATURES, colour_features
from umpire_training.baselines.fold import ControlFold, Section, Skipped
from umpire_training.baselines.permuted import permuted_ridge
from umpire_training.baselines.position import nearest_in_position, read_registration
from umpire_training.baselines.ridge import colour_ridge, fit_ridge


def test_colour_features_by_hand():
    patch = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    found = colour_features(patch)
    assert found.shape == (N_FEATURES,) == (62,)
    flat = patch.reshape(-1, 3)
    np.testing.assert_allclose(found[:3], flat.mean(0) / 255, rtol=1e-5)
    np.testing.assert_allclose(found[3:6], flat.std(0) / 255, rtol=1e-5)
    for c in range(3):
        shares = np.histogram(flat[:, c], bins=16, range=(0, 256))[0] / len(flat)
        np.testing.assert_allclose(found[6 + 16 * c : 22 + 16 * c], shares, rtol=1e-6)
    plain = colour_features(np.full((8, 8, 3), 128, np.uint8))
    np.testing.assert_allclose(plain[-2:], 0)


def test_ridge_against_the_normal_equations():
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(50, 4)), rng.normal(size=(50, 3)), rng.normal(size=(6, 4))
    z, z_new = (x - x.mean(0)) / x.std(0), (new - x.mean(0)) / x.std(0)
    beta = np.linalg.solve(z.T @ z + 100 * np.eye(4), z.T @ (y - y.mean(0)))
    np.testing.assert_allclose(fit_ridge(x, y, new), z_new @ beta + y.mean(0))


def test_a_feature_that_is_new_on_the_held_out_slide_does_not_rule():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    x[:, 1] = 0.25
    new = rng.normal(size=(5, 3))
    plain = fit_ridge(x[:, [0, 2]], y, new[:, [0, 2]])
    np.testing.assert_allclose(fit_ridge(x, y, new), plain)


def section(name, n, seed, signal=None):
    rng = np.random.default_rng(seed)
    colour = rng.normal(size=(n, 62)).astype(np.float32)
    expression = rng.normal(size=(n, 4)).astype(np.float32)
    if signal is not None:
        expression += colour[:, :4] * signal
    return Section(name, expression, colour, rng.uniform(0, 10, (n, 2)))


def test_permuting_destroys_what_ridge_finds():
    fold = ControlFold((section("a", 80, 0, 3), section("b", 80, 1, 3)), section("c", 60, 2, 3))

    def score(prediction):
        return np.array([np.corrcoef(prediction[:, 0], fold.test.expression[:, 0])[0, 1]])

    assert score(colour_ridge(fold))[0] > 0.7
    values = permuted_ridge(fold, score, n=20, seed=0)
    assert values.shape == (20, 1)
    assert abs(values.mean()) < 0.15
    assert values.std() > 0.02
    np.testing.assert_array_equal(values, permuted_ridge(fold, score, n=20, seed=0))


def test_permutations_stay_within_slides():
    a, b = section("a", 30, 0), section("b", 30, 1)
    fold = ControlFold((a, Section("b", b.expression + 100, b.colour, None)), section("c", 10, 2))
    seen = []

    def spy(prediction):
        seen.append(prediction.mean())
        return np.zeros(1)

    permuted_ridge(fold, spy, n=3)
    assert np.ptp(seen) < 30  # the mean of the two slides stays between them
    assert len(seen) == 3


def test_position_is_the_mean_of_the_eight_nearest():
    train = (section("a", 20, 0), section("b", 25, 1))
    fold = ControlFold(train, section("c", 9, 2))
    found = nearest_in_position(fold)
    position = np.vstack([s.position for s in train])
    expression = np.vstack([s.expression for s in train])
    for spot, yx in enumerate(fold.test.position):
        near = np.argsort(np.linalg.norm(position - yx, axis=1))[:8]
        np.testing.assert_allclose(found[spot], expression[near].mean(0), rtol=1e-5)


def test_position_never_fills_in_what_is_not_registered():
    a, c = section("a", 20, 0), section("c", 9, 2)
    with pytest.raises(Skipped, match="no registered coordinates of c"):
        nearest_in_position(ControlFold((a,), Section("c", c.expression, c.colour, None)))
    c.position[3] = np.nan
    with pytest.raises(Skipped, match="1 spots of c"):
        nearest_in_position(ControlFold((a,), c))


def test_registration_tables(tmp_path, slide_paths):
    from dataclasses import replace

    from napari_umpire.slides.open import open_slide

    slide = open_slide(slide_paths[0])
    ids = slide.spots.index
    table = pd.DataFrame({"spot": ids[::-1], "y": range(len(ids)), "x": 7.0})
    table.iloc[1:].to_csv(tmp_path / f"{slide.name}.csv", index=False)
    table.to_csv(tmp_path / f"{slide.name}0.csv", index=False)  # another slide's name
    found = read_registration(tmp_path, slide)
    assert np.isnan(found[-1]).all()
    np.testing.assert_array_equal(found[-2], [1, 7])
    assert read_registration(tmp_path, replace(slide, name="other")) is None
    (tmp_path / "third.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match="not a registration table"):
        read_registration(tmp_path, replace(slide, name="third"))


def test_halves_are_whole_and_independent():
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(rng.poisson(20.0, (400, 6)))
    a, b = half_expression(counts, np.arange(6), seed=0)
    # At a fixed rate the halves share nothing but the total, so they do not correlate.
    assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 0.15
    varying = sp.csr_matrix(rng.poisson(20.0 * rng.uniform(0.2, 3, (400, 6))))
    a, b = half_expression(varying, np.array([2, 4]), seed=0)
    assert a.shape == (400, 2)
    assert np.corrcoef(a[:, 0], b[:, 0])[0, 1] > 0.5
    np.testing.assert_allclose(np.expm1(a).mean() / np.expm1(b).mean(), 1, rtol=0.05)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*selected spots have no counts")
def test_control_rows_of_her2st(her2st, tmp_path):
    """Position and reliability on 903 spots against an independent prototype's numbers."""
    import json

    from umpire_training.cli import main

    slides = [str(her2st / "ST-cnts" / f"C{i}.tsv.gz") for i in range(2, 7)]
    out = tmp_path / "run"
    code = main(
        ["evaluate", "--model", "false", "--output", str(out), "--patches.size_px", "8"]
        + ["--registration", str(her2st / "ST-cluster" / "lbl"), "--permutations", "0", *slides]
    )
    assert code == 0
    folds = [json.loads(p.read_text()) for p in sorted((out / "folds").glob("*/scores.json"))]
    assert sum(fold["n_spots"] for fold in folds) == 903

    def row(name):
        return [np.mean([f["rows"][name][g]["mean"] for f in folds]) for g in ("HEG50", "VAR50")]

    assert row("position only, 8-NN") == pytest.approx([0.381, 0.426], abs=0.003)
    assert row("half-split reliability") == pytest.approx([0.438, 0.495], abs=0.006)
    assert row("mean-RGB ridge") == pytest.approx([0.179, 0.199], abs=0.02)
    assert row("colour-feature ridge") == pytest.approx([0.320, 0.372], abs=0.02)
