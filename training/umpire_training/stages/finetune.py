"""Fine-tuning: a model folder and a paired set in, another model folder out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from umpire_training.engine.installed import ready_lightning
from umpire_training.engine.plan import TrainingPlan, make_plan
from umpire_training.run_folder import logger
from umpire_training.stages.build import choose_targets
from umpire_training.stages.card import finetune_card
from umpire_training.stages.finetune_checks import check_settings, require_pairs, require_trainable
from umpire_training.stages.pair import check_contrast, keep_model, trains
from umpire_training.stages.phases import sees_slide, train_pair
from umpire_training.stages.same_start import same_start

if TYPE_CHECKING:
    from pathlib import Path

    import scipy.sparse as sp

    from napari_umpire.models.folder import LoadedModel
    from napari_umpire.models.umpire import Umpire
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import FinetuneSettings
    from umpire_training.stages.align_data import PairRows

__all__ = ["finetune_model"]


def finetune_model(
    base: str | Path,
    pairs: PairedSet,
    settings: FinetuneSettings,
    *,
    folder: Path,
    model_folder: Path,
    seed: int,
    resume: bool = False,
    description: str = "",
) -> Path:
    """Train the model in the folder ``base`` further on ``pairs`` and write another model folder.

    A model that sees spots in the context of their slide is trained in two phases in full mode:
    see `phases`. Statistics by which a model z-scores its gene features stay as they are.

    Returns
    -------
    ``model_folder``.

    Raises
    ------
    InputError
        Where model, paired set and settings do not fit each other, or the checkpoints in
        ``folder`` are of another model or paired set.
    """
    ready_lightning()
    import torch

    from napari_umpire.models.folder import load_model_folder
    from umpire_training.stages.align_data import PairRows

    check_settings(settings)
    if resume and model_folder.is_dir():
        return model_folder
    loaded = load_model_folder(base)
    require_pairs(loaded, pairs)
    require_trainable(loaded.config, settings, str(base))
    plan = make_plan(pairs.n_spots, settings.trainer, seed)
    data = PairRows(pairs)
    expression = [slide.expression() for slide in pairs.slides]
    _read_panel(data, expression, plan, loaded)
    choose_targets(data, expression, plan, settings)
    start = {
        "model": (loaded.digest, f"model {loaded.path}"),
        "pairs": (pairs.digest, f"paired set {pairs.path}"),
    }
    same_start(folder, "finetune", start)
    torch.manual_seed(seed)
    model = _prepared(loaded.model, settings)
    two_phases = sees_slide(model.config.context) and trains(model.visual_backbone)
    check_contrast(settings, two_phases=two_phases)
    _say(model, loaded, pairs, plan, settings)

    train_pair(
        model,
        data,
        plan,
        settings,
        folder=folder,
        seed=seed,
        resume=resume,
        two_phases=two_phases,
        freeze=_heads_only,
        from_own=True,
    )
    card = finetune_card(loaded, pairs, settings, seed, description)
    keep_model(model_folder, model, loaded.vocabulary, card)
    return model_folder


def _heads_only(model: Umpire) -> None:
    model.set_trainable("heads")
    model.logit_scale.requires_grad_(True)


def _prepared(model: Umpire, settings: FinetuneSettings) -> Umpire:
    """The model with adapters where they are asked for, and only what is to be trained trainable.

    A new adapter starts at random: it is a fifth of the sum (`models.adapter`), and the length of
    an embedding is 1 in any case, so that the model starts close to what it was.
    """
    if settings.mode == "full":
        model.set_trainable("all")
        if not settings.train_gene:
            model.spot_backbone.requires_grad_(False)
        return model
    if not model.config.adapter:
        from napari_umpire.models.adapter import Adapter

        model.config = replace(model.config, adapter=True)
        model.adapter_spot = Adapter(model.config.dim)
        model.adapter_visual = Adapter(model.config.dim)
    model.set_trainable("heads")
    return model


def _read_panel(
    data: PairRows, expression: list[sp.csr_matrix], plan: TrainingPlan, loaded: LoadedModel
) -> None:
    """Give ``data`` the genes that the model's gene encoder reads, where it reads expression."""
    from umpire_training.stages.align_data import Columns

    of_panel = loaded.config.gene.of_panel
    if of_panel is None:
        return
    place = {gene: i for i, gene in enumerate(loaded.vocabulary.ids)}
    genes = np.array([place[gene] for gene in of_panel.panel])
    mean = loaded.model.spot_backbone.state_dict()["mean"].float().cpu().numpy()
    data.panel = Columns.of(expression, genes, data.by_slide(plan.train), data.measured, mean)


def _say(
    model: Umpire,
    loaded: LoadedModel,
    pairs: PairedSet,
    plan: TrainingPlan,
    settings: FinetuneSettings,
) -> None:
    logger.info(
        "fine-tuning %s (%s) on %d pairs of %d slides (%d held out), at most %d steps; "
        "%.2f M of %.2f M parameters are trained",
        loaded.path,
        settings.mode,
        len(plan.train),
        len(pairs.slides),
        len(plan.held),
        plan.total_steps,
        sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6,
        sum(p.numel() for p in model.parameters()) / 1e6,
    )
