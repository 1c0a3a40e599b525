"""The table of genes against scipy, gene by gene; reasons, controls, words, cancelling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr

from napari_umpire.inference.genes.blocks import PredictedBlocks, block_size, blocks
from napari_umpire.inference.scores.genes import gene_scores
from napari_umpire.inference.scores.table import COLUMNS
from napari_umpire.progress import run


def test_blocks_are_the_gene_maps(case):
    _, _, prediction, _ = case
    rows = np.array([3, 0, 50, 51, 19, 20])
    keys = list(prediction.genes.index)
    got = PredictedBlocks(prediction, rows).block(keys)
    expected = np.stack([prediction.gene_map(k)[rows] for k in keys], axis=1)
    assert np.isnan(expected[:, keys.index("G12")]).sum() == 3
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))


def test_blocks_cover_everything_once():
    parts = [np.arange(10)[part] for part in blocks(10, 4)]
    assert [len(p) for p in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(10))
    assert block_size(10**9) == 1
    assert block_size(10) > 100


def test_every_pcc_is_that_of_scipy_over_the_spots_that_count(case):
    slide, genes, prediction, measured = case
    table = run(gene_scores(slide, genes, prediction, measured, reliability=False))
    frame = table.frame
    assert list(frame.columns) == list(COLUMNS)
    assert (table.n_counted, table.n_left_out) == (slide.n_spots - 6, 6)
    checked = 0
    for gene in genes.frame.index:
        row = frame.loc[gene]
        if gene not in measured.genes.index or gene not in prediction.genes.index:
            assert np.isnan(row["PCC"])
            continue
        t, p = measured.column(gene)[6:].astype(float), prediction.gene_map(gene)[6:].astype(float)
        known = np.isfinite(p)
        assert row["n"] == known.sum()
        assert row["mean measured"] == pytest.approx(t.mean(), rel=1e-5)
        assert row["mean predicted"] == pytest.approx(p[known].mean(), rel=1e-5)
        assert row["seen %"] == pytest.approx(100 * (t > 0).mean())
        if gene in ("G14", "G15", "G16"):
            assert np.isnan(row["PCC"])
            continue
        assert row["PCC"] == pytest.approx(pearsonr(p[known], t[known])[0], abs=1e-5)
        assert row["why no PCC"] == ""
        checked += 1
    assert checked == 130 - 4 - 4 - 3
    assert 60 < frame.loc["G12", "n"] <= slide.n_spots - 20, "some spots know nothing of it"
    values = frame["PCC"].dropna()
    assert list(values) == sorted(values, reverse=True)
    assert frame["PCC"].isna().iloc[len(values) :].all()


def test_why_a_gene_has_none(case):
    slide, genes, prediction, measured = case
    table = run(gene_scores(slide, genes, prediction, measured, reliability=False))
    why = table.frame["why no PCC"]
    assert why["G0"] == "not measured"
    assert why["G9"] == "not in the reference"
    assert why["G14"] == "constant in the prediction"
    assert why["G15"] == "constant in the measurement"
    assert why["G16"] == "not seen in the counted spots"
    said = table.describe()
    assert "11 genes have none" in said
    assert "4 not measured" in said
    assert "4 not in the reference" in said
    assert f"{slide.n_spots - 6:,} spots" in said
    assert "(6 left out)" in said
    assert "itself in the reference" not in said


def test_too_few_spots_have_no_correlation(case):
    from dataclasses import replace

    slide, genes, prediction, measured = case
    few = replace(measured, detected=np.where(np.arange(slide.n_spots) < 9, 120, 5))
    table = run(gene_scores(slide, genes, prediction, few, reliability=False))
    assert table.frame["PCC"].isna().all()
    assert table.frame.loc["G50", "why no PCC"] == "fewer than 10 spots"
    assert "No gene has a PCC" in table.describe()
    none = replace(measured, detected=np.zeros(slide.n_spots, int))
    table = run(gene_scores(slide, genes, prediction, none))
    assert table.n_counted == 0
    assert table.frame.loc["G50", "why no PCC"] == "fewer than 10 spots"


def test_a_side_alone_is_listed_and_says_what_is_missing(case):
    from napari_umpire.inference.genes.table import GeneTable

    slide, _, prediction, measured = case
    table = run(gene_scores(slide, GeneTable.build(prediction.genes, None), prediction, None))
    assert "Nothing was measured" in table.describe()
    assert table.n_counted == slide.n_spots
    assert table.frame.loc["G50", "mean predicted"] == pytest.approx(
        prediction.gene_map("G50").mean(), rel=1e-5
    )
    table = run(gene_scores(slide, GeneTable.build(None, measured.genes), None, measured))
    assert "Not predicted yet" in table.describe()
    assert table.frame.loc["G50", "why no PCC"] == "not predicted yet"


def test_a_slide_in_its_own_reference_is_told(case_in_reference):
    slide, genes, prediction, measured = case_in_reference
    table = run(gene_scores(slide, genes, prediction, measured, reliability=False))
    assert table.in_reference
    assert table.describe().startswith("This slide is itself in the reference")


def test_the_permuted_control_is_that_of_a_loop(case):
    slide, genes, prediction, measured = case
    table = run(gene_scores(slide, genes, prediction, measured, reliability=False, seed=3))
    keys = [g for g in table.frame.index if np.isfinite(table.frame.loc[g, "PCC"])]
    keys = [g for g in keys if g != "G12"]  # not known in all spots
    rng = np.random.default_rng(8)
    means = []
    for _ in range(20):
        order = rng.permutation(np.arange(6, slide.n_spots))
        pcc = [
            pearsonr(prediction.gene_map(g)[6:], measured.column(g)[order])[0] for g in keys[::3]
        ]
        means.append(np.mean(pcc))
    control = table.controls
    assert len(control.permuted) == 20
    assert control.n_permuted_genes == len(keys)
    # Other permutations, the same law: both are about 0, with alike spread.
    assert abs(np.mean(control.permuted)) < 0.02
    assert 0.2 < np.std(control.permuted) / np.std(means) < 2
    assert table.frame["PCC"].max() > 0.5, "while some genes do agree"


def test_the_neighbour_control_is_that_of_a_loop(case):
    slide, genes, prediction, measured = case
    table = run(gene_scores(slide, genes, prediction, measured, reliability=False))
    yx = slide.yx[6:]
    pitch = slide.pitch_um / slide.mpp
    distance = cdist(yx, yx)
    near = (distance < 1.6 * pitch) & (distance > 0)
    assert near.sum(1).max() <= 8
    lonely = near.sum(1) == 0
    for gene in ("G5", "G45", "G120"):
        t = measured.column(gene)[6:].astype(float)
        around = np.array([t[k].mean() if k.any() else np.nan for k in near])
        expected = pearsonr(around[~lonely], t[~lonely])[0]
        assert table.frame.loc[gene, "neighbours"] == pytest.approx(expected, abs=1e-5)


def test_half_counts_and_the_real_protocol_on_synthetic_counts(slides):
    """Genes of a synthetic slide that vary over tissue are more reliable than those that do not."""
    from napari_umpire.inference.genes.measured import keyed_counts, read_measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.scores.reliability import halves

    slide = slides[0]
    measured = run(read_measured(slide))

    class Flat:
        """A method that predicts the measured value plus noise: a known, high agreement."""

        genes, has_evidence, n_spots = measured.genes, False, slide.n_spots

        def gene_map(self, key):
            noise = np.random.default_rng(len(key)).normal(size=slide.n_spots)
            return (measured.column(key) + 0.1 * noise).astype(np.float32)

    genes = GeneTable.build(measured.genes, measured.genes)
    table = run(gene_scores(slide, genes, Flat(), measured))
    good = measured.detected >= 100
    first, second = (h[good].toarray() for h in halves(keyed_counts(slide)[0], seed=0))
    number = {k: i for i, k in enumerate(measured.genes.index)}
    for gene in table.frame.index[:5]:
        expected = pearsonr(first[:, number[gene]], second[:, number[gene]])[0]
        assert table.frame.loc[gene, "half counts"] == pytest.approx(expected, abs=1e-5)
        assert table.frame.loc[gene, "PCC"] > 0.8
    assert "half of the counts with the other half" in table.describe()
    assert "reliability not computed" not in table.describe()
    without = run(gene_scores(slide, genes, Flat(), measured, reliability=False))
    assert "reliability not computed: not asked for" in without.describe()


def test_half_counts_are_those_of_the_halves_laid_out():
    """Sums over the counts against scipy's correlation of the two tables of halves."""
    import scipy.sparse as sp

    from napari_umpire.inference.scores import reliability

    rng = np.random.default_rng(4)
    counts = rng.poisson(rng.gamma(0.4, 3.0, 40), (90, 40))
    counts[:, 7], counts[11] = 0, 0
    counts = sp.csr_matrix(counts)
    rows = np.flatnonzero(rng.random(90) < 0.8)
    first, second = (h[rows].toarray() for h in reliability.halves(counts, seed=5))
    varies = (np.ptp(first, axis=0) > 0) & (np.ptp(second, axis=0) > 0)
    assert 20 < varies.sum() < 40
    for at_once in (1 << 19, 200, 1):
        steps = reliability.half_correlations(counts, rows, seed=5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reliability, "_AT_ONCE", at_once)
            got = run(steps)
        np.testing.assert_array_equal(np.isfinite(got), varies)
        for gene in np.flatnonzero(varies):
            expected = pearsonr(first[:, gene], second[:, gene])[0]
            assert got[gene] == pytest.approx(expected, abs=1e-6)


def test_threads_end_after_the_parts_under_way():
    from napari_umpire.inference.genes.blocks import in_threads

    taken = []
    steps = in_threads(lambda part: taken.append(part.start), blocks(100, 1), 2)
    assert [next(steps).start for _ in range(3)] == [0, 1, 2]
    steps.close()
    assert len(taken) <= 6
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda part: 1 // part.start, blocks(9, 1), 2))


def test_cancelling_stops_between_blocks(case, monkeypatch):
    slide, genes, prediction, measured = case
    monkeypatch.setattr("napari_umpire.inference.scores.genes.block_size", lambda *_: 10)
    steps = gene_scores(slide, genes, prediction, measured, reliability=False)
    done = [next(steps).done for _ in range(4)]
    assert done == [0, 0, 10, 20]
    steps.close()
    in_blocks = run(gene_scores(slide, genes, prediction, measured, reliability=False))
    monkeypatch.undo()
    at_once = run(gene_scores(slide, genes, prediction, measured, reliability=False))
    np.testing.assert_allclose(
        in_blocks.frame["PCC"].sort_index(), at_once.frame["PCC"].sort_index(), atol=1e-6
    )
    np.testing.assert_allclose(in_blocks.controls.permuted, at_once.controls.permuted, atol=1e-6)
