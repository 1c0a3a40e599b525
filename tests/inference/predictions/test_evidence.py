"""Evidence of a spot, against numbers worked out from the reference's dense expression."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
from scipy.stats import entropy

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions.evidence import (
    MOST_PICTURES,
    evidence_of,
    open_slide_of,
    picture_steps,
)
from napari_umpire.progress import run
from napari_umpire.slides.crops import crops

from ..conftest import GENES_A, GENES_B
from ..references.test_reference import dense


@pytest.fixture
def brute(prediction, parts):
    """Similarities, rows and weights of one spot by sorting all of them."""

    def of(row, k=12):
        everything = np.concatenate([p.embeddings for p in parts]).astype(float)
        similarity = everything @ prediction.embeddings[row].astype(float)
        order = np.argsort(-similarity, kind="stable")[:k]
        weight = np.exp(10.0 * similarity[order])
        return order, similarity[order], weight / weight.sum()

    return of


def test_the_table_is_that_of_sorting_everything(prediction, parts, brute):
    genes, values = dense(parts)
    names = ["A"] * 120 + ["B"] * 90
    for row in (0, 7, 24):
        found = evidence_of(prediction, row, "G35")
        order, similarity, weight = brute(row)
        np.testing.assert_array_equal(found.rows, order)
        np.testing.assert_allclose(found.table["similarity"], similarity, atol=1e-6)
        np.testing.assert_allclose(found.table["weight"], weight, atol=1e-6)
        assert list(found.table["slide"]) == [names[i] for i in order]
        np.testing.assert_allclose(found.table["value"], values[order, genes.index("G35")])
        assert found.effective == pytest.approx(np.exp(entropy(weight)), rel=1e-5)
        assert found.shares.sum() == pytest.approx(1)
        of_a = weight[order < 120].sum()
        assert found.shares.get("A", 0.0) == pytest.approx(of_a, abs=1e-6)


@pytest.mark.parametrize("gene", ["G35", "G5", "G60"], ids=["on both", "only A", "only B"])
def test_value_and_spread_are_those_of_the_map(prediction, gene):
    values, spread = prediction.gene_map(gene), prediction.spread(gene)
    for row in range(prediction.n_spots):
        found = evidence_of(prediction, row, gene)
        assert found.predicted == pytest.approx(float(values[row]), abs=1e-5, nan_ok=True)
        assert found.spread == pytest.approx(float(spread[row]), abs=1e-5, nan_ok=True)


def test_words_say_what_the_numbers_are(prediction):
    found = evidence_of(prediction, 3, "G35", label="ERBB2", measured=1.25)
    said = found.describe()
    assert said.startswith("Spot s3 is predicted from 12 reference spots, similarity ")
    first, last = found.table["similarity"].iloc[[0, -1]]
    assert f"{first:.2f} to {last:.2f} (cosine)" in said
    assert f"on about {found.effective:.0f} of them" in said
    heaviest = found.shares.index[0]
    assert f"by slide: {heaviest} {found.shares.iloc[0]:.0%}" in said
    assert f"ERBB2, log1p(CP10k): predicted {found.predicted:.2f}" in said
    assert "measured here 1.25" in said
    assert "did not measure" not in said
    assert "\n" not in evidence_of(prediction, 3).describe()


def test_words_of_a_single_reference(prediction):
    one = dataclasses.replace(
        prediction,
        indices=prediction.indices[:, :1],
        similarity=prediction.similarity[:, :1],
        weight=np.ones_like(prediction.weight[:, :1]),
    )
    found = evidence_of(one, 3)
    similarity = found.table["similarity"].iloc[0]
    assert found.describe() == (
        f"Spot s3 is predicted from one reference spot, of "
        f"{found.table['slide'].iloc[0]}, similarity {similarity:.2f} (cosine)."
    )


def test_words_say_where_a_gene_was_not_measured(prediction):
    only_a = dataclasses.replace(
        prediction, indices=np.tile(np.arange(12), (25, 1))
    )  # rows 0-11 are on A
    nowhere = evidence_of(only_a, 0, "G60", label="G60")
    assert np.isnan(nowhere.predicted)
    assert "None of them measured G60" in nowhere.describe()
    mixed = dataclasses.replace(prediction, indices=np.tile(np.r_[0:7, 120:125], (25, 1)))
    found = evidence_of(mixed, 0, "G60")
    assert found.n_unmeasured == 7
    assert "7 of the references did not measure it" in found.describe()


def test_genes_lists_overlap_as_the_tests_assume():
    assert "G35" in GENES_A
    assert "G35" in GENES_B


@pytest.fixture
def real(model, slides, tmp_path):
    """A prediction of the first slide from a reference of the others with pictures."""
    reference = run(model.build_reference(slides[1:], tmp_path / "r", patches=True))
    return run(model.predict(slides[0], reference=reference, k=120))


def test_pictures_are_those_of_the_spots(real, slides):
    pictures = run(picture_steps(real, slides[0], 5))
    assert pictures.field_um == 112.0
    np.testing.assert_array_equal(pictures.own, crops(slides[0], np.array([5]), 112.0, 224)[0])
    assert len(pictures.references) == MOST_PICTURES < 120
    table = evidence_of(real, 5).table
    for rank in (0, 50, 99):
        slide = next(s for s in slides if s.name == table["slide"].iloc[rank])
        row = slide.spots.index.get_loc(table["spot"].iloc[rank])
        expected = crops(slide, np.array([row]), 112.0)[0]
        # A JPEG is near, not equal; another spot's picture is not near.
        assert np.abs(pictures.references[rank].astype(int) - expected).mean() < 6
        other = crops(slide, np.array([(row + 1) % slide.n_spots]), 112.0)[0]
        assert np.abs(pictures.references[rank].astype(int) - other).mean() > 6


def test_a_reference_without_pictures_still_shows_the_spot(prediction, slides):
    pictures = run(picture_steps(prediction, slides[0], 5, field_um=80.0))
    assert pictures.references is None
    np.testing.assert_array_equal(pictures.own, crops(slides[0], np.array([5]), 80.0, 224)[0])


def test_the_open_slide_of_a_reference_is_known_by_name_and_content(reference):
    def slide(name, digest):
        return types.SimpleNamespace(name=name, digest=digest)

    right = {"A (2)": slide("A", "digest-A"), "A": slide("A", "changed"), "C": slide("C", "x")}
    assert open_slide_of(reference, "A", right) == "A (2)"
    with pytest.raises(InputError, match="B is not open"):
        open_slide_of(reference, "B", right)
    with pytest.raises(InputError, match="open slide A is not the one in the reference"):
        open_slide_of(reference, "A", {"A": slide("A", "changed")})
