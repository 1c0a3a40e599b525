"""Pictures of embeddings, and scores of groups in all dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.cluster_scores import group_scores
from napari_umpire.inference.classes.projection import METHODS, project
from napari_umpire.progress import run

# UMAP compiles itself when first used.
EACH = [pytest.param(m, marks=[pytest.mark.slow] * (m == "UMAP")) for m in METHODS]


def two_slides(n=(70, 50), dim=24, k=3, seed=0):
    """Three far groups on two slides; the group of each spot is its row modulo three."""
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(k, dim))
    return {
        name: (centres[np.arange(m) % k] + rng.normal(size=(m, dim))).astype(np.float32)
        for name, m in zip("ab", n, strict=True)
    }


@pytest.mark.parametrize("method", EACH)
def test_neighbours_stay_neighbours_and_spots_keep_their_names(method):
    embeddings = two_slides()
    shown = run(project(embeddings, method))
    assert shown.xy.shape == (120, 2)
    assert np.isfinite(shown.xy).all()
    np.testing.assert_array_equal(shown.embeddings[75], embeddings["b"][5])
    assert (shown.slide[75], shown.row[75]) == (1, 5)
    away = np.linalg.norm(shown.xy[:, None] - shown.xy[None], axis=-1) + 1e9 * np.eye(120)
    assert (shown.row[away.argmin(axis=1)] % 3 == shown.row % 3).mean() > 0.97
    assert "120 spots" in shown.words
    again = run(project(embeddings, method))
    np.testing.assert_array_equal(again.xy, shown.xy)


def test_many_spots_are_laid_out_alike_by_a_process_that_cancel_ends(monkeypatch, tmp_path):
    from napari_umpire.inference.classes import layout

    embeddings = two_slides()
    here = run(project(embeddings, "t-SNE"))
    children = []
    popen = layout.subprocess.Popen
    monkeypatch.setattr(layout, "_ALONE", 10)
    monkeypatch.setattr(layout.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(
        layout.subprocess, "Popen", lambda *a, **k: children.append(popen(*a, **k)) or children[-1]
    )
    there = run(project(embeddings, "t-SNE"))
    np.testing.assert_array_equal(there.xy, here.xy)
    assert there.words == here.words
    steps = project(embeddings, "t-SNE")
    said = [next(steps).stage for _ in range(3)]
    assert said[1] == "t-SNE of 120 spots"
    assert children[1].poll() is None
    steps.close()
    assert children[1].returncode not in (None, 0)
    assert not list(tmp_path.iterdir())


def test_a_process_that_fails_says_why_and_one_without_parent_ends(monkeypatch, tmp_path):
    import subprocess
    import sys

    from napari_umpire.inference.classes import layout

    monkeypatch.setattr(layout, "_ALONE", 10)
    monkeypatch.setattr(layout, "lay_out", None)
    broken = np.full((12, 3), np.nan)
    with pytest.raises(RuntimeError, match="(?s)t-SNE ended with 1:.*NaN"):
        run(layout.lay_out_steps(broken, "t-SNE", 0))
    np.save(tmp_path / "reduced.npy", np.random.default_rng(0).normal(size=(9_000, 20)))
    child = subprocess.Popen(
        [sys.executable, "-m", layout.__name__, "t-SNE", "0", str(tmp_path)], stdin=subprocess.PIPE
    )
    child.stdin.close()
    assert child.wait(60) == 1
    assert not (tmp_path / "xy.npy").exists()


def test_principal_components_are_those_of_a_singular_value_decomposition():
    embeddings = two_slides()
    shown = run(project(embeddings, "PCA"))
    x = np.concatenate(list(embeddings.values())).astype(np.float64)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(shown.xy), np.abs(u[:, :2] * s[:2]), rtol=1e-4, atol=1e-4)
    share = s**2 / (s**2).sum()
    assert f"{share[0]:.0%} and {share[1]:.0%} of the variance" in shown.words


def test_of_too_many_spots_some_are_drawn_and_said():
    shown = run(project(two_slides(), "PCA", max_spots=40))
    assert shown.n == 40
    assert "40 spots of 120, drawn at random" in shown.words
    assert len(set(zip(shown.slide, shown.row, strict=True))) == 40
    np.testing.assert_array_equal(shown.embeddings[-1], two_slides()["b"][shown.row[-1]])


def test_points_and_spots_find_each_other():
    shown = run(project(two_slides(), "PCA", max_spots=60))
    points = np.array([3, 0, 59, 40])
    by_slide = shown.rows_by_slide(points)
    np.testing.assert_array_equal(shown.points_of(by_slide), np.sort(points))
    hidden = np.setdiff1d(np.arange(70), shown.row[shown.slide == 0])[:1]
    assert len(shown.points_of({"a": hidden})) == 0
    assert len(shown.points_of({"c": np.arange(9)})) == 0
    values = shown.gathered({"b": np.arange(50) * 1.5})
    np.testing.assert_array_equal(values[shown.slide == 1], shown.row[shown.slide == 1] * 1.5)
    assert np.isnan(values[shown.slide == 0]).all()


def test_a_spot_without_an_embedding_is_left_out():
    embeddings = two_slides()
    embeddings["a"][7] = np.nan
    shown = run(project(embeddings, "PCA"))
    assert shown.n == 119
    assert 7 not in shown.row[shown.slide == 0]


@pytest.mark.parametrize(
    ("embeddings", "said"),
    [
        pytest.param({}, "too few spots", id="no slide"),
        pytest.param({"a": np.zeros((4, 8), np.float32)}, "too few spots", id="four spots"),
        pytest.param(
            {"a": np.zeros((9, 8), np.float32), "b": np.zeros((9, 7), np.float32)},
            "different models",
            id="two models",
        ),
    ],
)
def test_what_cannot_be_shown_is_said(embeddings, said):
    with pytest.raises(InputError, match=said):
        run(project(embeddings, "PCA"))


@pytest.mark.parametrize("method", EACH)
@pytest.mark.parametrize("n", [5, 12])
def test_very_few_spots_have_a_picture(method, n):
    assert run(project(two_slides((n, 0)), method)).xy.shape == (n, 2)


def test_it_can_be_cancelled_between_stages():
    steps = project(two_slides(), "t-SNE")
    assert next(steps).stage.startswith("Principal components of 120")
    assert next(steps).stage.startswith("t-SNE")
    steps.close()


def test_scores_of_groups_are_those_of_the_formulae():
    from scipy.spatial.distance import cdist

    x = two_slides()["a"].astype(np.float64)
    codes = np.arange(70) % 3
    codes[:5] = -1
    by_class, by_slide = run(group_scores(x, {"tissue": codes, "slide": np.zeros(70, int)}))
    mine, c = x[5:], codes[5:]
    away = cdist(mine, mine)
    silhouettes = []
    for i in range(65):
        mean = [away[i, c == k].sum() / ((c == k).sum() - (c[i] == k)) for k in range(3)]
        own, other = mean[c[i]], min(m for k, m in enumerate(mean) if k != c[i])
        silhouettes.append((other - own) / max(own, other))
    assert by_class.silhouette == pytest.approx(np.mean(silhouettes))
    middle = np.stack([mine[c == k].mean(axis=0) for k in range(3)])
    spread = [np.linalg.norm(mine[c == k] - middle[k], axis=1).mean() for k in range(3)]
    ratio = [
        max((spread[i] + spread[j]) / np.linalg.norm(middle[i] - middle[j])
            for j in range(3) if j != i)
        for i in range(3)
    ]  # fmt: skip
    assert by_class.davies_bouldin == pytest.approx(np.mean(ratio))
    assert (by_class.n, by_class.n_groups) == (65, 3)
    assert by_slide.silhouette is None
    assert by_slide.words == "By slide: no score for one group."
    assert by_class.words.startswith("By tissue: silhouette 0.")


def test_of_many_spots_the_silhouette_is_of_some_and_no_group_is_lost():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5300, 3))
    codes = np.zeros(5300, int)
    codes[5200:] = 1
    codes[77] = 2
    (scores,) = run(group_scores(x, {"tissue": codes}))
    assert scores.n_silhouette == 5000
    assert "on 5,000 drawn at random" in scores.words
    assert scores.n_groups == 3
