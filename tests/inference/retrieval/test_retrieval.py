"""Retrieval in the aligned space, against brute force over dense arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import pearsonr, spearmanr, zscore

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.measured import Measured, read_measured
from napari_umpire.inference.references.database import ReferenceDatabase
from napari_umpire.inference.retrieval.control import retrieval_control
from napari_umpire.inference.retrieval.patch_genes import genes_of_patch_steps, usual_steps
from napari_umpire.inference.retrieval.search import (
    gene_query_steps,
    image_query,
    measured_query_steps,
    retrieve_steps,
)
from napari_umpire.progress import run

from ..conftest import GENES_A, make_part, unit_rows
from ..references.test_reference import dense


@pytest.fixture
def images():
    return unit_rows(np.random.default_rng(8), 40, 16)


def unit(v):
    return v / np.linalg.norm(v)


@pytest.mark.parametrize(
    "genes", [["G35"], ["G5"], ["G35", "G5", "G60"]], ids=["on both", "only A", "list"]
)
def test_a_genes_query_is_the_direction_that_it_goes_with(reference, parts, genes):
    names, values = dense(parts)
    embeddings = np.concatenate([p.embeddings for p in parts]).astype(float)
    z = np.zeros(210)
    for gene in genes:
        column = names.index(gene)
        measured = np.r_[[column < 40] * 120, [column >= 30] * 90]
        one = np.zeros(210)
        one[measured] = zscore(values[measured, column].astype(float))
        z += one / len(genes)
    # The definition with the mean embedding taken off.
    expected = unit(z @ (embeddings - embeddings.mean(axis=0)))
    query = run(gene_query_steps(reference, genes))
    np.testing.assert_allclose(query.vector, expected, atol=1e-6)
    assert query.genes == tuple(genes)
    assert "210 reference spots" in query.words


def test_a_planted_direction_is_found(tmp_path):
    """Expression made of the embeddings along one direction: the query is that direction."""
    rng = np.random.default_rng(0)
    part = make_part(0, "P", 4000, ["G0", "G1"], dim=16)
    direction = unit(rng.normal(size=16))
    level = part.embeddings @ direction
    values = np.stack([level - level.min(), rng.random(4000)], axis=1).astype(np.float32)
    part = dataclasses.replace(part, expression=sp.csr_matrix(values))
    built = ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    planted = run(gene_query_steps(built, ["G0"])).vector
    noise = run(gene_query_steps(built, ["G1"])).vector
    assert planted @ direction > 0.99
    assert abs(noise @ direction) < 0.8


def test_a_gene_that_does_not_vary_is_refused(tmp_path):
    part = make_part(0, "C", 50, ["G0", "G1", "G2"])
    values = part.expression.toarray()
    values[:, 0], values[:, 1] = 1.5, 0.0
    part = dataclasses.replace(part, expression=sp.csr_matrix(values))
    built = ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    for gene in ("G0", "G1"):
        with pytest.raises(InputError, match=f"{gene} does not vary over the 50 reference"):
            run(gene_query_steps(built, [gene]))
    with pytest.raises(InputError, match="None of G0, G1 varies"):
        run(gene_query_steps(built, ["G0", "G1"]))
    with pytest.raises(InputError, match="no gene"):
        run(gene_query_steps(built, []))
    query = run(gene_query_steps(built, ["G0", "G2"]))
    assert query.genes == ("G2",)
    assert "Left out, because they do not vary: G0" in query.words
    np.testing.assert_array_equal(query.vector, run(gene_query_steps(built, ["G2"])).vector)


def test_the_closest_are_those_of_sorting_everything(reference, images):
    query = run(gene_query_steps(reference, ["G35"]))
    found = run(retrieve_steps(query, images, reference, n_top=7))
    similarity = images.astype(float) @ query.vector
    np.testing.assert_allclose(found.similarity, similarity, atol=1e-6)
    np.testing.assert_array_equal(found.rows, np.argsort(-similarity)[:7])
    others = reference.embeddings.astype(float) @ query.vector
    np.testing.assert_array_equal(found.reference_rows, np.argsort(-others)[:7])
    np.testing.assert_allclose(found.reference_similarity, np.sort(others)[::-1][:7], atol=1e-6)
    assert not found.by_images
    assert "compared by their measured genes" in found.describe()


def test_the_references_images_are_used_where_there_are_some(parts, images, tmp_path):
    seen = unit_rows(np.random.default_rng(2), 120, 16)
    with_images = [dataclasses.replace(parts[0], image_embeddings=seen), parts[1]]
    built = ReferenceDatabase.build(tmp_path / "r", with_images, model_digest="m")
    query = run(gene_query_steps(built, ["G35"]))
    found = run(retrieve_steps(query, images, built, n_top=200))
    assert found.by_images
    assert found.n_reference == 120, "slide B has no image embeddings"
    np.testing.assert_array_equal(
        found.reference_rows, np.argsort(-(seen.astype(float) @ query.vector))
    )


def test_a_spots_own_image_is_not_its_answer(reference, images, slides):
    query = image_query(slides[0], 5, images)
    np.testing.assert_allclose(query.vector, images[5], atol=1e-6)
    found = run(retrieve_steps(query, images, reference, n_top=39))
    assert found.similarity[5] == pytest.approx(1)
    assert 5 not in found.rows
    assert len(found.rows) == 39
    assert found.own_rank is None


def test_a_measured_spot_and_the_rank_of_its_own_image(model, slides, reference):
    slide = slides[0]
    query = run(measured_query_steps(model, slide, 30))
    everything = run(model.embed_genes(slide))
    np.testing.assert_allclose(query.vector, everything[30], atol=1e-5)
    images = run(model.embed_images(slide))
    found = run(retrieve_steps(query, images, reference, n_top=9))
    scores = images.astype(float) @ everything[30]
    rank = 1 + int((np.delete(scores, 30) > scores[30] + 1e-7).sum())
    assert found.own_rank == rank
    assert f"number {rank} of {slide.n_spots}" in found.describe()
    assert 30 not in found.rows


def test_embeddings_of_another_model_are_refused(reference, images):
    query = run(gene_query_steps(reference, ["G35"]))
    with pytest.raises(InputError, match="do not fit"):
        run(retrieve_steps(query, images[:, :8], reference))


# -- the control ----------------------------------------------------------------------------


@pytest.fixture
def measured():
    rng = np.random.default_rng(1)
    x = rng.gamma(2.0, 1.0, (60, 30)) * (rng.random((60, 30)) < 0.6)
    x[:, 29] = 0.7  # does not vary
    genes = pd.DataFrame({"id": "", "symbol": ""}, index=[f"M{i}" for i in range(30)])
    detected = np.where(np.arange(60) < 5, 20, 500)  # five nearly empty spots
    return Measured(sp.csc_matrix(x.astype(np.float32)), genes, detected)


def test_the_control_of_a_gene(measured):
    heat = np.random.default_rng(2).normal(size=60) + measured.column("M4")
    found = retrieval_control(heat, measured, ["M4"], "ERBB2")
    x = measured.expression.toarray()[5:]
    assert found.pearson == pytest.approx(pearsonr(heat[5:], x[:, 4]).statistic)
    assert found.spearman == pytest.approx(spearmanr(heat[5:], x[:, 4]).statistic)
    others = [pearsonr(heat[5:], x[:, i]).statistic for i in range(29)]
    assert found.n_higher == sum(r > found.pearson + 1e-9 for r in others)
    assert (found.n_tested, found.n_spots, found.n_left_out) == (29, 55, 5)
    said = found.describe()
    assert f"Pearson correlation {found.pearson:.2f}, Spearman {found.spearman:.2f}." in said
    assert "55 spots of this slide with ≥ 100 genes (5 left out)" in said
    assert "tests nothing" not in said
    own = dataclasses.replace(found, in_reference=True)
    assert "tests nothing" in own.describe()


def test_the_control_of_a_list(measured):
    heat = np.random.default_rng(2).normal(size=60)
    found = retrieval_control(heat, measured, ["M4", "M29", "M7", "absent"], "the list")
    x = measured.expression.toarray()[5:].astype(float)
    target = (zscore(x[:, 4]) + zscore(x[:, 7])) / 2
    assert found.pearson == pytest.approx(pearsonr(heat[5:], target).statistic)
    assert found.spearman == pytest.approx(spearmanr(heat[5:], target).statistic)


def test_the_control_says_where_there_is_none(measured):
    heat = np.random.default_rng(2).normal(size=60)
    assert retrieval_control(heat, measured, ["absent"], "x") is None
    constant = retrieval_control(heat, measured, ["M29"], "M29")
    assert np.isnan(constant.pearson)
    assert "Control: none, because M29" in constant.describe()
    flat = retrieval_control(np.full(60, 0.3), measured, ["M4"], "M4")
    assert np.isnan(flat.spearman)


# -- from a patch to its genes --------------------------------------------------------------


@pytest.mark.parametrize("against", ["slide", "reference"])
def test_genes_of_a_patch_against_the_dense_prediction(prediction, parts, against):
    names, values = dense(parts)
    maps = np.stack([prediction.gene_map(gene) for gene in names], axis=1).astype(float)
    if against == "slide":
        mean, sd = np.nanmean(maps, axis=0), np.nanstd(maps, axis=0)
    else:
        known = np.zeros_like(values, bool)
        known[:120, :40], known[120:, 30:] = True, True
        masked = np.where(known, values.astype(float), np.nan)
        mean, sd = np.nanmean(masked, axis=0), np.nanstd(masked, axis=0)
    table = run(genes_of_patch_steps(prediction, 6, run(usual_steps(prediction, against))))
    enough = (mean >= 0.1) | (maps[6] >= 0.5)
    expected = pd.Series(np.where(enough, (maps[6] - mean) / sd, np.nan), index=names)
    np.testing.assert_allclose(table["z"], expected[table.index], atol=1e-4)
    np.testing.assert_allclose(
        table["predicted"], pd.Series(maps[6], index=names)[table.index], atol=1e-5
    )
    z = table["z"].dropna().to_numpy()
    assert (np.diff(z) <= 0).all()
    assert set(table.index) == set(names)


def test_a_gene_that_is_hardly_there_has_no_z(tmp_path, prediction):
    """One count in one reference: two standard deviations, and nothing to see."""
    part = make_part(0, "F", 210, ["G0", "G1"], density=1.0)
    values = part.expression.toarray()
    values[:, 0] = 0
    values[prediction.indices[6, 0], 0] = 0.3
    part = dataclasses.replace(part, expression=sp.csr_matrix(values))
    faint = ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    changed = dataclasses.replace(prediction, reference=faint)
    table = run(genes_of_patch_steps(changed, 6, run(usual_steps(changed, "slide"))))
    assert 0 < table.loc["G0", "predicted"] < 0.5
    assert np.isnan(table.loc["G0", "z"])
    assert np.isfinite(table.loc["G1", "z"])


def test_a_gene_that_does_not_vary_has_no_z(prediction):
    flat = dataclasses.replace(
        prediction,
        indices=np.tile(prediction.indices[:1], (25, 1)),
        weight=np.tile(prediction.weight[:1], (25, 1)),
    )
    table = run(genes_of_patch_steps(flat, 3, run(usual_steps(flat, "slide"))))
    assert table["z"].isna().all()
    assert table.loc[GENES_A[35], "predicted"] == pytest.approx(
        float(flat.gene_map(GENES_A[35])[3]), abs=1e-5
    )


def test_whole_slides_end_to_end(model, slides, tmp_path):
    built = run(model.build_reference(slides[1:], tmp_path / "r", patches=True))
    images = run(model.embed_images(slides[0]))
    measured = run(read_measured(slides[0]))
    key = next(key for key in measured.genes.index if key in built.genes.index)
    found = run(retrieve_steps(run(gene_query_steps(built, [key])), images, built))
    assert found.by_images
    assert built.crop(int(found.reference_rows[0])).shape == (96, 96, 3)
    control = retrieval_control(found.similarity, measured, [key], key)
    deep = measured.detected >= 100
    expected = spearmanr(found.similarity[deep], measured.column(key)[deep]).statistic
    assert control.spearman == pytest.approx(expected, abs=1e-6)
    assert control.n_spots == deep.sum()
