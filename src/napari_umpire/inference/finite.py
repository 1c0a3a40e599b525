"""Nothing that is not a number leaves the place where it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_embeddings", "check_finite"]

_FIX = "Check the model's weights, or compute without bfloat16"


def check_finite(what: str, *values: np.ndarray | float) -> None:
    """Refuse a result with a value that is not finite.

    Parameters
    ----------
    what
        What the result is, and of which slide.

    Raises
    ------
    InputError
        Saying how many values are not.
    """
    for value in values:
        array = np.asarray(value)
        # A minimum and a maximum need no array beside a large one, and NaN is in both.
        if array.size and not np.isfinite([array.min(), array.max()]).all():
            raise InputError(
                f"{what} holds values that are not finite",
                got=f"{int((~np.isfinite(array)).sum()):,} of {array.size:,}",
                expected="numbers",
                fix=_FIX,
            )


def check_embeddings(values: np.ndarray, spots: pd.Index, where: str) -> np.ndarray:
    """Refuse embeddings without a direction, which are similar to nothing or to all alike.

    Parameters
    ----------
    values
        (n, dim) float32.
    spots
        Their n names.
    where
        Name of the slide.

    Returns
    -------
    ``values``, whose rows all have length 1.

    Raises
    ------
    InputError
        Naming the first spot without.
    """
    length = np.sqrt(np.einsum("nd,nd->n", values, values))
    bad = np.flatnonzero(~(np.abs(length - 1.0) < 1e-3))
    if len(bad):
        raise InputError(
            f"The model has no embedding of {len(bad):,} of {len(values):,} spots of {where}",
            got=f"length {length[bad[0]]:g} at spot {spots[bad[0]]}",
            expected="length 1",
            fix=_FIX,
        )
    return values
