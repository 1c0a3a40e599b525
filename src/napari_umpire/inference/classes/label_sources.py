"""Classes of spots from what a user has: a column of the table, drawn regions, a painted layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.labels import UNLABELLED, SpotLabels, class_colours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_umpire.slides.slide import Slide

__all__ = [
    "MAX_CLASSES",
    "LabelReading",
    "label_columns",
    "labels_of_column",
    "labels_of_painted",
    "labels_of_regions",
    "labels_of_values",
]

MAX_CLASSES = 50
"""More distinct values than this are no classes but an id or a measurement."""

_NOT_CLASSES = ("array_row", "array_col", "in_tissue")


@dataclass(frozen=True)
class LabelReading:
    """Classes that were read, and what the user should know of the reading.

    Attributes
    ----------
    notes
        Sentences: what was left out, and why.
    """

    labels: SpotLabels
    notes: tuple[str, ...] = ()


def labels_of_values(
    name: str,
    values: pd.Series | pd.Categorical | np.ndarray | Sequence[object],
    colours: Sequence[object] | None = None,
) -> SpotLabels:
    """Classes of a value per spot.

    Parameters
    ----------
    values
        Names, numbers, booleans or a categorical, one per spot. NaN, None and "" are no class.
        Categories of a categorical keep their order; others are sorted, numbers as numbers.
    colours
        Of the categories, or of the sorted classes; as `labels.class_colours`.
    """
    series = pd.Series(values)
    if isinstance(series.dtype, pd.CategoricalDtype):
        every = series.cat.categories
        codes = series.cat.codes.to_numpy(np.int64)
    else:
        plain = series.mask(series.astype(object).map(lambda v: isinstance(v, str) and not v))
        codes, every = pd.factorize(plain, sort=True, use_na_sentinel=True)
    all_colours = class_colours(len(every), colours)
    # A category without a spot is not there to be learned; the others keep their colours.
    used = np.unique(codes[codes >= 0])
    place = np.full(len(every) + 1, UNLABELLED, np.int64)
    place[used] = np.arange(len(used))
    return SpotLabels(
        name=name,
        codes=place[codes],
        categories=tuple(_said(every[i]) for i in used),
        colours=tuple(all_colours[i] for i in used),
    )


def _said(value: object) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))  # integers with gaps are stored as floats
    return str(value)


def label_columns(slide: Slide) -> list[str]:
    """Names of the table's columns that could be classes: few distinct names or whole numbers."""
    if slide.table is None:
        return []
    attrs = slide.sdata.tables[slide.table].uns["spatialdata_attrs"]
    apart = {attrs["region_key"], attrs["instance_key"], *_NOT_CLASSES}
    return [str(c) for c in slide.obs.columns if c not in apart and _could_be_classes(slide.obs[c])]


def _could_be_classes(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return len(column.cat.categories) <= MAX_CLASSES
    values = column.dropna()
    if pd.api.types.is_float_dtype(values.dtype) and not np.equal(np.mod(values, 1), 0).all():
        return False
    plain = values.map(type).isin((str, bool, int, float))
    return bool(plain.all()) and values.nunique() <= MAX_CLASSES


def labels_of_column(slide: Slide, column: str) -> LabelReading:
    """Classes of a column of the slide's table, in the colours that the table has for them.

    Raises
    ------
    InputError
        Where there is no such column, or nothing in it is a class.
    """
    known = label_columns(slide)
    if column not in slide.obs:
        raise InputError(
            f"The table of {slide.name} has no column {column!r}",
            expected=", ".join(known) or "a column of classes, of which it has none",
        )
    if column not in known:
        raise InputError(
            f"The column {column!r} of {slide.name} holds no classes",
            got=f"{slide.obs[column].nunique():,} different values of {slide.obs[column].dtype}",
            expected=f"at most {MAX_CLASSES} different names or whole numbers",
        )
    assert slide.table is not None
    colours = slide.sdata.tables[slide.table].uns.get(f"{column}_colors")
    labels = labels_of_values(column, slide.obs[column], None if colours is None else list(colours))
    if not labels.categories:
        raise InputError(
            f"No spot of {slide.name} has a class in the column {column!r}",
            got=f"{slide.n_spots:,} empty values",
            fix="Choose another column, or draw or paint classes",
        )
    return LabelReading(labels, _unlabelled_note(labels))


def labels_of_regions(
    name: str,
    n_spots: int,
    regions: Mapping[str, np.ndarray],
    colours: Mapping[str, str] | None = None,
) -> LabelReading:
    """Classes of spots that lie in drawn regions.

    A spot in two regions of different name belongs to neither.

    Parameters
    ----------
    regions
        Name -> rows of the spots within.
    colours
        Name -> "#rrggbb".

    Raises
    ------
    InputError
        Where no region holds a spot.
    """
    claims = np.zeros((len(regions), n_spots), bool)
    for inside, rows in zip(claims, regions.values(), strict=True):
        inside[rows] = True
    if not claims.any():
        raise InputError(
            "No region holds a spot",
            got=f"regions {', '.join(map(repr, regions))}" if regions else "no region",
            expected="a region that covers the centre of at least one spot",
            fix="Draw around the spots of a class",
        )
    total = claims.sum(axis=0)
    filled = [bool(inside.any()) for inside in claims]
    names = np.array(list(regions), object)
    values = np.full(n_spots, None, object)
    values[total == 1] = names[claims[:, total == 1].argmax(axis=0)]
    left = [str(n) for n, some in zip(names, filled, strict=True) if some]
    wanted = class_colours(len(left))
    if colours is not None:
        wanted = tuple(colours.get(n, c) for n, c in zip(left, wanted, strict=True))
    labels = labels_of_values(name, pd.Categorical(values, categories=left), wanted)
    notes = [
        f"The region {str(n)!r} holds no spot."
        for n, some in zip(names, filled, strict=True)
        if not some
    ]
    if both := int((total > 1).sum()):
        notes.append(f"{both:,} spots lie in two regions and got no class.")
    return LabelReading(labels, (*notes, *_unlabelled_note(labels)))


def labels_of_painted(
    name: str,
    painted: np.ndarray,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
) -> LabelReading:
    """Classes of the painted value under each spot's centre.

    Parameters
    ----------
    painted
        (n_spots,) int; 0 is not painted.
    names, colours
        By painted value; a value without a name is called by its number.

    Raises
    ------
    InputError
        Where no spot's centre is painted.
    """
    values = np.unique(painted[painted != 0])
    if not len(values):
        raise InputError(
            "No spot's centre is painted",
            expected="paint over the centres of some spots, one value per class",
            fix="Paint on the layer, then read it again",
        )
    standard = class_colours(len(values))
    colours, names = colours or {}, names or {}
    codes = np.where(painted == 0, UNLABELLED, np.searchsorted(values, painted))
    labels = SpotLabels(
        name,
        codes.astype(np.int64),
        tuple(names.get(int(v), str(v)) for v in values),
        tuple(colours.get(int(v), c) for v, c in zip(values, standard, strict=True)),
    )
    return LabelReading(labels, _unlabelled_note(labels))


def _unlabelled_note(labels: SpotLabels) -> tuple[str, ...]:
    n = labels.n_unlabelled
    return (f"{n:,} of {len(labels.codes):,} spots have no class.",) if n else ()
