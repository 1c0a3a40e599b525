"""What the window is told to show: ranges, gene lists, measured values, agreement, rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_umpire.inference.genes.measured import read_measured
from napari_umpire.inference.genes.table import GeneTable
from napari_umpire.inference.scores.agreement import agreement
from napari_umpire.plugin.layers.ranges import RangeChoice, display_range
from napari_umpire.plugin.runs.rate import RateMeter, duration
from napari_umpire.progress import Progress, run

HUNDRED = np.arange(101, dtype=np.float32)  # its percentiles are its values


@pytest.mark.parametrize(
    ("values", "choice", "symmetric", "expected"),
    [
        ([HUNDRED], RangeChoice(), False, (1, 99)),
        ([HUNDRED], RangeChoice("percentile", percentiles=(20, 60)), False, (20, 60)),
        ([HUNDRED], RangeChoice("absolute", absolute=(0, 3)), False, (0, 3)),
        ([HUNDRED - 30], RangeChoice(), True, (-69, 69)),
        ([HUNDRED], RangeChoice("absolute", absolute=(1, 3)), True, (-2, 2)),
        ([HUNDRED[:51], HUNDRED[50:]], RangeChoice("percentile", percentiles=(0, 100)), False,
         (0, 100)),
        ([np.array([np.nan, 2.0, 4.0])], RangeChoice("percentile", percentiles=(0, 100)), False,
         (2, 4)),
        ([np.zeros(9)], RangeChoice(), False, (0, 1)),
        ([np.zeros(9)], RangeChoice(), True, (-0.5, 0.5)),
        ([np.array([np.nan])], RangeChoice(), False, (0, 1)),
        ([np.empty(0)], RangeChoice(), False, (0, 1)),
    ],
)  # fmt: skip
def test_range(values, choice, symmetric, expected):
    assert display_range(values, choice, symmetric=symmetric) == pytest.approx(expected)


def test_a_gene_seen_in_one_spot_of_a_thousand_is_not_hidden_by_its_percentiles():
    values = np.zeros(1000)
    values[3] = 4.0
    assert display_range([values], RangeChoice()) == (0, 4)


def genes(rows):
    return pd.DataFrame(rows, columns=["name", "id", "symbol"]).set_index("name")


def test_predicted_and_measured_genes_are_matched_by_id_then_by_symbol():
    predicted = genes(
        [("ENSG1", "ENSG1", "ERBB2"), ("ENSG2", "ENSG2", "PIBF1"), ("ENSG3", "ENSG3", "GAPDH")]
    )
    measured = genes(
        [("ERBB2", "", "ERBB2"), ("x", "ENSG2.7", "C13orf24"), ("ENSG77", "ENSG77", "GAPDH")]
    )
    frame = GeneTable.build(predicted, measured).frame
    assert frame.loc["ENSG1", ["predicted", "measured"]].tolist() == ["ENSG1", "ERBB2"]
    assert frame.loc["ENSG2", ["predicted", "measured"]].tolist() == ["ENSG2", "x"]
    # Two ids under one symbol are two genes.
    assert frame.loc["ENSG3", ["predicted", "measured"]].tolist() == ["ENSG3", ""]
    assert frame.loc["ENSG77", ["predicted", "measured"]].tolist() == ["", "ENSG77"]
    assert frame["symbol"].tolist() == ["ERBB2", "GAPDH", "GAPDH", "PIBF1"]


def test_one_list_alone_makes_a_table_too():
    only = genes([("ERBB2", "", "ERBB2")])
    assert GeneTable.build(None, only).frame.loc["ERBB2"].tolist() == ["ERBB2", "", "", "ERBB2"]
    assert GeneTable.build(only, None).frame.loc["ERBB2"].tolist() == ["ERBB2", "", "ERBB2", ""]
    assert len(GeneTable.build(None, None)) == 0


def test_measured_expression_is_log1p_cp10k_over_all_genes(slide, measured):
    counts = slide.counts().toarray()
    expected = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    for number in (0, 5, 250):
        key = measured.genes.index[number]
        np.testing.assert_allclose(measured.column(key), expected[:, number], rtol=1e-5)
    assert np.array_equal(measured.detected, (counts > 0).sum(1))
    best = measured.genes.index.get_loc(measured.most_variable())
    enough = (counts > 0).sum(1) >= 100
    assert best == expected[enough].var(0).argmax()


def test_columns_of_one_gene_are_summed_before_the_logarithm(slide, monkeypatch):
    before = slide.genes
    doubled = before.assign(id="", symbol=[f"G{i // 2}" for i in range(len(before))])
    monkeypatch.setattr(type(slide), "genes", property(lambda _: doubled))
    counts = slide.counts().toarray()
    pairs = counts[:, 0::2] + counts[:, 1::2]
    expected = np.log1p(pairs / counts.sum(1, keepdims=True) * 1e4)
    found = run(read_measured(slide))
    assert len(found.genes) == len(before) // 2
    np.testing.assert_allclose(found.column("G3"), expected[:, 3], rtol=1e-5)


def test_agreement_leaves_out_nearly_empty_spots_and_says_so():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=50)
    prediction = truth + rng.normal(size=50)
    detected = np.full(50, 300)
    truth[:2], detected[:2] = 9.2, 5
    found = agreement(prediction, truth, detected)
    assert found.pcc == pytest.approx(np.corrcoef(prediction[2:], truth[2:])[0, 1])
    assert (found.n_spots, found.n_left_out) == (48, 2)
    assert "48 spots of this slide" in found.describe()
    assert "2 left out" in found.describe()
    constant = agreement(prediction, np.zeros(50), np.full(50, 300))
    assert constant.describe().startswith("No correlation")


def test_a_prediction_without_a_value_in_some_spots_is_correlated_over_the_others():
    x = np.arange(20.0)
    prediction = np.where(x < 5, np.nan, x)
    found = agreement(prediction, x**2, np.full(20, 300))
    assert found.pcc == pytest.approx(np.corrcoef(x[5:], x[5:] ** 2)[0, 1])
    assert found.n_spots == 15


def test_rate_counts_from_where_a_resumed_stage_began():
    now = iter([0.0, 10.0, 20.0, 21.0])
    meter = RateMeter(lambda: next(now))
    went_on = "went on at spot 100 of 500"
    first = meter.describe(Progress("Embedding", 100, 500))
    assert first == f"Embedding: 100 of 500 spots; {went_on}"
    second = meter.describe(Progress("Embedding", 300, 500))
    assert second.endswith(f"20 spots/s, 10 s left; {went_on}")
    assert meter.describe(Progress("Embedding", 500, 500)).endswith("20 spots/s")
    assert meter.describe(Progress("Searching", 0, 0, "")) == "Searching"
    assert meter.resumed == went_on


def test_rate_says_when_everything_was_known_and_nothing_when_nothing_was():
    meter = RateMeter(lambda: 0.0)
    meter.describe(Progress("Embedding", 0, 500))
    assert meter.resumed == ""
    meter = RateMeter(lambda: 0.0)
    assert meter.describe(Progress("Embedding", 500, 500)) == "Embedding: 500 of 500 spots"
    assert meter.resumed == "all 500 spots were known from a run before"


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.4, "8 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_duration(seconds, words):
    assert duration(seconds) == words
