"""Gene maps on demand, against a sparse product and against the loop of a published method.

A prediction is K = 50 weighted references for each of Q = 5,000 spots. Ours keeps indices and
weights and reads one gene column when its map is asked for. Peers: scipy's W @ column, with W
built and the column taken from an in-memory CSC matrix; and what BLEEP does, np.average over the
K rows of a dense expression matrix, query by query. A full dense matrix would not fit for
R = 100,000, so 200 genes are made of each; then one gene alone, as when a person picks it.

Top-K is compared with faiss's exact flat index where faiss is installed.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.inference.predictions.prediction import Prediction
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.inference.predictions.weights import weights
from napari_umpire.inference.references.build import ReferencePart
from napari_umpire.inference.references.database import ReferenceDatabase

Q, K, DIM, GENES = 5_000, 50, 512, 200


def run() -> None:
    for n in (10_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            _one_size(n, Path(folder))


def _one_size(n: int, folder: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, DIM))
    part = ReferencePart(
        slide="synthetic",
        digest="synthetic",
        embeddings=_unit_rows(rng, centres, n),
        expression=_expression(rng, n),
        genes=pd.DataFrame({"id": "", "symbol": ""}, index=[f"G{i}" for i in range(GENES)]),
        spots=pd.DataFrame(0.0, columns=["y", "x", "y_um", "x_um"], index=range(n)),
    )
    reference = ReferenceDatabase.build(folder / "reference", [part], model_digest="none")
    queries = _unit_rows(rng, centres, Q)
    _search(reference, queries, n)

    indices, similarity = reference.top_k(queries, K)
    weight = weights(similarity, "softmax", 14.3)
    spots = pd.DataFrame(0.0, columns=["y", "x"], index=range(Q))
    prediction = Prediction(
        "synthetic", spots, reference, indices, similarity, weight, RunRecord("s", "m")
    )
    w, columns = prediction.weights, part.expression.tocsc()
    dense = part.expression.toarray()
    genes = list(reference.genes.index)

    def ours() -> np.ndarray:
        return np.stack([prediction.gene_map(gene) for gene in genes], axis=1)

    def sparse() -> np.ndarray:
        maps = [w @ columns[:, [i]].toarray().ravel() for i in range(GENES)]
        return np.stack(maps, axis=1)

    def bleep() -> np.ndarray:
        rows = zip(indices, weight, strict=True)
        return np.stack([np.average(dense[i], axis=0, weights=v) for i, v in rows])

    ours_name, peer = "on demand (ours)", "scipy W @ column"
    loop = "np.average per query (BLEEP)"
    timings = measure({ours_name: ours, peer: sparse, loop: bleep}, repeats=5)
    title = f"gene maps: {GENES} genes, R = {n:,}, Q = {Q:,}, K = {K}"
    print_table(title, timings, peer=loop, items=GENES, unit="maps")
    assert_same("ours and scipy", timings[ours_name].output, timings[peer].output, atol=1e-5)
    assert_same("ours and BLEEP", timings[ours_name].output, timings[loop].output, atol=1e-5)

    one, column = genes[GENES // 2], dense[:, GENES // 2]
    timings = measure(
        {
            ours_name: lambda: prediction.gene_map(one),
            peer: lambda: w @ columns[:, [GENES // 2]].toarray().ravel(),
            loop: lambda: np.array(
                [np.average(column[i], weights=v) for i, v in zip(indices, weight, strict=True)]
            ),
        },
        repeats=5,
    )
    print_table(f"one gene map, asked for: R = {n:,}", timings, peer=loop, unit="maps")
    assert_same("one map", timings[ours_name].output, timings[loop].output, atol=1e-5)


def _search(reference: ReferenceDatabase, queries: np.ndarray, n: int) -> None:
    if find_spec("faiss") is None:
        print("\nexact top-K: faiss is not installed, so nothing to compare with")
        return
    import faiss
    import torch

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(DIM)
    index.add(np.array(reference.embeddings))
    ours, peer = "exact, float64 scores (ours)", "faiss IndexFlatIP"
    methods = {
        ours: lambda: reference.top_k(queries, K),
        peer: lambda: index.search(queries, K)[::-1],
    }
    timings = measure(methods, repeats=3)
    title = f"exact top-K: R = {n:,}, Q = {Q:,}, K = {K}, dim = {DIM}"
    print_table(title, timings, peer=peer, items=Q, unit="spots")
    found, theirs = timings[ours].output, timings[peer].output
    assert isinstance(found, tuple)
    assert isinstance(theirs, tuple)
    assert_same("similarities", found[1], theirs[1], atol=5e-6)


def _unit_rows(rng: np.random.Generator, centres: np.ndarray, n: int) -> np.ndarray:
    rows = centres[rng.integers(0, len(centres), n)] + 0.8 * rng.normal(size=(n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _expression(rng: np.random.Generator, n: int) -> sp.csr_matrix:
    """Genes found in 2 to 90 % of the spots, as in a Visium slide."""
    columns = []
    for density in np.linspace(0.02, 0.9, GENES):
        rows = np.flatnonzero(rng.random(n) < density)
        values = rng.gamma(2.0, 0.7, len(rows)).astype(np.float32)
        columns.append(sp.csc_matrix((values, rows, [0, len(rows)]), shape=(n, 1)))
    return sp.hstack(columns, format="csr")
