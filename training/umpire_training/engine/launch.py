"""Which processes train together: what the options say, or what torchrun or SLURM has started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.options.ranges import check_ranges

if TYPE_CHECKING:
    from umpire_training.options import TrainerOptions

__all__ = ["Launch", "find_launch"]


@dataclass(frozen=True)
class Launch:
    """The processes of a training, one per device.

    Attributes
    ----------
    devices, nodes
        Processes on each computer, and computers.
    by
        "torchrun", "slurm", or "options": this program starts the others itself.
    """

    devices: int
    nodes: int
    by: str

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.devices * self.nodes

    def plugins(self) -> list[Any]:
        """Lightning's plugin where its own guess would be another."""
        from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment

        if self.by == "slurm":
            # Lightning would save in the middle of a round; --resume goes on from the end of one.
            return [SLURMEnvironment(auto_requeue=False)]
        if self.by == "options" and "SLURM_NTASKS" in os.environ:
            return [LightningEnvironment()]
        return []


def find_launch(options: TrainerOptions) -> Launch:
    """Look at the environment first, then at ``trainer.devices`` and ``trainer.num_nodes``.

    Raises
    ------
    InputError
        Where the options contradict how the processes were started, or SLURM was told to start
        several tasks and srun is missing.
    """
    check_ranges(options, "trainer")
    _check_devices(options)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = _number("LOCAL_WORLD_SIZE")
        found = Launch(local, _number("WORLD_SIZE") // local, "torchrun")
    elif "SLURM_NTASKS" in os.environ and not _interactive():
        found = _slurm()
        if found.by == "options":
            return _by_options(options)
    else:
        return _by_options(options)
    asked = options.devices
    if isinstance(asked, int) and asked > 1 and asked != found.devices:
        raise InputError(
            f"trainer.devices is not what {found.by} has started on each computer",
            got=asked,
            expected=found.devices,
            fix="Leave trainer.devices out",
        )
    return found


def _check_devices(options: TrainerOptions) -> None:
    if isinstance(options.devices, str) and options.devices != "auto":
        raise InputError(
            "trainer.devices is not a number of devices",
            got=options.devices,
            expected='a whole number or "auto"',
        )


def _by_options(options: TrainerOptions) -> Launch:
    devices = options.devices
    if isinstance(devices, str):
        devices = _gpus() if options.accelerator in ("auto", "gpu", "cuda") else 1
    return Launch(devices, options.num_nodes, "options")


def _gpus() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _slurm() -> Launch:
    tasks, nodes = _number("SLURM_NTASKS"), int(os.environ.get("SLURM_NNODES", "1"))
    # srun sets it; without srun one process would wait for the others for ever.
    if "SLURM_STEP_ID" not in os.environ:
        if tasks == 1:
            return Launch(1, 1, "options")
        raise InputError(
            f"This SLURM job has {tasks} tasks, but the program was started once",
            fix="Put srun before umpire-train",
        )
    each = os.environ.get("SLURM_NTASKS_PER_NODE", "1" if tasks == 1 else "")
    if not each.isdecimal() or int(each) * nodes != tasks:
        raise InputError(
            "SLURM's tasks are not spread evenly",
            got=f"{tasks} tasks on {nodes} nodes, --ntasks-per-node {each or 'not given'}",
            fix="Give sbatch --nodes and --ntasks-per-node, one task for each GPU",
        )
    return Launch(int(each), nodes, "slurm")


def _number(name: str) -> int:
    return int(os.environ[name])


def _interactive() -> bool:
    """A shell inside a job, in which commands are started one by one."""
    return os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
