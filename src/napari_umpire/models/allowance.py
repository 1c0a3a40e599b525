"""What a model may take while it is built, measured by the weights that it is built for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Allowance"]

# A constructor makes a few tensors for each that is kept, and tables that are not kept at all.
_TENSORS_EACH, _TENSORS_MORE = 20, 20_000
_BYTES_EACH, _BYTES_MORE = 8, 1 << 30


class Allowance(TorchDispatchMode):
    """Stops a constructor that makes far more than the weights hold, before memory is taken.

    A configuration of a few bytes may ask for ten million layers, or one of a million million.

    Parameters
    ----------
    n_tensors, n_bytes
        Of the weights.
    where
        Of the configuration.

    Raises
    ------
    InputError
        Inside the context, as soon as more is asked for than such weights can fill.
    """

    def __init__(self, n_tensors: int, n_bytes: int, where: str) -> None:
        super().__init__()
        self._where = where
        self._tensors = _TENSORS_EACH * n_tensors + _TENSORS_MORE
        self._bytes = _BYTES_EACH * n_bytes + _BYTES_MORE
        self._weights = f"weights of {n_tensors:,} tensors and {n_bytes / 1e6:,.1f} MB"

    @property
    def is_spent(self) -> bool:
        """Whether more was asked for than there is."""
        return self._tensors < 0 or self._bytes < 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if not any(isinstance(value, Tensor) for value in args):  # nothing before: a new tensor
            self._tensors -= 1
            self._bytes -= 4 * _numbers(args)
        if self.is_spent:
            raise InputError(
                f"{self._where} asks for a model far larger than its weights",
                got=self._weights,
                expected="the settings of the model that the weights are of",
                fix="Copy or download the model again",
            )
        return func(*args, **(kwargs or {}))


def _numbers(args: tuple[Any, ...]) -> int:
    """How many numbers a new tensor has: its shape, or of a range its end."""
    for value in args:
        if isinstance(value, (list, tuple)) and all(isinstance(side, int) for side in value):
            return math.prod(value)
    return max((abs(int(v)) for v in args if isinstance(v, (int, float))), default=0)
