"""Out-of-reference spots, against a loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions import trust
from napari_umpire.inference.predictions.trust import Calibration, calibrate, out_of_reference
from napari_umpire.inference.references.database import ReferenceDatabase
from napari_umpire.progress import run

from ..conftest import make_part, unit_rows


def slow_means(reference, queries, k, may):
    """Mean of the K largest products, spot by spot, pair by pair."""
    out = []
    for i, query in enumerate(np.asarray(queries, float)):
        products = [float(query @ np.asarray(reference.embeddings[j], float))
                    for j in range(reference.n) if may(i, j)]  # fmt: skip
        out.append(np.mean(sorted(products)[-k:]))
    return np.array(out)


@pytest.fixture
def slide_of(reference):
    return reference.spots["slide"].astype(str).to_numpy()


def test_genes_are_compared_with_other_slides_where_there_are_no_images(
    reference, slide_of, monkeypatch
):
    monkeypatch.setattr(trust, "_REFERENCE_ROWS", 64)  # several blocks
    monkeypatch.setattr(trust, "_QUERY_ROWS", 50)
    got = run(calibrate(reference, 12))
    expected = slow_means(
        reference, reference.embeddings, 12, lambda i, j: slide_of[i] != slide_of[j]
    )
    np.testing.assert_allclose(got.similarity, expected, atol=1e-5)
    assert (got.asked, got.left_out, got.n) == ("genes", "slide", 210)
    assert "no embeddings of its images" in got.describe()


def test_images_are_asked_as_a_query_is(reference, slide_of):
    images = unit_rows(np.random.default_rng(3), reference.n, 16)
    images[:20] = np.nan  # a slide without an image of its own
    reference.image_embeddings = images
    got = run(calibrate(reference, 9))
    means = slow_means(reference, images, 9, lambda i, j: slide_of[i] != slide_of[j])
    np.testing.assert_allclose(got.similarity, means[20:], atol=1e-5)
    assert got.asked == "image"
    assert "190 of its 210 spots, image against genes, each without its own slide" in got.describe()
    images[:] = np.nan
    assert run(calibrate(reference, 9)).asked == "genes"


def test_one_slide_leaves_out_what_lies_near(tmp_path):
    part = make_part(4, "A", 80, ["G0", "G1"])
    row, col = np.divmod(np.arange(80), 8)
    part.spots["y_um"], part.spots["x_um"] = row * 100.0, col * 100.0
    reference = ReferenceDatabase.build(tmp_path / "one", [part], model_digest="m")
    got = run(calibrate(reference, 5))

    def far(i, j):
        return np.hypot(row[i] - row[j], col[i] - col[j]) > 3.0

    np.testing.assert_allclose(
        got.similarity, slow_means(reference, reference.embeddings, 5, far), atol=1e-5
    )
    assert got.left_out == "neighbours"
    assert "without what lies within 3 pitches" in got.describe()


def test_a_large_reference_is_asked_in_part_the_same_part_each_time(reference):
    whole = run(calibrate(reference, 12)).similarity
    first, again = (run(calibrate(reference, 12, most=40)) for _ in range(2))
    np.testing.assert_array_equal(first.similarity, again.similarity)
    assert len(first.similarity) == 40
    assert np.isin(first.similarity.round(5), whole.round(5)).all()
    assert "40 of its 210 spots" in first.describe()


def test_k_that_is_larger_than_what_is_left_is_a_sentence(reference):
    with pytest.raises(InputError, match="at least K = 100"):
        run(calibrate(reference, 100))


def test_cancelled_at_once_it_leaves_nothing_switched(reference):
    import torch

    steps = calibrate(reference, 12)
    first = next(steps)
    assert (first.done, first.total) == (0, reference.n)
    steps.close()
    assert not torch.is_inference_mode_enabled()
    assert next(steps, None) is None


def test_spots_below_the_quantile_are_counted():
    calibration = Calibration(np.linspace(0, 1, 101, dtype=np.float32), 50, "image", "slide", 101)
    similarity = np.array([0.01, 0.049, 0.051, 0.9])
    got = out_of_reference(similarity, calibration)
    np.testing.assert_array_equal(got.mask, [True, True, False, False])
    assert got.bound == pytest.approx(0.05)
    assert got.describe().startswith(
        "2 of 4 spots look like nothing in the reference: similarity below 0.050, which 5 % of"
    )
    assert out_of_reference(similarity, calibration, 0.5).mask.sum() == 3
    for bad in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match="quantile"):
            out_of_reference(similarity, calibration, bad)


def test_spots_of_a_new_slide_from_the_same_law_are_out_as_often_as_said(reference, slide_of):
    """Like with like: a new slide, asked about all slides but one, as the reference's own were."""
    rng = np.random.default_rng(1)
    reference.image_embeddings = unit_rows(rng, reference.n, 16)
    calibration = run(calibrate(reference, 12))
    new = unit_rows(rng, 3000, 16)
    sizes = {name: int((slide_of == name).sum()) for name in np.unique(slide_of)}
    similarity = []
    for left_out, part in zip(
        sizes,
        np.array_split(new, np.cumsum([*sizes.values()])[:-1] * 3000 // reference.n),
        strict=True,
    ):
        others = np.asarray(reference.embeddings, float)[slide_of != left_out]
        similarity.append(np.sort(part @ others.T, axis=1)[:, -12:].mean(axis=1))
    for quantile in (0.1, 0.3):
        share = out_of_reference(np.concatenate(similarity), calibration, quantile).mask.mean()
        # The bound is a quantile of 210 spots: a standard error of 0.02 and 0.03.
        assert share == pytest.approx(quantile, abs=0.06)
