"""Where a model computes, in which precision, and what happens when memory runs out there."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_umpire.errors import InputError
from napari_umpire.faults import is_out_of_memory, out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["HalvingBatches", "autocast", "pick_device", "uses_bf16"]

T = TypeVar("T")


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device called ``name``; "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises
    ------
    InputError
        Where this computer has no such device.
    """
    import torch

    if isinstance(name, torch.device):
        name = str(name)
    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(here[0])
    if name not in here:
        raise InputError(
            f"This computer has no device {name!r}",
            expected=", ".join(["auto", *here]),
            fix="Choose one of these, or install a torch that was built for the device",
        )
    return torch.device(name)


def uses_bf16(device: torch.device, bf16: bool | None = None) -> bool:
    """Whether to compute in bfloat16.

    By default only where CUDA does so in hardware. On a CPU it is a choice: some are several times
    faster with it, others slower, and embeddings then differ in the third digit.
    """
    import torch

    if bf16 is not None:
        return bf16
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    """Context in which torch computes in bfloat16 where that is safe, or as it is."""
    import torch

    if not bf16:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


class HalvingBatches(Generic[T]):
    """Apply a function to slices of a batch that fit the device.

    Starts with whole batches. When the device, or its host, runs out of memory the slice is halved,
    and stays so for what follows, down to single items.

    Attributes
    ----------
    size
        Items at once that are known, or assumed, to fit.
    """

    def __init__(self, function: Callable[[Any], T], size: int) -> None:
        if size < 1:
            raise InputError("The batch size must be at least 1", got=size)
        self._function, self.size = function, size

    def __call__(self, batch: Any) -> list[T]:
        """Results of the slices of ``batch`` (anything with a length and slices), in order.

        Raises
        ------
        InputError
            Where not even one item fits.
        """
        import torch

        out: list[T] = []
        start = 0
        while start < len(batch):
            try:
                out.append(self._function(batch[start : start + self.size]))
                start += self.size
                continue
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise out_of_memory(
                        "The device has too little memory for a single spot",
                        error,
                        fix='Close other programs that use it, or choose the device "cpu"',
                    ) from error
            # Out of the handler, so that the failed call's tensors are free by now.
            self.size = max(1, min(self.size, len(batch)) // 2)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return out
