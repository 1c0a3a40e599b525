"""Alignment: a paired set in, a model folder out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.engine.installed import ready_lightning
from umpire_training.engine.plan import TrainingPlan, check_numbers, make_plan
from umpire_training.options.ranges import check_ranges
from umpire_training.run_folder import logger
from umpire_training.stages.build import build_model, choose_panel, choose_targets
from umpire_training.stages.card import make_card
from umpire_training.stages.pair import check_contrast, keep_model
from umpire_training.stages.phases import sees_slide, train_pair
from umpire_training.stages.pretrain import GeneEncoder
from umpire_training.stages.same_start import same_start

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.models.umpire import Umpire
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import AlignSettings

__all__ = ["align_model", "check_settings"]


def check_settings(settings: AlignSettings, *, pretrained_later: bool = False) -> None:
    """Refuse settings that contradict each other, before any work.

    Parameters
    ----------
    pretrained_later
        The gene encoder will be pre-trained before the alignment, as an evaluation does.

    Raises
    ------
    InputError
        One sentence about the first contradiction.
    """
    check_ranges(settings)
    if _two_phases(settings):
        check_numbers(settings.head_trainer, "head_trainer")
    aug = settings.augment
    if (aug.dihedral or aug.stain > 0) and not settings.vision.train:
        raise InputError(
            "The patches are augmented but the image encoder is frozen",
            fix="Set vision.train to true, or augment.dihedral to false and augment.stain to 0",
        )
    _check_parts(settings)
    if settings.contrast.weight > 0:
        _check_gene(settings, pretrained_later)
    check_contrast(settings, two_phases=_two_phases(settings))
    if settings.input_noise > 0 and settings.vision.train and not _two_phases(settings):
        raise InputError(
            "input_noise acts on the features of a frozen image encoder",
            fix="Set input_noise to 0, or vision.train to false",
        )


def _check_parts(settings: AlignSettings) -> None:
    contrast, rec = settings.contrast, settings.rec
    if max(contrast.weight, rec.weight) == 0:
        raise InputError(
            "There is no loss to train with",
            got=f"contrast.weight {contrast.weight:g}, rec.weight {rec.weight:g}",
            expected="one of them above 0",
        )


def _check_gene(settings: AlignSettings, pretrained_later: bool) -> None:
    of_panel = settings.gene.kind != "visiumformer"
    if of_panel and not (settings.gene.train and settings.gene.pretrained is None):
        raise InputError(
            f"A gene encoder of kind {settings.gene.kind} has no pre-training to freeze or to "
            "start from",
            fix="Set gene.train to true and gene.pretrained to null",
        )
    if of_panel and settings.gene.shape.pooling == "published":
        raise InputError(
            'The pooling "published" leaves out the first ranks, and a panel has none',
            fix="Leave out gene.shape.pooling, or set gene.kind to visiumformer",
        )
    untrained = settings.gene.kind == "visiumformer" and settings.gene.pretrained is None
    if untrained and not settings.gene.train and not pretrained_later:
        raise InputError(
            "The gene encoder is frozen but not pre-trained",
            fix="Give gene.pretrained (a run folder of pretrain), or set gene.train to true",
        )
    if settings.gene.standardise and (settings.gene.train or of_panel):
        raise InputError(
            "gene.standardise uses the statistics of a frozen encoder's features",
            fix="Set gene.train to false, or gene.standardise to false",
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

    With a trained image encoder and slide context there are two phases: see `phases`. With
    contrast.weight 0 there is no alignment, only a reconstruction (UMPIRE-REC).

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
    choose_panel(data, expression, plan, settings)
    choose_targets(data, expression, plan, settings)
    torch.manual_seed(seed)
    model = build_model(pairs, data, settings)
    start = {"pairs": (pairs.digest, f"paired set {pairs.path}")}
    began = None
    if model.config.aligned and settings.gene.pretrained is not None:
        began = GeneEncoder.open(settings.gene.pretrained).digest
        start["gene"] = (began, f"gene encoder {settings.gene.pretrained}")
    same_start(folder, "align", start)
    _say(model, pairs, plan, settings)

    train_pair(
        model,
        data,
        plan,
        settings,
        folder=folder,
        seed=seed,
        resume=resume,
        two_phases=_two_phases(settings),
        freeze=lambda pair: pair.visual_backbone.requires_grad_(False),
        from_own=False,
        temperature=settings.temperature,
        statistics=settings.gene.standardise,
    )
    card = make_card(pairs, settings, seed, description, gene_digest=began)
    keep_model(model_folder, model, pairs.vocabulary, card)
    return model_folder


def _two_phases(settings: AlignSettings) -> bool:
    return settings.vision.train and sees_slide(settings.context)


def _say(model: Umpire, pairs: PairedSet, plan: TrainingPlan, settings: AlignSettings) -> None:
    logger.info(
        "%s on %d pairs of %d slides (%d held out), %d steps; image encoder %s (%s)",
        "aligning" if model.config.aligned else "reconstructing",
        len(plan.train),
        len(pairs.slides),
        len(plan.held),
        plan.total_steps,
        settings.vision.name,
        "trained" if settings.vision.train else "frozen",
    )
    if model.config.aligned:
        logger.info(
            "%s targets; gene encoder %s (%s)",
            settings.target.kind,
            settings.gene.kind,
            "trained" if settings.gene.train else "frozen",
        )
    if model.config.decoder is not None:
        logger.info("reconstructing %d genes", len(model.config.decoder.genes))
    if plan.total_steps and settings.trainer.batch_size > len(plan.train):
        logger.info("a batch holds all %d training spots", len(plan.train))
