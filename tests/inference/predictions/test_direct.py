"""Predictions straight from the image: values, what they lack, files, tables and repeats."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import spatialdata as sd
import torch

from napari_umpire.errors import InputError
from napari_umpire.inference.model import load_model
from napari_umpire.inference.predictions.direct import DirectPrediction
from napari_umpire.inference.predictions.prediction import Prediction
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.inference.predictions.saving import save_steps
from napari_umpire.progress import run
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide

from ..conftest import save_tiny_model


@pytest.fixture(scope="module")
def both(slides, tmp_path_factory):
    """A model with a reference and a decoder of 12 genes."""
    folder = save_tiny_model(tmp_path_factory.mktemp("direct") / "both", slides, decoder=12)
    run(load_model(folder, "cpu").build_reference(slides[1:], folder / "reference"))
    return folder


@pytest.fixture(scope="module")
def alone(slides, tmp_path_factory):
    """A model of a decoder alone."""
    folder = tmp_path_factory.mktemp("direct") / "alone"
    return save_tiny_model(folder, slides, decoder=12, alone=True)


@pytest.fixture
def decoded(both, slides):
    return run(load_model(both, "cpu").predict(slides[0], method="decoder", batch_size=16))


def test_values_are_those_of_the_definitions(decoded, both, slides):
    from napari_umpire.models.context import slide_context
    from napari_umpire.slides.neighbourhood import neighbours
    from napari_umpire.slides.patches import iter_patches

    model, slide = load_model(both, "cpu"), slides[0]
    features = torch.zeros(slide.n_spots, model.module.image_dim)
    near = torch.from_numpy(neighbours(slide.yx, slide.pitch_um / slide.mpp, 6))
    with torch.no_grad():
        for batch in iter_patches(slide, model.patch_spec, batch_size=1):
            features[batch.rows[0]] = model.module.encode_image(torch.from_numpy(batch.pixels))[0]
        wide = slide_context(features, near, True)
        decoder = model.module.decoder
        z = decoder.layers[2](torch.nn.functional.gelu(decoder.layers[0](wide)))
        wanted = (decoder.mean + decoder.std * z).clamp(min=0).numpy()
    for column, gene in enumerate(model.config.decoder.genes):
        np.testing.assert_allclose(decoded.gene_map(gene), wanted[:, column], atol=1e-4)
    symbol = decoded.genes["symbol"].iloc[3]
    np.testing.assert_array_equal(decoded.gene_map(symbol), decoded.values[:, 3])
    np.testing.assert_allclose(decoded.embeddings, run(model.embed_images(slide)), atol=1e-5)


def test_it_says_that_nothing_is_behind_it(decoded):
    assert not decoded.has_evidence
    assert decoded.spread(decoded.genes.index[0]) is None
    with pytest.raises(InputError, match="has no evidence.*directly from the image"):
        decoded.evidence(decoded.spots.index[0])
    with pytest.raises(InputError, match="no spread"):
        decoded.to_table(std=True)
    assert "12 genes, from the image alone, without evidence" in repr(decoded)
    table = decoded.to_table()
    assert table.shape == decoded.values.shape
    assert not {"mean_similarity", "top_similarity"} & set(table.obs)
    np.testing.assert_array_equal(table.X, decoded.values)


def test_maps_are_copies(decoded):
    gene = decoded.genes.index[0]
    decoded.gene_map(gene)[:] = -1
    assert decoded.gene_map(gene).min() >= 0


def test_values_that_do_not_fit_are_refused(decoded):
    fields = {k: v for k, v in vars(decoded).items() if not k.startswith("_") and k != "index"}
    with pytest.raises(ValueError, match="do not fit"):
        DirectPrediction(**{**fields, "values": decoded.values[:, 1:]})


def test_a_file_brings_it_back(decoded, both, slides, tmp_path):
    path = decoded.save(tmp_path / "p.npz")
    found = DirectPrediction.load(path)
    np.testing.assert_array_equal(found.values, decoded.values)
    np.testing.assert_array_equal(found.embeddings, decoded.embeddings)
    assert found.genes.equals(decoded.genes)
    assert found.record == decoded.record
    assert found.spots.index.tolist() == decoded.spots.index.tolist()
    with pytest.raises(InputError, match="another kind.*DirectPrediction.load"):
        Prediction.load(path)
    other = run(load_model(both, "cpu").predict(slides[0], k=3)).save(tmp_path / "r.npz")
    with pytest.raises(InputError, match="another kind.*Prediction.load"):
        DirectPrediction.load(other)


def test_the_model_chooses_retrieval_where_it_can(both, alone, slides):
    model = load_model(both, "cpu")
    assert model.methods == ("retrieval", "decoder")
    assert "decoder: 12 genes" in model.describe()
    found = run(model.predict(slides[0], k=3))
    assert isinstance(found, Prediction)
    assert found.record.method == "retrieval"
    with pytest.raises(InputError, match="looks at no reference"):
        run(model.predict(slides[0], method="decoder", reference=model.reference))
    with pytest.raises(InputError, match="Unknown method"):
        run(model.predict(slides[0], method="guess"))
    assert load_model(alone, "cpu").methods == ("decoder",)


def test_a_model_without_reference_decodes(both, slides, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(both, folder, ignore=shutil.ignore_patterns("reference"))
    model = load_model(folder, "cpu")
    assert isinstance(run(model.predict(slides[0])), DirectPrediction)
    with pytest.raises(InputError, match="has no reference"):
        run(model.predict(slides[0], method="retrieval"))


def test_a_model_of_a_decoder_alone_refuses_to_retrieve(alone, both, slides, tmp_path):
    model = load_model(alone, "cpu")
    prediction = run(model.predict(slides[0]))
    assert prediction.embeddings is None
    assert "X_umpire" not in prediction.to_table().obsm
    assert "none can be" in model.describe()
    for refused in (
        model.predict(slides[0], method="retrieval"),
        model.predict(slides[0], reference=both / "reference"),
        model.embed_images(slides[0]),
        model.embed_genes(slides[0]),
        model.build_reference(slides[1:], tmp_path / "reference"),
    ):
        with pytest.raises(InputError, match="trained by reconstruction alone"):
            run(refused)
    assert not (tmp_path / "reference").exists()


def test_a_model_without_decoder_says_so(model, slides):
    with pytest.raises(InputError, match="has no decoder.*rec.weight"):
        run(model.predict(slides[0], method="decoder"))


def test_the_shell_repeats_it_bit_for_bit(both, slides, tmp_path):
    from umpire_training.cli import main

    (tmp_path / "stored").mkdir()
    slide = open_slide(write_slide(slides[0], tmp_path / "stored" / "slide.zarr"))
    predicted = run(load_model(both, "cpu").predict(slide, method="decoder", batch_size=16))
    genes = tuple(predicted.genes.index[[5, 2]])
    record = replace(predicted.record, genes=genes, name="mine")
    saved = run(save_steps(slide, predicted, record))
    assert main(["predict", "--config", str(saved.record)]) == 0
    tables = sd.read_zarr(saved.store).tables
    np.testing.assert_array_equal(tables["mine"].X, tables["mine_2"].X)
    np.testing.assert_array_equal(tables["mine"].X, predicted.values[:, [5, 2]])
    again = RunRecord.read(saved.record.with_name("slide.mine_2.yaml"))
    assert (again.method, again.genes) == ("decoder", genes)
    assert RunRecord.from_dict(tables["mine_2"].uns["umpire"]) == again


def test_the_shell_refuses_what_a_decoder_cannot(both, alone, slides, tmp_path, capsys):
    from umpire_training.cli import main

    store = write_slide(slides[0], tmp_path / "slide.zarr")
    said = ["predict", "--slides", str(store), "--device", "cpu", "--model"]
    assert main([*said, str(alone), "--std", "true"]) == 2
    assert "no references whose spread" in capsys.readouterr().err
    assert main([*said, str(alone), "--method", "retrieval"]) == 2
    assert "trained by reconstruction alone" in capsys.readouterr().err
    assert main([*said, str(both), "--method", "decoder", "--reference", str(both / "reference")])
    assert "looks at no reference" in capsys.readouterr().err
    assert list(sd.read_zarr(store).tables) == ["table"]


def test_both_methods_read_the_same_cached_features(both, slides, tmp_path, monkeypatch):
    from napari_umpire.inference.cache import FeatureCache

    model, cache = load_model(both, "cpu"), FeatureCache(tmp_path / "cache")
    run(model.predict(slides[0], k=3, cache=cache))
    fresh = run(model.predict(slides[0], method="decoder"))

    def never(pixels):
        raise AssertionError("encoded again")

    monkeypatch.setattr(model.module, "encode_image", never)
    cached = run(model.predict(slides[0], method="decoder", cache=cache))
    np.testing.assert_array_equal(cached.values, fresh.values)


def test_the_doctor_knows_that_a_decoder_needs_no_reference(both, alone, tmp_path):
    from napari_umpire.inference.doctor.files import check_model

    def said(folder):
        return {check.name: (check.status, check.found) for check in check_model(str(folder))}

    assert said(both)["Decoder"] == ("PASS", "12 genes from the image alone")
    assert said(alone)["Reference"][0] == "PASS"
    assert "predicts by its decoder" in said(alone)["Reference"][1]
    folder = tmp_path / "m"
    shutil.copytree(both, folder, ignore=shutil.ignore_patterns("reference"))
    assert said(folder)["Reference"][0] == "WARN"
