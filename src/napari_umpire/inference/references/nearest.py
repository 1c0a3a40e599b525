"""The exact K most similar rows, by chunked matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["top_k"]

_MARGIN = 14  # spare candidates beyond K, so that rounding at rank K rarely asks for a second look
_QUERY_ROWS = 256
_REFERENCE_ROWS = 32_768
_GROUP = 32


def top_k(
    references: np.ndarray, queries: np.ndarray, k: int, *, device: str | torch.device = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Find the ``k`` references with the largest inner product to each query.

    Candidates come from float32 products, whose last bits depend on the device and on how the
    work was cut. So K plus a few are kept, scored again in float64 in one fixed way, and a row
    whose K-th candidate is not clear of all that was dropped is looked at again. The result is
    that of sorting all float64 products rounded to float32, ties by index, on every machine.

    Parameters
    ----------
    references, queries
        (n_references, dim) and (n_queries, dim) float32, rows of length <= 1.
    k
        At most ``n_references`` are returned.

    Returns
    -------
    Indices (n_queries, min(k, n_references)) int64 and similarities float32, best first.
    """
    import torch

    n, r = len(queries), len(references)
    k = min(k, r)
    indices, similarity = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    if n == 0 or k == 0:
        return indices, similarity
    keep = min(k + _MARGIN, r)
    with torch.inference_mode():
        candidates, lowest = _candidates(references, queries, keep, torch.device(device))
    slack = _rounding(references.shape[1], torch.device(device))
    for a in range(0, n, _QUERY_ROWS):
        rows = slice(a, a + _QUERY_ROWS)
        scores = _scores(references, queries[rows], candidates[rows])
        order = np.lexsort((candidates[rows], -scores), axis=1)[:, :k]
        indices[rows] = np.take_along_axis(candidates[rows], order, axis=1)
        similarity[rows] = np.take_along_axis(scores, order, axis=1)
    if keep < r:
        for row in np.flatnonzero(similarity[:, -1] <= lowest + slack):
            floor = similarity[row, -1] - slack
            indices[row], similarity[row] = _one(references, queries[row], k, floor)
    return indices, similarity


def _rounding(dim: int, device: torch.device) -> float:
    """Bound on the error of one product of unit vectors, as the settings of torch have it."""
    import torch

    if torch.get_float32_matmul_precision() == "highest" and device.type != "mps":
        return dim * 2.0**-24
    return 2.0**-7  # operands may have been cut to bfloat16's 8 bits


def _candidates(
    references: np.ndarray, queries: np.ndarray, keep: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """About the ``keep`` best by float32 products, and the score of the worst of them."""
    import torch

    query = torch.from_numpy(np.array(queries, np.float32)).to(device)
    best = torch.full((len(query), keep), -torch.inf, device=device)
    where = torch.zeros((len(query), keep), dtype=torch.int64, device=device)
    # One buffer for all products: fresh memory for each would cost as much as the product.
    buffer = torch.empty(_QUERY_ROWS * _REFERENCE_ROWS, device=device)
    for b in range(0, len(references), _REFERENCE_ROWS):
        block = torch.from_numpy(np.array(references[b : b + _REFERENCE_ROWS])).to(device)
        for a in range(0, len(query), _QUERY_ROWS):
            q = query[a : a + _QUERY_ROWS]
            product = buffer[: len(q) * len(block)].view(len(q), len(block))
            torch.matmul(q, block.T, out=product)
            score, index = _best(product, min(keep, len(block)))
            score = torch.cat([best[a : a + len(q)], score], 1)
            index = torch.cat([where[a : a + len(q)], index + b], 1)
            best[a : a + len(q)], pick = score.topk(keep, dim=1, sorted=False)
            where[a : a + len(q)] = index.gather(1, pick)
    return where.cpu().numpy(), best.amin(1).cpu().numpy()


def _best(product: torch.Tensor, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``keep`` largest of each row, in no order, and their columns.

    They lie in the ``keep`` groups of columns with the largest maxima, and a maximum costs a
    fortieth of a selection.
    """
    import torch

    n, m = product.shape
    if m % _GROUP or m < 4 * keep * _GROUP:
        score, index = product.topk(keep, dim=1, sorted=False)
        return score, index
    groups = product.view(n, m // _GROUP, _GROUP)
    chosen = groups.amax(2).topk(keep, dim=1, sorted=False).indices
    inside = torch.arange(_GROUP, device=product.device)
    columns = (chosen[:, :, None] * _GROUP + inside).view(n, keep * _GROUP)
    score, pick = product.gather(1, columns).topk(keep, dim=1, sorted=False)
    return score, columns.gather(1, pick)


def _scores(references: np.ndarray, query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    block = references[candidates].astype(np.float64)
    return np.einsum("nd,nkd->nk", query.astype(np.float64), block).astype(np.float32)


def _one(
    references: np.ndarray, query: np.ndarray, k: int, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """All references that may belong to one query's best ``k``, scored in float64."""
    near = np.concatenate(
        [
            b + np.flatnonzero(references[b : b + _REFERENCE_ROWS] @ query >= floor)
            for b in range(0, len(references), _REFERENCE_ROWS)
        ]
    )
    scores = np.concatenate(
        [
            _scores(references, query[None], near[None, c : c + _REFERENCE_ROWS])[0]
            for c in range(0, len(near), _REFERENCE_ROWS)
        ]
    )
    order = np.lexsort((near, -scores))[:k]
    return near[order], scores[order]
