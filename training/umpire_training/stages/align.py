"""Alignment: a paired set in, a model folder out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.engine import Plan, fit, make_plan, ready_lightning
from umpire_training.run_folder import is_main_process, logger
from umpire_training.stages.build import build_model, choose_targets
from umpire_training.stages.card import make_card

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.models.umpire import Umpire
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import AlignSettings, OptimOptions, TrainerOptions
    from umpire_training.stages.align_data import PairRows

__all__ = ["align_model", "check_settings"]


def check_settings(settings: AlignSettings, *, pretrained_later: bool = False) -> None:
    """Refuse settings that contradict each other, before any work.

    Parameters
    ----------
    pretrained_later
        The gene encoder will be pre-trained before the alignment, as an evaluation does.
    """
    aug = settings.augment
    if (aug.dihedral or aug.stain > 0) and not settings.vision.train:
        raise InputError(
            "The patches are augmented but the image encoder is frozen",
            fix="Set vision.train to true, or augment.dihedral to false and augment.stain to 0",
        )
    if settings.gene.kind == "mlp" and not settings.gene.train:
        raise InputError(
            "An mlp gene encoder has no pre-training to freeze", fix="Set gene.train to true"
        )
    untrained = settings.gene.kind == "visiumformer" and settings.gene.pretrained is None
    if untrained and not settings.gene.train and not pretrained_later:
        raise InputError(
            "The gene encoder is frozen but not pre-trained",
            fix="Give gene.pretrained (a run folder of pretrain), or set gene.train to true",
        )
    if settings.gene.standardise and (settings.gene.train or settings.gene.kind == "mlp"):
        raise InputError(
            "gene.standardise uses the statistics of a frozen encoder's features",
            fix="Set gene.train to false, or gene.standardise to false",
        )
    contrast = settings.contrast
    if contrast.kind == "margin" and settings.target.kind == "soft":
        raise InputError(
            "A margin knows pairs and others, not soft targets",
            fix="Set target.kind to one-hot, or contrast.kind to symmetric",
        )
    if contrast.margin <= 0 or (contrast.chunk is not None and contrast.chunk < 1):
        raise InputError(
            "contrast.margin and contrast.chunk must be above 0",
            got=f"{contrast.margin:g} and {contrast.chunk}",
        )
    if settings.input_noise > 0 and settings.vision.train and not _two_phases(settings):
        raise InputError(
            "input_noise acts on the features of a frozen image encoder",
            fix="Set input_noise to 0, or vision.train to false",
        )


def align_model(
    pairs: PairedSet,
    settings: AlignSettings,
    *,
    folder: Path,
    model_folder: Path,
    seed: int,
    resume: bool = False,
    description: str = "",
) -> Path:
    """Align an image encoder and a gene encoder on ``pairs`` and write a model folder.

    With a trained image encoder and slide context there are two phases: the features of a spot in
    context depend on its whole slide, which is not in the batch while the encoder changes.

    Returns
    -------
    ``model_folder``.
    """
    ready_lightning()
    import torch

    from umpire_training.stages.align_data import PairRows

    check_settings(settings)
    if resume and model_folder.is_dir():
        return model_folder
    plan = make_plan(pairs.n_spots, settings.trainer, seed)
    data = PairRows(pairs)
    expression = [slide.expression() for slide in pairs.slides]
    choose_targets(data, expression, plan, settings)
    torch.manual_seed(seed)
    model = build_model(pairs, data, settings)
    _say(model, pairs, plan, settings)

    common: dict[str, Any] = {"settings": settings, "seed": seed, "resume": resume}
    if _two_phases(settings):
        first = _without_context(model)
        _fit(first, data, plan, settings.optim, settings.trainer, folder / "encoder", **common)
        _take_over(model, first)
        model.visual_backbone.requires_grad_(False)
        plan = make_plan(pairs.n_spots, settings.head_trainer, seed)
        _fit(model, data, plan, settings.head_optim, settings.head_trainer, folder, **common)
    else:
        _fit(model, data, plan, settings.optim, settings.trainer, folder, **common)
    if is_main_process():
        from napari_umpire.models.folder import save_model

        card = make_card(pairs, settings, seed, description)
        save_model(model_folder, model.eval(), pairs.vocabulary, card)
        logger.info("wrote the model %s", model_folder)
    return model_folder


def _two_phases(settings: AlignSettings) -> bool:
    context = settings.context
    return settings.vision.train and (context.neighbours > 0 or context.standardise)


def _without_context(model: Umpire) -> Umpire:
    """A copy of what is trained, whose projection takes the features of a lone patch."""
    from torch import nn

    from napari_umpire.models.context import ContextConfig

    lone = copy.deepcopy(model)
    lone.config = replace(model.config, context=ContextConfig())
    # The fixed part of an encoder would cost its time at every step and learn nothing.
    learned = _learned(lone)
    if learned is not lone.visual_backbone:
        lone.visual_backbone, lone.image_dim = learned, learned.num_features
    # The phase that follows z-scores the features over each slide; a batch stands in for it here.
    lone.visual_projection = nn.Sequential(
        nn.BatchNorm1d(lone.image_dim, affine=False),
        nn.Linear(lone.image_dim, model.config.dim),
    )
    return lone


def _take_over(model: Umpire, trained: Umpire) -> None:
    """Everything but the image projection, which sees other features from here on."""
    _learned(model).load_state_dict(trained.visual_backbone.state_dict())
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith("visual_")}
    model.load_state_dict({**model.state_dict(), **state})


def _learned(model: Umpire) -> Any:
    """The part of the image encoder that training changes; as a rule, all of it."""
    return getattr(model.visual_backbone, "learned", model.visual_backbone)


def _fit(
    model: Umpire,
    data: PairRows,
    plan: Plan,
    optim: OptimOptions,
    trainer: TrainerOptions,
    folder: Path,
    *,
    settings: AlignSettings,
    seed: int,
    resume: bool,
) -> None:
    """One phase: features of frozen encoders are computed once, then the rest is trained."""
    import torch

    from napari_umpire.inference.devices import pick_device
    from umpire_training.objectives.alignment import Alignment
    from umpire_training.stages.align_data import gene_features, image_features

    data.image = data.gene = None
    if settings.contrast.chunk is not None:
        _check_chunks(model)
    device = pick_device("cpu" if trainer.accelerator == "cpu" else "auto")
    if not _trains(model.visual_backbone):
        data.image = image_features(model, data.pairs, device)
    if not _trains(model.spot_backbone):
        data.gene = gene_features(model, data, device)
        if settings.gene.standardise:
            features = torch.from_numpy(data.gene[plan.train])
            model.set_gene_statistics(features.mean(dim=0), features.std(dim=0, correction=0))
    # The heads' start and, with it, the run must not depend on what was drawn before.
    torch.manual_seed(seed)
    n_rec = 0 if data.rec is None else len(data.rec.genes)
    module = Alignment(model.cpu(), settings, optim, plan.total_steps, n_rec=n_rec)
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


def _trains(part: Any) -> bool:
    return any(p.requires_grad for p in part.parameters())


def _check_chunks(model: Umpire) -> None:
    """Refuse chunks where a trained encoder looks at the whole batch at once."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, part in (("image", model.visual_backbone), ("gene", model.spot_backbone)):
        if _trains(part) and any(isinstance(m, _BatchNorm) for m in part.modules()):
            raise InputError(
                f"The {name} encoder normalises over the batch, so it cannot be cut into chunks",
                fix="Set contrast.chunk to null, or choose an encoder without batch norm",
            )


def _say(model: Umpire, pairs: PairedSet, plan: Plan, settings: AlignSettings) -> None:
    logger.info(
        "aligning on %d pairs of %d slides (%d held out), %d steps, %s targets; image encoder %s "
        "(%s), gene encoder %s (%s)",
        len(plan.train),
        len(pairs.slides),
        len(plan.held),
        plan.total_steps,
        settings.target.kind,
        settings.vision.name,
        "trained" if settings.vision.train else "frozen",
        settings.gene.kind,
        "trained" if settings.gene.train else "frozen",
    )
    if plan.total_steps and settings.trainer.batch_size > len(plan.train):
        logger.info("a batch holds all %d training spots", len(plan.train))
