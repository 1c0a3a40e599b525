"""A published rank transformer by its keys: Nicheformer, or a Visiumformer on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.pickles import read_state_dict
from napari_umpire.models.visiumformer import (
    UNUSED_PUBLISHED_KEYS,
    Visiumformer,
    VisiumformerConfig,
)
from napari_umpire.models.weight_files import check_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["RankEncoder", "fill_strictly", "former_config", "read_rank_encoder"]

_HEAD_DIM = 32
_EMBEDDINGS, _LAYERS = "embeddings.weight", "encoder.layers."
_NEEDED = (
    _EMBEDDINGS, "positional_embedding.weight", "classifier_head.weight",
    _LAYERS + "0.linear1.weight",
)  # fmt: skip


@dataclass(frozen=True)
class RankEncoder:
    """A gene encoder out of a checkpoint.

    ``unused``: keys that the authors' model has but never uses. ``left_out``: keys that have no
    place in ours.
    """

    module: Visiumformer
    unused: tuple[str, ...]
    left_out: tuple[str, ...]


def read_rank_encoder(
    path: str | Path,
    *,
    context_tokens: tuple[int, ...] = (),
    pooling: Literal["masked_mean", "published"] = "published",
) -> RankEncoder:
    """Read a Lightning or torch checkpoint, a pickle of tensors, or safetensors.

    Sizes are read from the tensors; a prefix that all keys of the encoder share ("model.",
    "backbone.", "spot_backbone.") is taken off. The two models have the same tensors: nothing in
    the file tells whether context tokens belong before the genes.

    Parameters
    ----------
    context_tokens
        Of Nicheformer, from `nicheformer.context_tokens`; none for Visiumformer.

    Raises
    ------
    InputError
        Where the file holds no such encoder, lacks a tensor, or holds one of another shape.
    """
    state = read_state_dict(path)
    prefix = _prefix(state, str(path))
    inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    config = former_config(inside, str(path), pooling=pooling, context_tokens=context_tokens)
    module = Visiumformer(config)
    unused = tuple(prefix + k for k in inside if k in UNUSED_PUBLISHED_KEYS)
    outside = [k for k in state if not k.startswith(prefix)]
    strange = fill_strictly(
        module,
        {k: v for k, v in inside.items() if k not in UNUSED_PUBLISHED_KEYS},
        f"{path} does not hold a whole gene encoder",
    )
    return RankEncoder(module, unused, tuple(sorted([*outside, *(prefix + k for k in strange)])))


def former_config(
    state: Mapping[str, Tensor],
    where: str,
    *,
    pooling: Literal["masked_mean", "published"],
    context_tokens: tuple[int, ...] = (),
) -> VisiumformerConfig:
    """Sizes of a published encoder, from the shapes of its tensors; heads are 32 wide."""
    missing = [key for key in _NEEDED if key not in state]
    if missing:
        raise InputError(f"{where} is not a published gene encoder", got=f"no {missing[0]}")
    with reading(f"{where} is not a published gene encoder", fix=None):
        length, dim = state[_NEEDED[1]].shape
        n_tokens, feedforward = state[_NEEDED[2]].shape[0], state[_NEEDED[3]].shape[0]
    return VisiumformerConfig(
        dim=dim,
        heads=max(1, dim // _HEAD_DIM),
        feedforward=feedforward,
        layers=len({k.split(".")[2] for k in state if k.startswith(_LAYERS)}),
        n_tokens=n_tokens,
        length=length,
        pooling=pooling,
        context_tokens=context_tokens,
    )


def fill_strictly(module: nn.Module, state: Mapping[str, Tensor], problem: str) -> list[str]:
    """Load ``state`` into ``module``, all of whose tensors it must have; returns what is over.

    Raises
    ------
    InputError
        ``problem``, with the tensors that are missing, have another shape or are not finite.
    """
    wanted = module.state_dict()
    wrong = [
        f"{k} is missing" if k not in state
        else f"{k} has shape {tuple(state[k].shape)} instead of {tuple(v.shape)}"
        for k, v in wanted.items()
        if k not in state or state[k].shape != v.shape
    ]  # fmt: skip
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InputError(problem, got="; ".join(wrong[:5]) + more)
    sound = {k: check_tensor(k, state[k], v.dtype, problem) for k, v in wanted.items()}
    module.load_state_dict(sound)
    return sorted(set(state) - set(wanted))


def _prefix(state: Mapping[str, Tensor], where: str) -> str:
    found = [
        k.removesuffix(_EMBEDDINGS)
        for k in state
        if k.endswith(_EMBEDDINGS) and k.removesuffix(_EMBEDDINGS) + _NEEDED[3] in state
    ]
    if len(found) != 1:
        raise InputError(
            f"{where} is not a checkpoint of a Nicheformer or Visiumformer",
            got=f"keys such as {', '.join(sorted(state)[:3])}"
            if not found
            else f"{len(found)} encoders, {', '.join(found)}",
            expected=f"one tensor {_EMBEDDINGS} beside {_LAYERS}0, 1, ...",
        )
    return found[0]
