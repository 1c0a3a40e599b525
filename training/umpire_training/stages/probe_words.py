"""How a probe was trained and tested, in sentences."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from napari_umpire.errors import UmpireWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.stages.probe_data import ProbeData
    from umpire_training.verbs.probe import Options

__all__ = ["known_sections", "protocol"]


def protocol(
    data: ProbeData, options: Options, n_pretrained: int, in_reference: Sequence[str] = ()
) -> list[str]:
    """The lines under a table.

    Parameters
    ----------
    n_pretrained
        Sections that encoders of single folds were pre-trained on, before any is left out.
    in_reference
        Names of sections that the reference of the model names too.
    """
    counts = [f"{(data.codes == i).sum():,} {name}" for i, name in enumerate(data.classes)]
    names = ", ".join(s.name for s in data.sections)
    spots = (
        f"{len(data.codes):,} labelled spots of {len(data.sections)} sections ({names}) with at "
        f"least {options.qc.min_genes} detected genes: {', '.join(counts)}."
    )
    scores = (
        "Balanced accuracy is the mean recall over the classes that a fold holds out; weighted F1 "
        "weighs each class by its spots. ± is the standard deviation over folds; pooled: all "
        "held-out spots at once."
    )
    return [
        spots,
        data.folds.words,
        _encoder(options, n_pretrained, in_reference),
        _fit(data, options),
        scores,
        *_controls(data, options),
        *data.notes,
    ]


def known_sections(model: str, data: ProbeData) -> list[str]:
    """Names of sections that are in the model's own reference, by name; warns of them.

    Raises
    ------
    InputError
        The reference is damaged.
    """
    from pathlib import Path

    from napari_umpire.inference.references.format import read_info

    folder = Path(model).expanduser() / "reference"
    if not folder.is_dir():
        return []
    names = {slide.name for slide in read_info(folder).slides}
    known = [section.name for section in data.sections if section.name in names]
    if known:
        warnings.warn(
            f"The model's reference has slides of these names: {', '.join(known)}. What it was "
            "made from, the model has as a rule seen: the scores are then no test of new slides.",
            UmpireWarning,
            stacklevel=2,
        )
    return known


def _encoder(options: Options, n_pretrained: int, in_reference: Sequence[str]) -> str:
    before = "before the projection"
    if options.model is not None:
        seen = (
            "Whether the model has seen these sections, without labels, is not known to the "
            "program."
        )
        if in_reference:
            seen = (
                f"**The model's reference has slides of the names {', '.join(in_reference)}: it "
                "has as a rule seen them, so that the scores are no test of new slides.**"
            )
        return f"Features of the model's encoders {before}. {seen}"
    if options.encoder is not None:
        seen = (
            "It may have seen counts of held-out sections, without labels."
            if options.allow_seen
            else "By content, none of the sections is among those that it was pre-trained on."
        )
        return f"Features of a pre-trained gene encoder {before}. {seen}"
    unit = options.split.group
    shape, trainer = options.pretrain.encoder, options.pretrain.trainer
    length = f"{trainer.epochs} epochs"
    if trainer.max_steps is not None:
        length = f"{trainer.max_steps} steps"
    return (
        f"Features of a gene encoder (Visiumformer, {shape.layers} layers of width {shape.dim}, "
        f"levels {', '.join(map(str, options.levels))}), pre-trained for each fold ({length}, "
        f"batches of {trainer.batch_size}) on the counts of {n_pretrained} sections but those of "
        f"the held-out {unit}, which also choose its vocabulary; that no held-out spot is among "
        "them was checked by content."
    )


def _fit(data: ProbeData, options: Options) -> str:
    fit, said = options.fit, []
    if "adam" in fit.kinds:
        stop = (
            f", stopped when the loss of {fit.val_fraction:.0%} of them, drawn at random, has not "
            f"fallen for {fit.patience} epochs"
            if fit.patience is not None
            else ""
        )
        said.append(
            f"Adam: one linear layer, learning rate {fit.lr:g}, batches of {fit.batch_size}, up to "
            f"{fit.epochs} epochs over the training spots{stop}."
        )
    beside = options.controls.expression_genes or data.yx_um is not None
    if "logistic" in fit.kinds or beside:
        said.append(f"Logistic: scikit-learn's, C = {fit.c:g}.")
    weighing = "class" if fit.balanced else "spot"
    said.append(f"Inputs are standardised over the training spots; each {weighing} weighs the same")
    return " ".join(said) + " in the loss."


def _controls(data: ProbeData, options: Options) -> list[str]:
    controls, said = options.controls, []
    if controls.untrained:
        said.append("Untrained: the same encoder with random weights.")
    if controls.expression_genes or controls.mlp_genes:
        said.append(
            f"Expression: log1p CP10k of the genes of the highest variance over each fold's "
            f"training spots, among the {data.expression.shape[1]:,} that all sections measured."
        )
    if controls.mlp_genes:
        said.append("GeneMLP is trained on the labels, as the linear layer is.")
    if data.yx_um is not None:
        said.append("Position only: logistic regression on y, x and their products up to cubes.")
    if controls.permutations:
        said.append(
            f"Shuffled labels: the first row learned from labels exchanged within each section, "
            f"mean of {controls.permutations}."
        )
    return said
