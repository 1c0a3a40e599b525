"""Weights, gradients and optimiser state cut over the processes (FSDP), on GPUs or on a CPU.

Importing this module imports lightning: call `installed.ready_lightning` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

    from umpire_training.engine.launch import Launch

__all__ = ["load_whole", "make_strategy", "shard", "whole_state"]

_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-true")


def make_strategy(name: str, precision: str, launch: Launch) -> Any:
    """What Lightning calls a strategy: "fsdp" as it is done here, any other name as it is.

    Checkpoints hold the whole weights and optimiser state in one file, as without FSDP.

    Raises
    ------
    InputError
        Where FSDP cannot run as asked, or Lightning knows no such strategy.
    """
    from lightning.pytorch.strategies import StrategyRegistry
    from torch import distributed

    if name != "fsdp":
        known = StrategyRegistry.available_strategies()
        if name != "auto" and name not in known:
            usual = ("auto", "ddp", "ddp_find_unused_parameters_true", "fsdp")
            raise InputError("Unknown trainer.strategy", got=name, expected=", ".join(usual))
        return name
    if launch.world < 2:
        raise InputError(
            "trainer.strategy fsdp shares the weights among several devices, and there is one",
            fix="Set trainer.devices, start with torchrun or srun, or leave trainer.strategy out",
        )
    if not distributed.is_available():
        raise InputError(
            "trainer.strategy fsdp needs a build of torch with torch.distributed",
            fix="Set trainer.strategy to auto",
        )
    if precision not in _PRECISIONS:
        raise InputError(
            "trainer.strategy fsdp cannot compute in this trainer.precision",
            got=precision,
            expected=", ".join(_PRECISIONS),
        )
    return ModelParallelStrategy(
        data_parallel_size=launch.world, tensor_parallel_size=1, save_distributed_checkpoint=False
    )


def shard(module: LightningModule) -> None:
    """Cut the weights of ``module``; called in Lightning's ``configure_model``.

    Each transformer block is gathered when it is its turn and let go afterwards; the rest, such as
    embeddings and heads, is gathered for the whole step. Without FSDP nothing happens.
    """
    mesh = module.device_mesh
    if mesh is None:
        return
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    _widen_scalars(module)
    for block in _blocks(module):
        fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(module, mesh=mesh["data_parallel"])
    # Lightning calls these in place of forward.
    for name in ("training_step", "validation_step"):
        register_fsdp_forward_method(module, name)


def _blocks(module: nn.Module) -> list[nn.Module]:
    """Members of a list of several modules of one class that have parts of their own."""
    found = []
    for stack in module.modules():
        members = list(stack.children())
        if isinstance(stack, nn.ModuleList | nn.Sequential) and len(members) > 1:
            alike = len({type(member) for member in members}) == 1
            if alike and all(any(member.children()) for member in members):
                found += members
    return found


def _widen_scalars(module: nn.Module) -> None:
    """A parameter without a dimension, such as a temperature, cannot be cut; of length 1 it can."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            if value.ndim == 0:
                wide = nn.Parameter(value.detach().reshape(1), requires_grad=value.requires_grad)
                setattr(part, name, wide)


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with every cut tensor put together, on the CPU; all processes must call."""
    from torch.distributed.tensor import DTensor

    state = module.state_dict()
    return {
        key: (value.full_tensor() if isinstance(value, DTensor) else value).cpu()
        for key, value in state.items()
    }


def load_whole(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load weights of a training, cut or not, into ``module``."""
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    module.load_state_dict(
        {key: value.reshape(shapes.get(key, value.shape)) for key, value in state.items()}
    )
