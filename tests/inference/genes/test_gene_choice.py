from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.choice import choose_genes


@pytest.fixture(scope="module")
def training():
    """Two slides of log1p CP10k with genes of different mean and dispersion."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.6, 2.0, 400)
    lively = rng.random(400) < 0.2
    slides = []
    for n in (150, 100):
        wave = np.where(lively, rng.gamma(0.5, 2.0, (n, 400)), 1.0)
        counts = rng.poisson(rate * wave).astype(float)
        scaled = counts / counts.sum(axis=1, keepdims=True) * 1e4
        slides.append(sp.csr_matrix(np.log1p(scaled).astype(np.float32)))
    return slides


@pytest.mark.parametrize(("kind", "statistic"), [("HEG", np.mean), ("VAR", np.var)])
def test_heg_and_var_against_numpy(training, kind, statistic):
    pooled = np.concatenate([s.toarray() for s in training]).astype(np.float64)
    order = np.argsort(-statistic(pooled, axis=0), kind="stable")
    detected = (pooled > 0).mean(axis=0) >= 0.1
    expected = [g for g in order if detected[g]][:50]
    assert choose_genes(training, kind, 50).tolist() == expected


def test_hvg_is_dispersion_of_cp10k_in_bins_by_median_and_mad(training):
    linear = np.expm1(np.concatenate([s.toarray() for s in training]).astype(np.float64))
    detected = np.flatnonzero((linear > 0).mean(axis=0) >= 0.1)
    mean, var = linear[:, detected].mean(axis=0), linear[:, detected].var(axis=0, ddof=1)
    edges = np.r_[-np.inf, np.percentile(mean, np.arange(10, 105, 5)), np.inf]
    frame = pd.DataFrame({"bin": pd.cut(mean, edges), "d": var / mean})
    grouped = frame.groupby("bin", observed=True)["d"]
    middle = grouped.transform("median")
    mad = grouped.transform(lambda d: np.median(np.abs(d - np.median(d))))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = ((frame["d"] - middle) / mad).to_numpy()
    z = np.where(np.isfinite(z), z, -np.inf)
    expected = detected[np.argsort(-z, kind="stable")[:30]]
    assert choose_genes(training, "HVG", 30).tolist() == expected.tolist()


def test_rare_genes_are_no_candidates(training):
    rare = [s.tolil() for s in training]
    rare[0][:, 7] = 0
    rare[1][:, 7] = 0
    rare[0][:3, 7] = 50.0  # a huge mean from three spots
    chosen = choose_genes([s.tocsr() for s in rare], "HEG", 50)
    assert 7 not in chosen
    assert 7 in choose_genes([s.tocsr() for s in rare], "VAR", 50, min_detected=0.0)


def test_equal_genes_are_taken_by_column():
    same = sp.csr_matrix(np.ones((10, 6), np.float32))
    assert choose_genes([same], "HEG", 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("HEG", 500), "Too few genes"), (("best", 5), "Unknown choice")],
    ids=["too many", "unknown"],
)
def test_what_cannot_be_chosen_is_refused(training, arguments, message):
    with pytest.raises(InputError, match=message):
        choose_genes(training, *arguments)


def test_no_training_spots_are_refused():
    with pytest.raises(InputError, match="No training spots"):
        choose_genes([], "HEG", 5)


def test_choosing_genes_leaves_the_number_of_threads_alone():
    code = """
import numpy as np, scipy.sparse as sp, torch
from napari_umpire.inference.genes.choice import choose_genes
x = sp.random(60, 80, 0.5, format="csr", random_state=0)
choose_genes([x], "HVG", 10)
print("threads", torch.get_num_threads())
"""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "3"}
    env["NUMBA_THREADING_LAYER"] = "omp"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert "threads 1" in done.stdout
