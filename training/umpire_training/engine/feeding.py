"""Which rows each process takes, and how their batches are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umpire_training.engine.sampler import RoundSampler

if TYPE_CHECKING:
    import numpy as np

    from umpire_training.engine.plan import TrainingPlan
    from umpire_training.options import TrainerOptions

__all__ = ["make_loader", "make_samplers"]


def make_samplers(
    plan: TrainingPlan, options: TrainerOptions, seed: int, trainer: Any, lengths: np.ndarray | None
) -> tuple[RoundSampler, list[np.ndarray] | None]:
    """Batches of rows to learn from and to watch, of this process.

    Parameters
    ----------
    trainer
        Says which process this is, of how many.
    lengths
        (n_rows,) length of every row that the plan counts; None: steps take any rows.

    Returns
    -------
    What gives (batch_size,) int64 rows a batch, and a list of batches of equal length, (size,)
    int64 each; None where no row is held out.
    """
    rank, world = trainer.global_rank, trainer.world_size
    train = RoundSampler(
        plan.train,
        options.batch_size,
        round_steps=plan.round_steps,
        total_steps=plan.total_steps,
        seed=seed,
        accumulate=options.accumulate,
        lengths=None if lengths is None else lengths[plan.train],
        rank=rank,
        world=world,
    )
    if not len(plan.held):
        return train, None
    # Equal batches, equally many for every process: the mean over processes is then the mean over
    # rows. Where there are too few rows each process looks at all of them.
    size = min(options.batch_size, len(plan.held) // world)
    if not size:
        return train, [plan.held]
    pieces = world * (len(plan.held) // (size * world))
    held = plan.held[: pieces * size].reshape(pieces, size)
    return train, list(held[rank::world])


def make_loader(data: Any, sampler: Any, options: TrainerOptions, trainer: Any) -> Any:
    """The loader of the batches that ``sampler`` names; None where there are none."""
    from torch.utils.data import DataLoader

    if sampler is None:
        return None
    # Processes of the loader read ahead themselves.
    if not options.workers and hasattr(data, "ahead"):
        sampler = data.ahead(sampler)
    # batch_size None: the sampler gives whole batches, the data set takes whole batches.
    return DataLoader(
        data,
        batch_size=None,
        sampler=sampler,
        num_workers=options.workers,
        pin_memory=trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
    )
