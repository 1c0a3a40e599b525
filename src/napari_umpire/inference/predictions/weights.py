"""How much each of the K nearest references counts in a prediction."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from napari_umpire.errors import InputError

__all__ = ["WEIGHTINGS", "Weighting", "check_weighting", "weights"]

Weighting = Literal["softmax", "similarity"]
WEIGHTINGS: tuple[str, ...] = get_args(Weighting)


def check_weighting(kind: str) -> None:
    """Raise `InputError` where ``kind`` is not one of `WEIGHTINGS`."""
    if kind not in WEIGHTINGS:
        raise _unknown(kind)


def _unknown(kind: str) -> InputError:
    return InputError(
        "Unknown weighting of references", got=repr(kind), expected=" or ".join(WEIGHTINGS)
    )


def weights(similarity: np.ndarray, kind: Weighting, scale: float = 1.0) -> np.ndarray:
    """Turn similarities into weights.

    "similarity" is eq. 9 of UMPIRE, w_i = sim_i / sum_j sim_j. The paper does not say what happens
    to negative similarities: here they count as 0, and a row without a positive one is uniform.
    "softmax" is w_i = exp(s sim_i) / sum_j exp(s sim_j) at the temperature the model learned, the
    distribution that its contrastive loss was trained on.

    Parameters
    ----------
    similarity
        (n, k) cosine similarities.
    scale
        s, the inverse temperature exp(logit_scale); "similarity" does not use it.

    Returns
    -------
    (n, k) float32; rows sum to 1.

    Raises
    ------
    InputError
        For another `kind`, or a scale that is no positive number.
    """
    if not 0 < scale < np.inf:
        raise InputError("The scale of similarities is impossible", got=f"{scale:g}")
    sim = np.asarray(similarity, dtype=np.float64)
    if kind == "similarity":
        raw = np.maximum(sim, 0.0)
        raw[raw.sum(axis=1) == 0.0] = 1.0
    elif kind == "softmax":
        raw = np.exp(scale * (sim - sim.max(axis=1, keepdims=True)))
    else:
        raise _unknown(kind)
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
