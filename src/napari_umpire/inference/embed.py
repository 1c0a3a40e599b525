"""Features of all spots of a slide, batch by batch: with progress, Cancel and resume."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import within_memory
from napari_umpire.inference.devices import HalvingBatches, autocast
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from napari_umpire.inference.cache import CacheEntry

__all__ = ["compute_features"]

T = TypeVar("T")
_SETTINGS = "Check that the model's settings are those of its weights"


def compute_features(
    n: int,
    dim: int,
    batches: Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]],
    encode: Callable[[torch.Tensor], torch.Tensor],
    *,
    device: torch.device,
    bf16: bool = False,
    batch_size: int = 64,
    entry: CacheEntry | None = None,
    stage: str = "Embedding",
    name: Callable[[int], str] = str,
) -> Steps[np.ndarray]:
    """Encode ``n`` spots.

    Rows that the cache has are not computed again. Closing the generator stops the work at once
    and leaves the cache valid. The order and size of batches do not matter to the result, beyond
    the last bits of floating point.

    Parameters
    ----------
    n, dim
        Number of spots and length of a feature.
    batches
        Takes the rows that are wanted, (m,) int64, and yields (rows, inputs) that hold each once,
        in any order; inputs are arrays with one item per row.
    encode
        (b, ...) tensor on the device -> (b, dim) features.
    entry
        Where features are kept, if anywhere.
    name
        Row -> what a message calls that spot.

    Returns
    -------
    (n, dim) float32

    Raises
    ------
    InputError
        Where the device is too small for one spot, or a feature is not finite.
    """
    import torch

    def on_device(inputs: Any) -> np.ndarray:
        with torch.inference_mode(), autocast(device, bf16):
            out = encode(torch.from_numpy(np.ascontiguousarray(inputs)).to(device))
        return out.float().cpu().numpy()

    encoder = HalvingBatches(on_device, batch_size)
    with within_memory(f"{stage}: {n:,} spots do not fit into memory"):
        features = np.zeros((n, dim), np.float32)
    done = np.zeros(n, np.bool_)
    if entry is not None:
        done = entry.done.copy()
        features[done] = entry.read()[done]
    yield Progress(stage, int(done.sum()), n)
    if done.all():
        return features
    source = batches(np.flatnonzero(~done))
    proven = False
    try:
        for rows, inputs in _within_memory(source, batch_size):
            with nullcontext() if proven else _taking_input(stage):
                values = np.concatenate(encoder(inputs))
            proven = True
            if values.shape != (len(rows), dim):
                raise InputError(
                    f"{stage}: the encoder gives features of a wrong shape",
                    got=f"features of shape {values.shape}",
                    expected=(len(rows), dim),
                    fix=_SETTINGS,
                )
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if len(bad):
                raise InputError(
                    f"The encoder gave values that are not finite at {name(int(rows[bad[0]]))}",
                    fix="Check the model's weights, or compute without bfloat16",
                )
            features[rows] = values
            done[rows] = True
            if entry is not None:
                entry.write(rows, values)
            yield Progress(stage, int(done.sum()), n)
    finally:
        if entry is not None:
            entry.commit()
    if not done.all():
        raise RuntimeError(f"{int((~done).sum())} spots were left out by the reader of batches")
    return features


@contextmanager
def _taking_input(stage: str) -> Iterator[None]:
    """Say of the first batch that the network, which is built as settings say, cannot take it.

    What fails later, or on the GPU, is a fault of the program or the computer.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # layers trip over a wrong size each in its own way
        if "CUDA" in str(error):
            raise
        raise InputError(
            f"{stage}: the encoder cannot take its input", got=error, fix=_SETTINGS
        ) from error


def _within_memory(source: Iterator[T], batch_size: int) -> Iterator[T]:
    """The batches of ``source``, which makes each as a whole."""
    fix = "Choose a smaller batch size"
    while True:
        with within_memory(f"A batch of {batch_size:,} spots does not fit into memory", fix):
            try:
                batch = next(source)
            except StopIteration:
                return
        yield batch
