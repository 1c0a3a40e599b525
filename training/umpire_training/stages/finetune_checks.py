"""What a fine-tuning refuses before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.options.ranges import check_ranges
from umpire_training.stages.pair import check_contrast
from umpire_training.stages.phases import sees_slide

if TYPE_CHECKING:
    from napari_umpire.models.folder import LoadedModel
    from napari_umpire.models.umpire import UmpireConfig
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import FinetuneSettings

__all__ = ["check_settings", "require_pairs", "require_trainable"]


def check_settings(settings: FinetuneSettings) -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    InputError
        One sentence about the first contradiction.
    """
    check_ranges(settings)
    adapter = settings.mode == "adapter"
    aug, contrast = settings.augment, settings.contrast
    if adapter and (aug.dihedral or aug.stain > 0):
        raise InputError(
            "The patches are augmented but the image encoder is frozen",
            fix="Set mode to full, or augment.dihedral to false and augment.stain to 0",
        )
    if contrast.weight <= 0:
        raise InputError("A fine-tuning needs contrast.weight above 0", got=contrast.weight)
    # Whether there is a second phase depends on the model: see `finetune_model`.
    check_contrast(settings, two_phases=False)


def require_pairs(loaded: LoadedModel, pairs: PairedSet) -> None:
    """Refuse a paired set that was not prepared for the model.

    Raises
    ------
    InputError
        Naming everything that differs, and the options of `prepare` that mend it.
    """
    config, facts = loaded.config, pairs.facts
    patches, tokens = facts["patches"], facts["tokens"]
    vision = config.vision
    wanted = {
        "genes": (loaded.vocabulary.digest[:12], pairs.vocabulary.digest[:12]),
        "patches.size_px": (vision.size_px, patches["size_px"]),
        "patches.field_um": (vision.field_um, patches["field_um"]),
        "patches.white_balance": (vision.white_balance, patches["white_balance"]),
    }
    if config.gene.of_panel is None:
        wanted["tokens.length"] = (config.tokens.length, tokens["length"])
        wanted["tokens.rounding"] = (config.tokens.rounding, tokens["rounding"])
    wrong = {name: pair for name, pair in wanted.items() if pair[0] != pair[1]}
    if not wrong:
        return
    options = [f"--vocabulary.path {loaded.path}"] + [
        f"--{name} {str(pair[0]).lower()}" for name, pair in wanted.items() if name != "genes"
    ]
    raise InputError(
        f"The paired set {pairs.path} was not prepared for the model {loaded.path}",
        got=", ".join(f"{name} {pair[1]}" for name, pair in wrong.items()),
        expected=", ".join(f"{name} {pair[0]}" for name, pair in wrong.items()),
        fix=f"Prepare it again with {' '.join(options)}",
    )


def require_trainable(config: UmpireConfig, settings: FinetuneSettings, where: str) -> None:
    """Refuse a model that cannot be trained as ``settings`` say.

    Raises
    ------
    InputError
        A model without embeddings, or one of which a fixed part would no longer fit what is
        trained.
    """
    if not config.aligned:
        raise InputError(
            f"The model {where} was trained by reconstruction alone: it has no embeddings to align",
            fix="Train it again with align",
        )
    if settings.mode == "adapter":
        return
    if config.gene.standardise and settings.train_gene:
        raise InputError(
            f"The model {where} z-scores the gene features by stored statistics, which no longer "
            "hold once its gene encoder is trained",
            fix="Set train_gene to false, or mode to adapter",
        )
    if config.decoder is not None:
        raise InputError(
            f"The decoder of the model {where} reads features that a full fine-tuning changes",
            fix="Set mode to adapter, or train again with align",
        )
    if settings.input_noise > 0 and not sees_slide(config.context):
        raise InputError(
            "input_noise acts on the features of a frozen image encoder",
            fix="Set input_noise to 0, or mode to adapter",
        )
