"""One phase of the training of an aligned pair, as alignment and fine-tuning do it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.engine.fit import fit
from umpire_training.run_folder import is_main_process, logger

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.models.umpire import Umpire
    from umpire_training.engine.plan import TrainingPlan
    from umpire_training.options import (
        AlignSettings,
        FinetuneSettings,
        OptimOptions,
        TrainerOptions,
    )
    from umpire_training.stages.align_data import PairRows

__all__ = ["check_contrast", "fit_pair", "keep_model", "trains"]


def check_contrast(settings: AlignSettings | FinetuneSettings, *, two_phases: bool) -> None:
    """Refuse settings of the contrastive loss that contradict each other; none where it is off.

    Parameters
    ----------
    two_phases
        Whether ``settings.head_trainer`` trains a second phase.

    Raises
    ------
    InputError
        One sentence about the first contradiction.
    """
    contrast = settings.contrast
    if contrast.weight == 0:
        return
    if contrast.kind == "margin" and settings.target.kind == "soft":
        raise InputError(
            "A margin knows pairs and others, not soft targets",
            fix="Set target.kind to one-hot, or contrast.kind to symmetric",
        )
    trainers = {"trainer": settings.trainer}
    if two_phases:
        trainers["head_trainer"] = settings.head_trainer
    for name, trainer in trainers.items():
        if trainer.batch_size == 1 and not contrast.across_ranks:
            raise InputError(
                "A spot can be told from the others of its batch only, and a batch of 1 has none",
                got=f"{name}.batch_size 1",
                expected="at least 2",
            )
        if trainer.accumulate != 1:
            raise InputError(
                f"The candidates of the contrastive loss are one batch, which {name}.accumulate "
                "would make small",
                fix=f"Raise {name}.batch_size, and set contrast.chunk so that it fits the memory",
            )


def fit_pair(
    model: Umpire,
    data: PairRows,
    plan: TrainingPlan,
    *,
    settings: AlignSettings | FinetuneSettings,
    optim: OptimOptions,
    trainer: TrainerOptions,
    folder: Path,
    seed: int,
    resume: bool,
    temperature: float | None = None,
    statistics: bool = False,
) -> None:
    """Compute the features of frozen encoders once, then train the rest of ``model``.

    Parameters
    ----------
    temperature
        Of the contrastive loss at the start; None: the model's own.
    statistics
        Z-score the gene features by the training spots of ``plan``; False leaves the model's own
        statistics alone. For a model that standardises the features of a frozen gene encoder.
    """
    import torch

    from napari_umpire.inference.devices import pick_device
    from umpire_training.objectives.alignment import Alignment
    from umpire_training.stages.frozen_features import gene_features, image_features

    if temperature is not None and model.config.aligned:
        with torch.no_grad():
            model.logit_scale.fill_(math.log(temperature))
    data.image = data.gene = None
    if settings.contrast.chunk is not None:
        _check_chunks(model)
    device = pick_device("cpu" if trainer.accelerator == "cpu" else "auto")
    if not trains(model.visual_backbone):
        data.image = image_features(model, data.pairs, device)
    data.reads_genes = settings.contrast.weight > 0
    if data.reads_genes and not trains(model.spot_backbone):
        data.gene = gene_features(model, data, device)
        if statistics:
            features = torch.from_numpy(data.gene[plan.train])
            model.set_gene_statistics(features.mean(dim=0), features.std(dim=0, correction=0))
    # The heads' start and, with it, the run must not depend on what was drawn before.
    torch.manual_seed(seed)
    module = Alignment(model.cpu(), settings, optim, plan.total_steps)
    fit(
        module,
        data,
        plan,
        folder=folder,
        options=trainer,
        clip_norm=optim.clip_norm,
        seed=seed,
        resume=resume,
    )


def keep_model(
    folder: Path, model: Umpire, vocabulary: GeneVocabulary, card: dict[str, Any]
) -> None:
    """Write the trained model, where this process writes."""
    if is_main_process():
        from napari_umpire.models.folder import save_model

        save_model(folder, model.eval(), vocabulary, card)
        logger.info("wrote the model %s", folder)


def trains(part: Any) -> bool:
    """Whether anything in the module ``part`` is trained."""
    return any(p.requires_grad for p in part.parameters())


def _check_chunks(model: Umpire) -> None:
    """Refuse chunks where a trained encoder looks at the whole batch at once."""
    from torch.nn.modules.batchnorm import _BatchNorm

    from umpire_training.objectives.alignment import encoders_of

    for name, part in zip(("image", "gene"), encoders_of(model), strict=False):
        if trains(part) and any(isinstance(m, _BatchNorm) for m in part.modules()):
            raise InputError(
                f"The {name} encoder normalises over the batch, so it cannot be cut into chunks",
                fix="Set contrast.chunk to null, or choose an encoder without batch norm",
            )
