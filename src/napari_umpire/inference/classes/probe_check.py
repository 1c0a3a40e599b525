"""Training a probe, and testing it on spots that it has not seen, beside controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.folds import make_folds, spatial_blocks
from napari_umpire.inference.classes.probe import LinearProbe, ProbeOptions, fit, probe_of
from napari_umpire.inference.classes.scores import (
    Control,
    FoldScore,
    ProbeScores,
    class_scores,
    confusion,
)
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_umpire.inference.classes.folds import Fold, Folds
    from napari_umpire.inference.classes.labelled import LabelledSpots

__all__ = ["cross_validate", "position_inputs", "train_probe"]

CS = (0.001, 0.01, 0.1, 1.0)
"""Among these C is chosen where it is not given."""
_BUFFER_PITCHES = 1.5


def cross_validate(data: LabelledSpots, options: ProbeOptions | None = None) -> Steps[ProbeScores]:
    """Test a probe on what it has not seen.

    The controls, in the same folds: the largest class for every spot; the same probe learned from
    shuffled labels; the same probe on position alone.

    Raises
    ------
    InputError
        Where the classes cannot be tested: see `folds.make_folds`.
    """
    options = options or ProbeOptions()
    folds = make_folds(
        data.codes,
        data.slide,
        data.yx_um,
        list(data.slide_names),
        n_folds=options.n_folds,
        buffer_um=_BUFFER_PITCHES * data.pitch_um,
        seed=options.seed,
    )
    drawn = options.permutations
    drawn = (20 if len(data.codes) <= 1000 else 5) if drawn is None else drawn
    k, total = len(data.classes), len(folds) * (2 + drawn)
    done = 0
    table = np.zeros((k, k), np.int64)
    by_majority, by_position = table.copy(), table.copy()
    by_chance = np.zeros((drawn, k, k), np.int64)
    position = position_inputs(data.yx_um, data.slide)
    scores: list[FoldScore] = []
    chosen: list[float] = []
    rng = np.random.default_rng(options.seed)
    yield Progress("Testing on held-out spots", 0, total, "fits")
    for fold in folds:
        given, learned = data.codes[fold.test], data.codes[fold.train]
        c = choose_c(data, folds, fold, options)
        chosen.append(c)
        mine = _tested(data.embeddings, data.codes, k, fold, c, options)
        table += mine
        said = class_scores(mine)
        scores.append(
            FoldScore(
                fold.name,
                len(fold.train),
                len(fold.test),
                said.balanced_accuracy,
                said.weighted_f1,
            )
        )
        most = np.full(len(given), np.bincount(learned).argmax())
        by_majority += confusion(given, most, k)
        by_position += _tested(position, data.codes, k, fold, 1.0, options)
        done += 2
        yield Progress("Testing on held-out spots", done, total, "fits")
        for number in range(drawn):
            shuffled = _shuffled(data, fold, rng)
            by_chance[number] += _tested(data.embeddings, shuffled, k, fold, c, options, given)
            done += 1
            yield Progress("Testing on shuffled labels", done, total, "fits")
    return ProbeScores(
        data.classes,
        class_scores(table),
        tuple(scores),
        _controls(by_majority, by_chance, by_position),
        _protocol(data, folds, options, chosen, drawn),
    )


def train_probe(
    data: LabelledSpots, name: str, options: ProbeOptions | None = None
) -> Steps[LinearProbe]:
    """Test, then train on everything.

    Classes that cannot be tested, because each is on a slide or in a place of its own, are learned
    all the same; the probe then has no score, and its protocol says why.
    """
    options = options or ProbeOptions()
    try:
        scores = yield from cross_validate(data, options)
    except InputError as error:
        said: dict[str, Any] = {}
        protocol = f"Not tested. {error}"
    else:
        said, protocol = scores.to_json(), scores.protocol
    yield Progress("Training on all labelled spots", 0, 0, "")
    c = options.c
    if c is None:
        groups = data.slide if len(np.unique(data.slide)) > 1 else _blocks(data, options)
        c = _best_c(data, groups, np.arange(len(data.codes)), options)
    return probe_of(data, options, c, name=name, scores=said, protocol=protocol)


def choose_c(data: LabelledSpots, folds: Folds, fold: Fold, options: ProbeOptions) -> float:
    """C for one fold, from what that fold learns from alone."""
    if options.c is not None:
        return options.c
    return _best_c(data, folds.group, fold.train, options)


def _best_c(
    data: LabelledSpots, groups: np.ndarray, rows: np.ndarray, options: ProbeOptions
) -> float:
    """The C with the best balanced accuracy when groups among ``rows`` are held out in turn."""
    k = len(data.classes)
    names = np.unique(groups[rows])
    part = np.random.default_rng(options.seed).permutation(len(names)) % min(3, len(names))
    of_row = part[np.searchsorted(names, groups[rows])]
    tables = np.zeros((len(CS), k, k), np.int64)
    for held in np.unique(part):
        train, test = rows[of_row != held], rows[of_row == held]
        if len(np.unique(data.codes[train])) < 2:
            continue
        for table, c in zip(tables, CS, strict=True):
            regression = fit(
                data.embeddings[train], data.codes[train], k, c=c, balanced=options.balanced
            )
            table += confusion(data.codes[test], regression.predict(data.embeddings[test]), k)
    if not tables.any():
        return 1.0
    return CS[int(np.argmax([class_scores(table).balanced_accuracy for table in tables]))]


def _blocks(data: LabelledSpots, options: ProbeOptions) -> np.ndarray:
    return spatial_blocks(data.yx_um, options.n_folds, seed=options.seed)


def _tested(
    x: np.ndarray,
    codes: np.ndarray,
    k: int,
    fold: Fold,
    c: float,
    options: ProbeOptions,
    given: np.ndarray | None = None,
) -> np.ndarray:
    """Confusion of the held-out spots, learned from ``codes`` of the others."""
    regression = fit(x[fold.train], codes[fold.train], k, c=c, balanced=options.balanced)
    return confusion(
        codes[fold.test] if given is None else given, regression.predict(x[fold.test]), k
    )


def _shuffled(data: LabelledSpots, fold: Fold, rng: np.random.Generator) -> np.ndarray:
    """Labels exchanged among the spots of each slide that are learned from."""
    codes = data.codes.copy()
    for slide in np.unique(data.slide[fold.train]):
        rows = fold.train[data.slide[fold.train] == slide]
        codes[rows] = codes[rng.permutation(rows)]
    return codes


def position_inputs(yx_um: np.ndarray, slides: np.ndarray) -> np.ndarray:
    """Position on the slide, (n, 9): y and x about the slide's middle, products up to cubes.

    Parameters
    ----------
    yx_um
        (n, 2) centres, um.
    slides
        (n,) int, the slide of each.
    """
    yx = np.empty_like(yx_um, dtype=np.float64)
    for slide in np.unique(slides):
        mine = slides == slide
        centred = yx_um[mine] - yx_um[mine].mean(axis=0)
        yx[mine] = centred / max(float(np.abs(centred).max()), 1e-9)
    y, x = yx.T
    return np.stack([y, x, y * y, y * x, x * x, y**3, y * y * x, y * x * x, x**3], axis=1)


def _controls(
    by_majority: np.ndarray, by_chance: np.ndarray, by_position: np.ndarray
) -> tuple[Control, ...]:
    majority, position = class_scores(by_majority), class_scores(by_position)
    found = [Control("position only", position.balanced_accuracy, position.weighted_f1)]
    if len(by_chance):
        drawn = [class_scores(table) for table in by_chance]
        balanced = np.array([score.balanced_accuracy for score in drawn])
        f1 = float(np.mean([score.weighted_f1 for score in drawn]))
        found.append(Control("shuffled labels", float(balanced.mean()), f1, float(balanced.std())))
    found.append(Control("largest class", majority.balanced_accuracy, majority.weighted_f1))
    return tuple(found)


def _protocol(
    data: LabelledSpots,
    folds: Folds,
    options: ProbeOptions,
    chosen: list[float],
    drawn: int,
) -> str:
    n_slides = len(np.unique(data.slide))
    what = "their image" if data.kind == "image" else "their measured genes"
    c = (
        f"C = {options.c:g}"
        if options.c is not None
        else f"C chosen inside each fold's training part ({', '.join(f'{c:g}' for c in chosen)})"
    )
    weighing = "class" if options.balanced else "spot"
    names = ", ".join(data.slide_names[i] for i in np.unique(data.slide))
    parts = (
        f"{len(data.codes):,} labelled spots of {n_slides} slide{'s' if n_slides > 1 else ''}",
        f"({names}), {len(data.classes)} classes.",
        f"Logistic regression on embeddings of {what}, standardised on the training part, {c},",
        f"each {weighing} weighing the same.",
        folds.words,
        "Scores are pooled over all held-out spots, each predicted once.",
        "Controls in the same folds: position only (y, x and their products up to cubes),",
        f"labels shuffled within each slide ({drawn} times), and the largest class for all.",
        *data.notes,
    )
    return " ".join(parts)
