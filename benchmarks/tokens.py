"""Rank tokens against the authors' per-row sort, at equal output.

The peer does what the published tokenizer does (float64 throughout): scale each spot to 10,000
counts, multiply by the reciprocal of the mean, then for each spot sort the negated values with
numpy's default sort, keep the first, add 30 and pad with 0.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from benchmarks.harness import assert_same, measure, print_table
from napari_umpire.genes.tokens import (
    FIRST_GENE_ID,
    PAD_ID,
    divisors,
    rank_tokens,
    rank_tokens_reference,
)

N_GENES, LENGTH, STORED_LENGTH = 20_310, 1_500, 4_096
DISTINCT, COPIES = 1_000, 5


def run() -> None:
    counts, means = _visium_like(np.random.default_rng(0))
    n, nnz = counts.shape[0], counts.nnz / counts.shape[0]
    for rounding in ("none", "published"):
        peer, shipped = f"authors, {LENGTH} kept", f"authors, {STORED_LENGTH} kept as shipped"
        divisor = divisors(means, rounding)
        timings = measure(
            {
                peer: lambda d=divisor: _authors(counts, d, LENGTH),
                shipped: lambda d=divisor: _authors(counts, d, STORED_LENGTH),
                "ours": lambda r=rounding: rank_tokens(counts, means, length=LENGTH, rounding=r),
                "ours, numpy only": lambda r=rounding: rank_tokens_reference(
                    counts, means, length=LENGTH, rounding=r
                ),
            },
            repeats=9,
        )
        print_table(
            f"tokens: {n:,} spots x {N_GENES:,} genes, {nnz:,.0f} non-zero per spot, "
            f"rounding={rounding}, one thread",
            timings,
            peer=peer,
            items=n,
            unit="spots",
            goals={"ours": 3.5},
        )
        ours = np.asarray(timings["ours"].output)
        theirs = np.asarray(timings[peer].output)
        assert_same("numba and numpy tokens", ours, timings["ours, numpy only"].output)
        # Among equal values the authors' order depends on the processor: compare the values.
        some = slice(0, DISTINCT)
        assert_same(
            "log value at each rank, ours and the authors'",
            np.log(_values(counts[some], divisor, np.where(ours == PAD_ID, 0, ours)[some])),
            np.log(_values(counts[some], divisor, theirs[some])),
            atol=1e-12,
        )
        same = np.mean(np.where(ours == PAD_ID, 0, ours) == theirs)
        print(f"  same token at {same:.2%} of ranks (the rest are ties)")


def _visium_like(rng: np.random.Generator) -> tuple[sp.csr_matrix, np.ndarray]:
    share = rng.lognormal(0, 2.2, N_GENES)
    share /= share.sum()
    blocks = []
    for _ in range(DISTINCT // 250):
        depth = rng.lognormal(np.log(14_500), 0.4, (250, 1))
        spread = rng.gamma(2.0, 0.5, (250, N_GENES))
        blocks.append(sp.csr_matrix(rng.poisson(share * depth * spread).astype(np.float64)))
    counts = sp.vstack(blocks, format="csr")
    seen = np.bincount(counts.indices, minlength=N_GENES)
    total = np.asarray(counts.sum(axis=0)).ravel()
    means = np.divide(total, seen, out=np.full(N_GENES, np.nan), where=seen > 0)
    return sp.vstack([counts] * COPIES, format="csr"), means


def _authors(counts: sp.csr_matrix, divisor: np.ndarray, length: int) -> np.ndarray:
    scaled = counts.copy()
    totals = np.asarray(scaled.sum(axis=1)).ravel()
    totals[totals == 0] = 1.0
    scaled.data *= np.repeat(10_000 / totals, np.diff(scaled.indptr))
    scaled = scaled.multiply(1.0 / divisor[None, :]).tocsr()
    tokens = np.zeros((counts.shape[0], length))
    for row in range(counts.shape[0]):
        part = slice(scaled.indptr[row], scaled.indptr[row + 1])
        order = np.argsort(-scaled.data[part])[:length]
        tokens[row, : order.size] = scaled.indices[part][order] + FIRST_GENE_ID
    return tokens.astype(np.int32)


def _values(counts: sp.csr_matrix, divisor: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    dense = counts.toarray() / divisor
    values = np.take_along_axis(dense, np.maximum(tokens.astype(np.int64) - FIRST_GENE_ID, 0), 1)
    return np.where(tokens == 0, 1.0, values)
