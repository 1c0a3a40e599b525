from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.cache import FeatureCache
from napari_umpire.inference.genes.input import MeasuredGenes
from napari_umpire.inference.model import load_model
from napari_umpire.progress import run

from .conftest import save_tiny_model


@pytest.fixture(scope="module")
def with_reference(model_folder, slides, tmp_path_factory):
    """The tiny model with a reference of the first two slides."""
    folder = tmp_path_factory.mktemp("referenced") / "tiny"
    shutil.copytree(model_folder, folder)
    model = load_model(folder, "cpu")
    assert model.reference is None
    run(model.build_reference(slides[:2], folder / "reference"))
    assert model.reference is not None
    return folder


@pytest.fixture
def referenced(with_reference):
    return load_model(with_reference, "cpu")


def plain_images(model, slide):
    """The image embeddings by the definitions, patch by patch, without the machinery."""
    from napari_umpire.models.context import slide_context
    from napari_umpire.slides.neighbourhood import neighbours
    from napari_umpire.slides.patches import iter_patches

    features = torch.zeros(slide.n_spots, model.module.image_dim)
    with torch.no_grad():
        for batch in iter_patches(slide, model.patch_spec, batch_size=1):
            features[batch.rows[0]] = model.module.encode_image(torch.from_numpy(batch.pixels))[0]
        near = torch.from_numpy(neighbours(slide.yx, slide.pitch_um / slide.mpp, 6))
        return model.module.project_image(slide_context(features, near, True)).numpy()


def plain_genes(model, slide):
    from napari_umpire.genes.tokens import rank_tokens

    counts = model.vocabulary.map(slide.genes).apply(slide.counts())
    tokens = rank_tokens(counts, model.vocabulary.means, length=64).astype(np.int64)
    with torch.no_grad():
        rows = [model.module.encode_gene(torch.from_numpy(t[None])) for t in tokens]
        return model.module.project_gene(torch.cat(rows)).numpy()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_image_embeddings_do_not_depend_on_the_batch(model, slides, batch_size):
    found = run(model.embed_images(slides[2], batch_size=batch_size))
    np.testing.assert_allclose(found, plain_images(model, slides[2]), atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_gene_embeddings_do_not_depend_on_the_batch(model, slides, batch_size):
    found = run(model.embed_genes(slides[2], batch_size=batch_size))
    np.testing.assert_allclose(found, plain_genes(model, slides[2]), atol=2e-5)


def test_a_prediction_is_the_weighted_mean_of_the_nearest_references(referenced, slides):
    from napari_umpire.genes.normalise import expression

    slide = slides[2]
    prediction = run(referenced.predict(slide, k=9))
    queries = plain_images(referenced, slide)
    keys = np.concatenate([plain_genes(referenced, s) for s in slides[:2]])
    similarity = queries @ keys.T
    order = np.argsort(-similarity, axis=1)[:, :9]
    best = np.take_along_axis(similarity, order, axis=1)
    scale = float(referenced.module.scale.detach())
    weight = np.exp(scale * best)
    weight /= weight.sum(axis=1, keepdims=True)
    gene = slides[0].genes["symbol"].iloc[4]
    column = slides[0].genes["symbol"].tolist().index(gene)
    values = np.concatenate(
        [expression(s.counts())[:, column].toarray().ravel() for s in slides[:2]]
    )
    np.testing.assert_allclose(
        prediction.gene_map(gene), (weight * values[order]).sum(axis=1), rtol=2e-3, atol=2e-3
    )
    np.testing.assert_allclose(prediction.similarity, best, atol=1e-4)


def test_the_record_of_a_model_named_by_a_relative_path_is_read_from_any_folder(
    referenced, slides, monkeypatch, tmp_path
):
    monkeypatch.chdir(referenced.path.parent)
    prediction = run(load_model(referenced.path.name, "cpu").predict(slides[2], k=3))
    monkeypatch.chdir(tmp_path)
    assert load_model(prediction.record.model, "cpu").digest == referenced.digest


def test_the_record_repeats_the_prediction(referenced, slides, tmp_path):
    prediction = run(referenced.predict(slides[2], k=11, weighting="similarity"))
    record = prediction.record.read(prediction.record.write(tmp_path / "run.yaml"))
    assert (record.k, record.weighting, record.mpp) == (11, "similarity", slides[2].mpp)
    again = load_model(record.model, record.device)
    record.check(model_digest=again.digest, reference_digest=again.reference.digest)
    repeated = run(again.predict(slides[2], k=record.k, weighting=record.weighting))
    np.testing.assert_array_equal(repeated.weight, prediction.weight)


def test_cached_features_give_the_same_embeddings_without_the_encoder(
    referenced, slides, tmp_path, monkeypatch
):
    cache = FeatureCache(tmp_path)
    images = run(referenced.embed_images(slides[2], cache=cache))
    genes = run(referenced.embed_genes(slides[2], cache=cache))

    def never(x):
        raise AssertionError("computed again")

    monkeypatch.setattr(referenced.module, "encode_image", never)
    monkeypatch.setattr(referenced.module, "encode_gene", never)
    np.testing.assert_array_equal(run(referenced.embed_images(slides[2], cache=cache)), images)
    np.testing.assert_array_equal(run(referenced.embed_genes(slides[2], cache=cache)), genes)
    with pytest.raises(InputError, match="computed again"):
        run(referenced.embed_images(slides[1], cache=cache))


def test_other_weights_or_precision_have_other_features_in_the_cache(model_folder):
    a, b = load_model(model_folder, "cpu"), load_model(model_folder, "cpu", bf16=True)
    assert a.image_digest != b.image_digest
    c = load_model(model_folder, "cpu")
    assert (c.image_digest, c.gene_digest) == (a.image_digest, a.gene_digest)
    with torch.no_grad():
        next(c.module.visual_backbone.parameters())[0] += 1
    d = replace(c)
    assert d.image_digest != a.image_digest
    assert d.gene_digest == a.gene_digest


def test_a_cancelled_reference_leaves_nothing(model, slides, tmp_path):
    work = model.build_reference(slides[:2], tmp_path / "r")
    for _ in range(3):
        next(work)
    assert list(tmp_path.iterdir())
    work.close()
    assert list(tmp_path.iterdir()) == []


def test_nearly_empty_spots_are_no_references(model, slides, tmp_path):
    detected = np.diff(slides[0].counts().indptr)
    bound = int(np.median(detected))
    built = run(model.build_reference([slides[0]], tmp_path / "r", min_genes=bound))
    assert list(built.spots["spot"]) == slides[0].spots.index[detected >= bound].tolist()
    with pytest.raises(InputError, match="no spot that can be a reference"):
        run(model.build_reference([slides[0]], tmp_path / "s", min_genes=10_000))


def test_predicting_a_reference_slide_is_said_aloud(referenced, slides):
    with pytest.warns(UmpireWarning, match="itself among the references"):
        run(referenced.predict(slides[0], k=3))


def test_what_cannot_be_predicted_is_refused_before_any_work(referenced, model, slides):
    from napari_umpire.slides.scale import PhysicalScale

    with pytest.raises(InputError, match="no reference spots"):
        next(model.predict(slides[2]))
    with pytest.raises(InputError, match="at least 1"):
        next(referenced.predict(slides[2], k=0))
    with pytest.raises(InputError, match="weighting"):
        next(referenced.predict(slides[2], weighting="mean"))
    with pytest.raises(InputError, match=slides[2].name):
        next(referenced.predict(replace(slides[2], scale=PhysicalScale())))
    with pytest.raises(InputError, match="has no spots"):
        next(referenced.predict(replace(slides[2], spots=slides[2].spots.iloc[:0])))


def test_a_reference_of_another_model_is_refused(with_reference, slides, tmp_path):
    other = load_model(save_tiny_model(tmp_path / "other", slides, neighbours=0), "cpu")
    with pytest.raises(InputError, match="made with another model"):
        next(other.predict(slides[2], reference=with_reference / "reference"))


@pytest.mark.parametrize("kind", ["mlp", "trans"])
def test_a_model_with_a_gene_panel(slides, tmp_path, kind):
    folder = save_tiny_model(tmp_path / "m", slides, kind=kind, neighbours=0, standardise=False)
    model = load_model(folder, "cpu")
    from napari_umpire.genes.normalise import expression

    slide = slides[1]
    columns = model.vocabulary.map(slide.genes)
    panel = [list(model.vocabulary.ids).index(g) for g in model.config.gene.of_panel.panel]
    values = expression(columns.apply(slide.counts()))[:, panel].toarray()
    with torch.no_grad():
        features = model.module.encode_gene(torch.from_numpy(values))
        expected = model.module.project_gene(features).numpy()
    np.testing.assert_allclose(run(model.embed_genes(slide)), expected, atol=2e-5)
    assert "log expression of 50 genes" in model.describe()


@pytest.mark.parametrize("kind", ["mlp", "trans"])
def test_a_panel_gene_that_was_not_measured_has_its_training_mean(slides, tmp_path, kind):
    folder = save_tiny_model(tmp_path / "m", slides, kind=kind, neighbours=0, standardise=False)
    model = load_model(folder, "cpu")
    panel = model.config.gene.of_panel.panel
    measured = MeasuredGenes.of(slides[1], model.vocabulary)
    fewer = replace(measured, genes=measured.genes.rename(index={panel[3]: "gone"}))
    inputs = fewer.inputs(model.config, np.full(50, 7.0, np.float32)).rows(np.arange(4))
    np.testing.assert_array_equal(inputs[:, 3], 7)
    whole = measured.inputs(model.config).rows(np.arange(4))
    np.testing.assert_array_equal(np.delete(inputs, 3, axis=1), np.delete(whole, 3, axis=1))


class FakeSlide:
    """Only what `MeasuredGenes` asks of a slide."""

    name = "fake"

    def __init__(self, genes, counts):
        import scipy.sparse as sp

        self.genes, self._counts = genes, sp.csr_matrix(np.asarray(counts))
        self.spots = pd.DataFrame(index=[f"s{i}" for i in range(len(counts))])

    def counts(self):
        return self._counts


def test_slides_that_name_genes_differently_agree_on_keys(model):
    vocabulary = model.vocabulary
    gene, symbol = str(vocabulary.ids[5]), str(vocabulary.symbols[5])
    by_id = pd.DataFrame(
        {"id": [f"{gene}.7", "ENSG09999999999.1"], "symbol": ["", "NEW"]}, index=["a", "b"]
    )
    by_symbol = pd.DataFrame(
        {"id": "", "symbol": [symbol, "ODD", "ODD"]}, index=[symbol, "ODD", "ODD-1"]
    )
    first = MeasuredGenes.of(FakeSlide(by_id, [[1, 2], [3, 4]]), vocabulary)
    second = MeasuredGenes.of(FakeSlide(by_symbol, [[1, 2, 3], [4, 5, 6]]), vocabulary)
    assert first.genes.index.tolist() == [gene, "ENSG09999999999"]
    assert second.genes.index.tolist() == [gene, "ODD"]
    assert first.genes.loc[gene, "symbol"] == symbol
    np.testing.assert_array_equal(second.counts.toarray(), [[1, 5], [4, 11]])
    # Scaled by all counts of the spot, in the vocabulary or not.
    np.testing.assert_allclose(
        second.expression.toarray()[0], np.log1p(np.array([1, 5]) / 6 * 1e4), rtol=1e-6
    )


def test_a_slide_without_a_gene_of_the_model_is_refused(model):
    genes = pd.DataFrame({"id": "", "symbol": ["nothing"]}, index=["nothing"])
    with pytest.raises(InputError, match="fake"):
        MeasuredGenes.of(FakeSlide(genes, [[1]]), model.vocabulary)


@pytest.mark.parametrize("bad", [-1.0, np.nan, 0.5])
def test_counts_that_are_not_raw_are_refused_by_name(model, slides, bad):
    table = slides[0].adata.copy()
    counts = table.X.toarray().astype(np.float64)
    counts[1, 0] = bad
    table.X = counts
    broken = replace(slides[0])
    broken.__dict__["adata"] = table
    with pytest.raises(InputError, match=rf"{table.var_names[0]}.*{table.obs_names[1]}"):
        MeasuredGenes.of(broken, model.vocabulary)


def test_describe_says_what_the_model_wants(referenced):
    text = referenced.describe()
    assert "112 um at 32 px" in text
    assert "reference: " in text
    assert "synthetic_0, synthetic_1" in text


def test_no_such_model(tmp_path):
    with pytest.raises(InputError, match="no model folder"):
        load_model(tmp_path / "none")


def test_a_prediction_is_written_into_a_store_and_read_back(referenced, slides, tmp_path):
    import spatialdata

    from napari_umpire.slides.results import write_results

    prediction = run(referenced.predict(slides[2], k=5))
    genes = list(prediction.genes.index[:4])
    table = prediction.to_table(genes, std=True)
    written = write_results(slides[2], table, name="umpire", store=tmp_path / "s.zarr")
    back = spatialdata.read_zarr(written.path).tables[written.element]
    values = back[slides[2].spots.index].X
    values = values.toarray() if hasattr(values, "toarray") else values
    np.testing.assert_array_equal(values[:, 2], prediction.gene_map(genes[2]))
    assert prediction.record.from_dict(back.uns["umpire"]) == prediction.record
