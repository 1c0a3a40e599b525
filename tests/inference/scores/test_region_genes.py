"""Two groups of spots against brute force; what a user can get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, ttest_ind

from napari_umpire.errors import InputError
from napari_umpire.inference.scores.group_difference import SIDES, compare_groups
from napari_umpire.inference.scores.region_genes import region_genes, table_words
from napari_umpire.progress import run


def brute(a, b):
    """Means, difference, d and AUC of one gene, by definition."""
    a, b = a[np.isfinite(a)].astype(float), b[np.isfinite(b)].astype(float)
    pooled = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    sd = np.sqrt(pooled / (len(a) + len(b) - 2))
    d = (a.mean() - b.mean()) / sd if sd > 1e-9 else np.nan
    auc = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
    return {"mean A": a.mean(), "mean B": b.mean(), "d": d, "AUC": auc, "n A": len(a)}


@pytest.mark.parametrize("sizes", [(7, 30), (30, 7), (12, 12)])
def test_groups_against_scipy_and_brute_force(sizes):
    rng = np.random.default_rng(0)
    a, b = (np.round(rng.gamma(2, 1, (n, 9)), 1).astype(np.float32) for n in sizes)  # with ties
    a[:3, 4] = np.nan
    b[:, 5] = np.nan
    a[1:, 6] = np.nan
    a[:, 7], b[:, 7] = 0.3, 1.7
    a[:, 8], b[:, 8] = 0.3, 0.3
    found, why = compare_groups(a, b)
    assert set(found) == set(SIDES) - {"why"}
    for gene in (0, 1, 2, 3, 4):
        expected = brute(a[:, gene], b[:, gene])
        for name, value in expected.items():
            assert found[name][gene] == pytest.approx(value, rel=1e-5)
        assert found["difference"][gene] == pytest.approx(expected["mean A"] - expected["mean B"])
        one, other = (x[np.isfinite(x[:, gene]), gene] for x in (a, b))
        t = ttest_ind(one, other).statistic
        assert found["d"][gene] == pytest.approx(
            t * np.sqrt(1 / len(one) + 1 / len(other)), rel=1e-4
        )
        u = mannwhitneyu(one, other).statistic
        assert found["AUC"][gene] == pytest.approx(u / len(one) / len(other))
    assert list(why[:5]) == [""] * 5
    assert list(why[5:]) == [
        "no value on one side",
        "fewer than 2 spots of one side",
        "constant within both",
        "constant within both",
    ]
    assert np.isnan(found["d"][5:]).all()
    assert np.isnan(found["AUC"][5])
    assert found["difference"][7] == pytest.approx(-1.4)
    assert found["AUC"][7] == 0
    assert found["AUC"][8] == 0.5


def test_every_gene_of_a_slide_both_sides(case):
    slide, genes, prediction, measured = case
    rng = np.random.default_rng(1)
    order = rng.permutation(slide.n_spots)
    a, b = np.sort(order[:30]), np.sort(order[25:70])
    result = run(region_genes(slide.name, genes, prediction, measured, ("tumour", a), ("B", b)))
    frame = result.frame
    for gene in genes.frame.index:
        row = frame.loc[gene]
        if gene in prediction.genes.index:
            p = prediction.gene_map(gene)
            expected = brute(p[a], p[b])
            if gene == "G14":
                expected["AUC"] = 0.5
            for name in ("mean A", "mean B", "AUC", "n A"):
                assert row[f"predicted {name}"] == pytest.approx(expected[name], abs=2e-5)
            if gene != "G14":
                assert row["predicted d"] == pytest.approx(expected["d"], rel=1e-3)
        else:
            assert row["predicted why"] == "not in the reference"
            assert np.isnan(row["predicted difference"])
        if gene in measured.genes.index:
            t = measured.column(gene)
            expected = brute(t[a[a >= 6]], t[b[b >= 6]])
            for name in ("mean A", "mean B", "AUC", "n A"):
                assert row[f"measured {name}"] == pytest.approx(expected[name], abs=2e-5)
            if gene not in ("G15", "G16"):
                assert row["measured d"] == pytest.approx(expected["d"], rel=1e-3)
        else:
            assert row["measured why"] == "not measured"
    assert frame.loc["G14", "predicted why"] == "constant within both"
    assert np.isnan(frame.loc["G14", "predicted d"])
    assert frame.loc["G15", "measured why"] == "constant within both"
    sizes = np.abs(frame["predicted difference"].dropna())
    assert list(sizes) == sorted(sizes, reverse=True)
    said = result.describe()
    assert "not independent" in said
    assert "no p-values" in said
    assert f"Predicted: 30 spots of tumour, {len(b)} of B." in said
    assert f"Measured: {(a >= 6).sum()} spots of tumour, {(b >= 6).sum()} of B" in said
    assert "5 spots lie in both" in said
    assert "4 not in the reference" in said
    assert "4 not measured" in said
    assert list(table_words(result)) == list(frame.columns)


def test_one_side_alone(case):
    slide, genes, prediction, measured = case
    a, b = np.arange(10, 30), np.arange(40, 80)
    only = run(region_genes(slide.name, genes, None, measured, ("A", a), ("B", b)))
    assert "Nothing was predicted" in only.describe()
    assert not any(c.startswith("predicted") for c in only.frame)
    differences = np.abs(only.frame["measured difference"].dropna())
    assert list(differences) == sorted(differences, reverse=True)
    only = run(region_genes(slide.name, genes, prediction, None, ("A", a), ("B", b)))
    assert "Nothing was measured" in only.describe()


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        pytest.param([], [1, 2], "A holds no spots", id="A empty"),
        pytest.param([1, 2], [], "B holds no spots", id="B empty"),
        pytest.param([2, 1], [1, 2], "hold the same spots", id="twice the same"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(case, a, b, said):
    slide, genes, prediction, measured = case
    groups = ("A", np.array(a, np.int64)), ("B", np.array(b, np.int64))
    with pytest.raises(InputError, match=said):
        run(region_genes(slide.name, genes, prediction, measured, *groups))


def test_nothing_to_compare(case):
    slide, genes, _, _ = case
    groups = ("A", np.array([1])), ("B", np.array([2]))
    with pytest.raises(InputError, match="nothing to compare"):
        run(region_genes(slide.name, genes, None, None, *groups))


def test_single_spots_have_a_difference_but_no_effect_size(case):
    slide, genes, prediction, measured = case
    groups = ("A", np.array([50])), ("B", np.array([60, 61, 62]))
    frame = run(region_genes(slide.name, genes, prediction, measured, *groups)).frame
    assert frame.loc["G50", "predicted why"] == "fewer than 2 spots of one side"
    p = prediction.gene_map("G50")
    assert frame.loc["G50", "predicted difference"] == pytest.approx(
        p[50] - p[60:63].mean(), abs=1e-5
    )


def test_cancelling_stops_between_blocks(case, monkeypatch):
    slide, genes, prediction, measured = case
    monkeypatch.setattr("napari_umpire.inference.scores.region_genes.block_size", lambda *_: 10)
    groups = ("A", np.arange(20)), ("B", np.arange(20, 60))
    steps = region_genes(slide.name, genes, prediction, measured, *groups)
    assert [next(steps).done for _ in range(3)] == [0, 10, 20]
    steps.close()
    in_blocks = run(region_genes(slide.name, genes, prediction, measured, *groups)).frame
    monkeypatch.undo()
    at_once = run(region_genes(slide.name, genes, prediction, measured, *groups)).frame
    np.testing.assert_allclose(
        in_blocks["predicted difference"], at_once.loc[in_blocks.index, "predicted difference"],
        atol=1e-6,
    )  # fmt: skip
