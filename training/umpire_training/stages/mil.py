"""A slide-status head: bags of patients in, cross-validated scores and a head in the model out."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.files import replace_file
from umpire_training.engine.fit import fit
from umpire_training.engine.installed import ready_lightning
from umpire_training.run_folder import logger
from umpire_training.stages.mil_folds import bag_plan, deal_folds, scheme_words
from umpire_training.stages.mil_scores import auc, auc_interval, majority_f1, weighted_f1

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.models.abmil import Abmil
    from napari_umpire.models.status_config import AbmilConfig, StatusScores
    from umpire_training.corpus.patients import Patients
    from umpire_training.options.mil import MilSettings
    from umpire_training.stages.mil_bags import Bags

__all__ = ["abmil_config", "check_settings", "cross_validate", "farthest", "fit_head"]

_CLIP = 10.0
"""Bound of z-scores; of training tiles hardly any lies beyond it."""


def check_settings(settings: MilSettings) -> None:
    """Refuse settings that cannot be, before any work.

    Raises
    ------
    InputError
        For more than one device (a head is too small to share), or numbers out of range.
    """
    from napari_umpire.errors import InputError
    from napari_umpire.models.status_config import AbmilConfig, TileConfig
    from umpire_training.engine.launch import find_launch
    from umpire_training.engine.plan import make_plan
    from umpire_training.options.ranges import check_ranges

    check_ranges(settings)
    trainer = settings.trainer
    world = find_launch(trainer).world
    if world != 1 or trainer.strategy != "auto" or trainer.accumulate != 1:
        raise InputError(
            "A slide-status head is trained on one device",
            got=f"{world} processes, trainer.strategy {trainer.strategy}, "
            f"trainer.accumulate {trainer.accumulate}",
            fix="Leave trainer.devices, strategy and accumulate out, and torchrun and srun",
        )
    make_plan(1000, trainer, 0)  # its checks of numbers
    TileConfig(**asdict(settings.tiles))
    AbmilConfig(dim=1, n_classes=2, **asdict(settings.head))


def abmil_config(bags: Bags, patients: Patients, settings: MilSettings) -> AbmilConfig:
    """The shape of the head for these bags and classes."""
    from napari_umpire.models.status_config import AbmilConfig

    return AbmilConfig(
        dim=bags.dim,
        n_classes=len(patients.classes),
        clip=_CLIP if settings.tiles.standardise else None,
        **asdict(settings.head),
    )


def farthest(head: Abmil, bags: Bags) -> float | None:
    """See `StatusConfig.farthest`; None where the input is not z-scored."""
    import torch

    if head.config.clip is None:
        return None
    return max(head.distance(torch.from_numpy(bags.bag(i))) for i in range(len(bags)))


def fit_head(
    bags: Bags,
    codes: np.ndarray,
    rows: np.ndarray,
    shape: AbmilConfig,
    settings: MilSettings,
    *,
    folder: Path,
    seed: int,
    resume: bool,
) -> Abmil:
    """Train a head on some patients; it is left on the CPU, in evaluation mode.

    Parameters
    ----------
    codes
        (n_patients,) class of every patient; only those of ``rows`` are looked at.
    rows
        (m,) the patients to learn from, or to watch the loss on.
    folder
        Of this training: checkpoints, metrics.csv.
    """
    ready_lightning()
    import torch

    from napari_umpire.models.abmil import Abmil
    from umpire_training.objectives.bags import BagClassifier, BagRows

    plan, trainer = bag_plan(rows, codes, settings.trainer, seed)
    torch.manual_seed(seed)
    head = Abmil(shape)
    if settings.tiles.standardise:
        mean, std = bags.statistics(plan.train)
        head.set_statistics(torch.from_numpy(mean), torch.from_numpy(std))
    fit(
        BagClassifier(head, settings.optim),
        BagRows(bags, codes),
        plan,
        folder=folder,
        options=trainer,
        clip_norm=settings.optim.clip_norm,
        seed=seed,
        resume=resume,
    )
    return head.eval()


def cross_validate(
    bags: Bags,
    patients: Patients,
    folds: int,
    settings: MilSettings,
    *,
    folder: Path,
    seed: int,
    resume: bool,
) -> tuple[StatusScores, np.ndarray, np.ndarray]:
    """Score each patient by a head that has not seen the patient, then again on shuffled labels.

    Each fold that is done is kept in ``folder``, so that a killed run goes on from there.

    Returns
    -------
    The scores; (n_patients, n_classes) probabilities; (n_patients,) fold of each.
    """
    from napari_umpire.models.status_config import StatusScores

    codes, validation = patients.codes, settings.validation
    common: dict[str, Any] = {"seed": seed, "resume": resume}
    probability, fold = _left_out(
        bags, codes, patients, folds, settings, folder=folder / "folds", **common
    )
    said = [auc(codes[fold == f], probability[fold == f]) for f in range(folds)]
    pooled = auc(codes, probability)
    logger.info("left-out patients: AUC %s, F1 %.3f", pooled, weighted_f1(codes, probability))
    shuffled, short = [], settings
    if validation.permuted_epochs is not None and settings.trainer.epochs is not None:
        epochs = min(validation.permuted_epochs, settings.trainer.epochs)
        short = replace(settings, trainer=replace(settings.trainer, epochs=epochs))
    for p in range(validation.permutations):
        mixed = _shuffled(codes, np.random.default_rng([seed, 0x5ECE7, p]))
        out, _ = _left_out(
            bags, mixed, patients, folds, short, folder=folder / "permuted" / str(p), **common
        )
        shuffled.append((auc(mixed, out), weighted_f1(mixed, out)))
        logger.info("labels shuffled, %d: AUC %s, F1 %.3f", p + 1, *shuffled[-1])
    scores = StatusScores(
        patients=patients.counts,
        n_slides=sum(map(len, patients.slides)),
        n_tiles=bags.n_tiles,
        scheme=scheme_words(codes, folds, settings.trainer),
        auc=pooled,
        f1=weighted_f1(codes, probability),
        auc_interval=auc_interval(codes, probability, seed),
        auc_folds=() if folds == len(codes) else tuple(said),
        f1_folds=()
        if folds == len(codes)
        else tuple(weighted_f1(codes[fold == f], probability[fold == f]) for f in range(folds)),
        auc_permuted=tuple(a for a, _ in shuffled if a is not None),
        f1_permuted=tuple(f for _, f in shuffled),
        f1_majority=majority_f1(codes),
        permuted_epochs=short.trainer.epochs if shuffled else None,
    )
    return scores, probability, fold


def _shuffled(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The classes in another order; with few patients a shuffle often changes nothing."""
    mixed = rng.permutation(codes)
    while np.array_equal(mixed, codes):
        mixed = rng.permutation(codes)
    return mixed


def _left_out(
    bags: Bags,
    codes: np.ndarray,
    patients: Patients,
    folds: int,
    settings: MilSettings,
    *,
    folder: Path,
    seed: int,
    resume: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of each patient by the fold that left it out, and the folds."""
    shape = abmil_config(bags, patients, settings)
    fold = deal_folds(codes, folds, seed)
    probability = np.full((len(codes), len(patients.classes)), np.nan)
    for f in range(folds):
        held = np.flatnonzero(fold == f)
        kept = folder / f"fold_{f}.json"
        if not kept.is_file():
            head = fit_head(
                bags, codes, np.flatnonzero(fold != f), shape, settings,
                folder=folder / f"fold_{f}", seed=seed, resume=resume,
            )  # fmt: skip
            _keep(kept, {patients.names[i]: _ask(head, bags, int(i)) for i in held})
            # Weights of folds are of no use once their patients are scored.
            shutil.rmtree(folder / f"fold_{f}" / "checkpoints", ignore_errors=True)
            shutil.rmtree(folder / f"fold_{f}" / "tensorboard", ignore_errors=True)
        said = json.loads(kept.read_text(encoding="utf-8"))
        probability[held] = [said[patients.names[i]] for i in held]
    return probability, fold


def _ask(head: Abmil, bags: Bags, patient: int) -> list[float]:
    import torch

    with torch.inference_mode():
        logits = head(torch.from_numpy(bags.bag(patient))).logits
        return torch.softmax(logits.double(), dim=-1).tolist()


def _keep(path: Path, tree: dict[str, Any]) -> None:
    with replace_file(path) as written:
        written.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
