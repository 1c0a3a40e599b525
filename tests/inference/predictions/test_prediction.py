from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions.prediction import GenePrediction, Prediction
from napari_umpire.inference.references.database import ReferenceDatabase

from ...steps import interpreted
from ..conftest import make_part


def loop(prediction, gene):
    """Weighted mean and standard deviation, spot by spot, over measured references only."""
    reference = prediction.reference
    on = {"A": int(gene[1:]) < 40, "B": int(gene[1:]) >= 30}
    slide, values = reference.spots["slide"].to_numpy(), reference.column(gene)
    mean, std = [], []
    for rows, w in zip(prediction.indices, prediction.weight.astype(np.float64), strict=True):
        kept = np.array([on[slide[r]] for r in rows])
        if not kept.any() or w[kept].sum() == 0:
            mean.append(np.nan)
            std.append(np.nan)
            continue
        w = w[kept] / w[kept].sum()
        v = values[rows[kept]].astype(np.float64)
        mean.append((w * v).sum())
        std.append(np.sqrt((w * (v - (w * v).sum()) ** 2).sum()))
    return np.array(mean), np.array(std)


@pytest.mark.parametrize("gene", ["G3", "G35", "G66"], ids=["only A", "both", "only B"])
def test_maps_and_spread_against_a_loop(prediction, gene):
    mean, std = loop(prediction, gene)
    np.testing.assert_allclose(prediction.gene_map(gene), mean, rtol=1e-5)
    np.testing.assert_allclose(prediction.spread(gene), std, rtol=1e-4, atol=1e-6)
    assert prediction.gene_map(gene).dtype == np.float32


def test_a_gene_that_no_reference_of_a_spot_measured_is_nan(prediction):
    only_b = prediction.indices.copy()
    only_b[0] = np.arange(120, 132)
    changed = Prediction(**{**vars(prediction), "indices": only_b})
    assert np.isnan(changed.gene_map("G3")[0])
    assert np.isfinite(changed.gene_map("G66")[0])


def test_the_map_is_w_times_the_column(prediction):
    w = prediction.weights
    assert w.shape == (25, 210)
    np.testing.assert_allclose(w.sum(axis=1), 1, atol=1e-6)
    expected = w @ prediction.reference.column("G35")
    np.testing.assert_allclose(prediction.gene_map("G35"), expected, rtol=1e-5)
    assert (np.diff(prediction.similarity, axis=1) <= 0).all()  # W is a copy, nothing was sorted


def test_all_genes_of_a_slide_are_between_the_least_and_most_of_its_references(prediction):
    for gene in prediction.genes.index[30:40]:
        column = prediction.reference.column(gene)[prediction.indices]
        values = prediction.gene_map(gene)
        assert (values >= column.min(axis=1) - 1e-5).all()
        assert (values <= column.max(axis=1) + 1e-5).all()


def test_evidence_adds_up_to_the_value(prediction):
    evidence = prediction.evidence("s7", "G35")
    assert evidence.index.tolist() == list(range(1, 13))
    assert evidence["similarity"].is_monotonic_decreasing
    total = (evidence["weight"] * evidence["value"]).sum()
    assert total == pytest.approx(prediction.gene_map("G35")[7], rel=1e-5)
    row = prediction.indices[7, 0]
    spot = prediction.reference.spots.iloc[row]
    assert evidence.loc[1, ["slide", "spot", "y", "x"]].tolist() == [
        spot["slide"], spot["spot"], spot["y"], spot["x"]
    ]  # fmt: skip


def test_evidence_is_nan_where_the_gene_was_not_measured(prediction):
    evidence = prediction.evidence("s1", "G3")
    assert (evidence["value"].isna() == (evidence["slide"] == "B")).all()


def test_evidence_of_an_unknown_spot(prediction):
    with pytest.raises(InputError, match="no spot s99"):
        prediction.evidence("s99")


def test_confidence_is_similarity(prediction):
    np.testing.assert_allclose(prediction.mean_similarity, prediction.similarity.mean(axis=1))
    np.testing.assert_array_equal(prediction.top_similarity, prediction.similarity.max(axis=1))


def test_genes_are_found_by_any_name_and_near_ones_named(prediction):
    np.testing.assert_array_equal(prediction.gene_map("g35"), prediction.gene_map("G35"))
    with pytest.raises(InputError, match="No gene is called G999"):
        prediction.gene_map("G999")


def test_the_table_holds_maps_spread_positions_and_the_record(prediction):
    table = prediction.to_table(["G35", "g3", "G35"], std=True)
    assert table.var_names.tolist() == ["G35", "G3"]
    assert table.obs_names.tolist() == prediction.spots.index.tolist()
    assert table.X.dtype == np.float32
    np.testing.assert_array_equal(table[:, "G3"].X[:, 0], prediction.gene_map("G3"))
    np.testing.assert_array_equal(table.layers["std"][:, 0], prediction.spread("G35"))
    np.testing.assert_array_equal(table.obs["top_similarity"], prediction.top_similarity)
    np.testing.assert_array_equal(table.obsm["X_umpire"], prediction.embeddings)
    np.testing.assert_array_equal(table.obsm["spatial"], prediction.spots[["x", "y"]])
    assert table.uns["umpire"] == prediction.record.to_dict()
    assert prediction.to_table().shape == (25, 70)


# zarr says so of every anndata store of format 3
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_the_table_survives_a_round_trip(prediction, tmp_path, suffix):
    import anndata as ad

    from napari_umpire.inference.predictions.record import RunRecord

    table = prediction.to_table(["G35", "G3"], std=True)
    path = tmp_path / f"table.{suffix}"
    if suffix == "h5ad":
        table.write_h5ad(path)
        back = ad.read_h5ad(path)
    else:
        with ad.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
            table.write_zarr(path)
        back = ad.read_zarr(path)
    np.testing.assert_array_equal(back.X, table.X)
    np.testing.assert_array_equal(back.obsm["X_umpire"], table.obsm["X_umpire"])
    record = back.uns["umpire"]
    back = RunRecord.from_dict(record)
    assert back == prediction.record
    assert RunRecord.from_yaml(back.to_yaml()) == back


def test_a_table_too_large_is_refused_before_it_is_made(prediction, monkeypatch):
    from napari_umpire.inference.predictions import table as prediction_table

    monkeypatch.setattr(prediction_table, "_LARGEST", 1000)
    with pytest.raises(InputError, match="Name the genes you need"):
        prediction.to_table()


def test_save_and_load(prediction, tmp_path):
    path = prediction.save(tmp_path / "p.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert "weight" in arrays.files
    back = Prediction.load(path)
    for name in ("indices", "similarity", "weight", "embeddings"):
        np.testing.assert_array_equal(getattr(back, name), getattr(prediction, name))
    assert back.record == prediction.record
    assert back.slide_name == "query"
    np.testing.assert_array_equal(back.gene_map("G3"), prediction.gene_map("G3"))
    assert back.evidence("s3", "G3").equals(prediction.evidence("s3", "G3"))
    with pytest.raises(InputError, match="already exists"):
        prediction.save(path)
    assert [p.name for p in tmp_path.glob("*p.npz*")] == ["p.npz"]


def test_a_prediction_does_not_open_with_another_reference(prediction, tmp_path):
    path = prediction.save(tmp_path / "p.npz")
    other = ReferenceDatabase.build(
        tmp_path / "other", [make_part(8, "Z", 300, ["G1"])], model_digest="model-1"
    )
    with pytest.raises(InputError, match="another reference"):
        Prediction.load(path, other)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_what_is_no_prediction_is_refused(tmp_path, content):
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable prediction"):
        Prediction.load(path)


def test_a_direct_method_has_the_same_face_without_evidence(prediction):
    class Direct(GenePrediction):
        slide_name, embeddings = "direct", None
        spots, record, genes = prediction.spots, prediction.record, prediction.genes

        def _gene_map(self, key):
            return np.full(25, float(key[1:]), np.float32)

    direct = Direct()
    assert direct.gene_map("g12")[0] == 12
    assert direct.spread("G12") is None
    assert not direct.has_evidence
    with pytest.raises(InputError, match="has no evidence"):
        direct.evidence("s1")
    table = direct.to_table(["G7"])
    assert table.X[3, 0] == 7
    assert "X_umpire" not in table.obsm
    with pytest.raises(InputError, match="no spread"):
        direct.to_table(["G7"], std=True)


def test_arrays_that_do_not_fit_are_refused(prediction):
    with pytest.raises(ValueError, match="do not fit 25 spots"):
        Prediction(**{**vars(prediction), "indices": prediction.indices[:-1]})


def test_a_map_of_five_thousand_spots_is_computed_without_a_loop_over_them(tmp_path):
    from napari_umpire.inference.predictions.record import RunRecord

    part = make_part(0, "L", 10_000, ["G0", "G1", "G2"], dim=4)
    reference = ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 10_000, (5000, 50))
    weight = np.full((5000, 50), 0.02, np.float32)
    import pandas as pd

    spots = pd.DataFrame(np.zeros((5000, 2)), columns=["y", "x"], index=map(str, range(5000)))
    big = Prediction("L", spots, reference, indices, weight, weight, RunRecord("s", "m"))
    big.gene_map("G0")  # prepares what all maps share
    assert interpreted(big.gene_map, "G1") < 5000


def test_it_says_what_it_is_in_one_line(prediction):
    similarity = f"{prediction.similarity.mean():.2f}"
    assert repr(prediction) == (
        f"<Prediction of {prediction.slide_name!r}: {prediction.n_spots} spots, "
        f"{len(prediction.genes)} genes, K={prediction.k}, mean similarity {similarity}>"
    )
