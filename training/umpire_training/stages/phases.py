"""The training of an aligned pair: in one phase, or the image encoder before the projection.

The features of a spot in context depend on its whole slide, which is not in the batch while the
encoder changes. So the encoder is trained on lone patches first, and the projection afterwards.
A decoder is treated as the projection is: in the first phase another one, for lone patches, trains
the encoder and is then forgotten; the model's own is trained in the second, on features in context.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from umpire_training.engine.plan import make_plan
from umpire_training.run_folder import is_main_process
from umpire_training.stages.pair import fit_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from napari_umpire.models.context import ContextConfig
    from napari_umpire.models.umpire import Umpire
    from umpire_training.engine.plan import TrainingPlan
    from umpire_training.options import (
        AlignSettings,
        ContextOptions,
        FinetuneSettings,
        OptimOptions,
        TrainerOptions,
    )
    from umpire_training.stages.align_data import PairRows

__all__ = ["learned_part", "lone_patches", "sees_slide", "take_over", "train_pair"]


def sees_slide(context: ContextConfig | ContextOptions) -> bool:
    """Whether image features in such a context depend on the slide around the patch."""
    return context.neighbours > 0 or context.standardise


def train_pair(
    model: Umpire,
    data: PairRows,
    plan: TrainingPlan,
    settings: AlignSettings | FinetuneSettings,
    *,
    folder: Path,
    seed: int,
    resume: bool,
    two_phases: bool,
    freeze: Callable[[Umpire], object],
    from_own: bool,
    temperature: float | None = None,
    statistics: bool = False,
) -> None:
    """Train ``model`` in one phase or in two, which have the same losses.

    Parameters
    ----------
    plan
        Of the only or the first phase; the second has ``settings.head_trainer``.
    freeze
        Leaves trainable what the second phase trains.
    from_own
        The first phase begins with the model's own image projection: see `lone_patches`.
    temperature, statistics
        Set at the start of each phase: see `fit_pair`.
    """

    def phase(
        part: Umpire, plan: TrainingPlan, optim: OptimOptions, trainer: TrainerOptions, to: Path
    ) -> None:
        fit_pair(
            part,
            data,
            plan,
            settings=settings,
            optim=optim,
            trainer=trainer,
            folder=to,
            seed=seed,
            resume=resume,
            temperature=temperature,
            statistics=statistics,
        )

    if not two_phases:
        phase(model, plan, settings.optim, settings.trainer, folder)
        return
    # What the second phase cannot do is said before the first, which may take days.
    second = make_plan(data.pairs.n_spots, settings.head_trainer, seed, "head_trainer")
    to = folder / "encoder"
    alone = partial(phase, plan=plan, optim=settings.optim, trainer=settings.trainer, to=to)
    _first_phase(model, alone, to, resume=resume, from_own=from_own)
    freeze(model)
    phase(model, second, settings.head_optim, settings.head_trainer, folder)


def _first_phase(
    model: Umpire, train: Callable[[Umpire], None], folder: Path, *, resume: bool, from_own: bool
) -> None:
    """Train the encoders of ``model`` on lone patches, and keep the result in ``folder``.

    A run that goes on in the second phase does not touch the first again: with early stopping,
    going on from its last checkpoint would take another round.
    """
    from safetensors.torch import load_file

    from napari_umpire.files import replace_file
    from napari_umpire.models.weight_files import write_tensors

    lone = lone_patches(model, from_own=from_own)
    kept = folder / "lone.safetensors"
    if resume and kept.is_file():
        lone.load_state_dict(load_file(kept))
    else:
        train(lone)
        if is_main_process():
            with replace_file(kept) as written:
                write_tensors(written, lone.state_dict())
    take_over(model, lone)


def lone_patches(model: Umpire, *, from_own: bool = False) -> Umpire:
    """A copy of what is trained, whose projection takes the features of a lone patch.

    Parameters
    ----------
    from_own
        The projection starts as the model's own is for a spot without neighbours, which stands in
        for them itself; else it starts afresh.
    """
    from torch import nn

    from napari_umpire.models.context import ContextConfig
    from napari_umpire.models.decoder import ExpressionDecoder

    lone = copy.deepcopy(model)
    lone.config = replace(model.config, context=ContextConfig())
    # The fixed part of an encoder would cost its time at every step and learn nothing.
    learned = learned_part(lone)
    if learned is not lone.visual_backbone:
        lone.visual_backbone, lone.image_dim = learned, learned.num_features
    # The phase that follows z-scores the features over each slide; a batch stands in for it here.
    z_score = model.config.context.standardise or not from_own
    if model.config.aligned:
        start = nn.Linear(lone.image_dim, model.config.dim)
        if from_own:
            _start_from(model, start)
        lone.visual_projection = nn.Sequential(_over_batch(lone, z_score), start)
    if model.config.decoder is not None:
        lone.decoder = ExpressionDecoder(model.config.decoder, lone.image_dim)
        lone.decoder.layers.insert(0, _over_batch(lone, z_score))
    return lone


def _over_batch(lone: Umpire, z_score: bool) -> nn.Module:
    from torch import nn

    return nn.BatchNorm1d(lone.image_dim, affine=False) if z_score else nn.Identity()


def _start_from(model: Umpire, start: nn.Linear) -> None:
    import torch

    own: Any = model.visual_projection
    with torch.no_grad():
        weight = own.weight.reshape(model.config.dim, -1, model.image_dim).sum(dim=1)
        start.weight.copy_(weight[:, -start.in_features :])
        start.bias.copy_(own.bias)


def take_over(model: Umpire, trained: Umpire) -> None:
    """Everything but image projection and decoder, which see other features from here on."""
    learned_part(model).load_state_dict(trained.visual_backbone.state_dict())
    other = ("visual_", "decoder.")
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith(other)}
    model.load_state_dict({**model.state_dict(), **state})


def learned_part(model: Umpire) -> Any:
    """The part of the image encoder that training changes; as a rule, all of it."""
    return getattr(model.visual_backbone, "learned", model.visual_backbone)
