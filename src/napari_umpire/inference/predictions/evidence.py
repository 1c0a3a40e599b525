"""Where the value of one spot comes from: its K reference spots, in numbers, words and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.genes.normalise import UNIT
from napari_umpire.progress import Progress
from napari_umpire.slides.crops import crops

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = [
    "MOST_PICTURES",
    "Evidence",
    "Pictures",
    "evidence_of",
    "find_spot",
    "open_slide_of",
    "picture_steps",
    "read_spots_steps",
]

MOST_PICTURES = 100
"""Reference spots beyond it weigh next to nothing, and nobody looks at so many pictures."""
_QUERY_PX = 224


@dataclass(frozen=True, eq=False)
class Evidence:
    """The references behind one spot, and behind the value of one gene there.

    Attributes
    ----------
    spot
        The spot's id.
    rows
        (K,) int64, rows of the reference, most similar first.
    table
        See `Prediction.evidence`; ``value`` only with a gene.
    gene
        What the gene is called; None where none was asked about.
    predicted, spread
        The gene's value at the spot and its weighted standard deviation over the references,
        log1p CP10k; NaN where no reference measured the gene.
    measured
        What was measured there, None where nothing was.
    """

    spot: str
    rows: np.ndarray
    table: pd.DataFrame
    gene: str | None = None
    predicted: float = np.nan
    spread: float = np.nan
    measured: float | None = None

    @property
    def effective(self) -> float:
        """Effective number of references: exp of the entropy of their weights, 1 to K."""
        weight = self.table["weight"].to_numpy(np.float64)
        weight = weight[weight > 0] / weight.sum()
        return float(np.exp(-(weight * np.log(weight)).sum()))

    @property
    def shares(self) -> pd.Series:
        """Share of the weight by slide of the reference, largest first; they sum to 1."""
        share = self.table.groupby("slide")["weight"].sum()
        return (share / share.sum()).sort_values(ascending=False, kind="stable")

    @property
    def n_unmeasured(self) -> int:
        """References whose slide did not measure the gene; their weight goes to the others."""
        return int(self.table["value"].isna().sum()) if self.gene is not None else 0

    def describe(self) -> str:
        """The spot, what its prediction rests on, and the gene's value there, in words."""
        similarity = self.table["similarity"]
        by_slide = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())
        first, last = similarity.iloc[0], similarity.iloc[-1]
        if len(self.table) == 1:
            whole = (
                f"Spot {self.spot} is predicted from one reference spot, of "
                f"{self.shares.index[0]}, similarity {first:.2f} (cosine)."
            )
        else:
            whole = (
                f"Spot {self.spot} is predicted from {len(self.table)} reference spots, similarity "
                f"{first:.2f} to {last:.2f} (cosine). The weight lies on about "
                f"{self.effective:.0f} of them; by slide: {by_slide}."
            )
        lines = [whole]
        if self.gene is None:
            return lines[0]
        if np.isnan(self.predicted):
            lines.append(f"None of them measured {self.gene}, so it has no predicted value here.")
        else:
            lines.append(
                f"{self.gene}, {UNIT}: predicted {self.predicted:.2f}, spread of the references "
                f"{self.spread:.2f}"
                + ("." if self.measured is None else f"; measured here {self.measured:.2f}.")
            )
            if self.n_unmeasured:
                lines.append(
                    f"{self.n_unmeasured} of the references did not measure it; the weights of "
                    "the others are scaled up."
                )
        return "\n".join(lines)


def evidence_of(
    prediction: Prediction,
    row: int,
    gene: str | None = None,
    *,
    label: str | None = None,
    measured: float | None = None,
) -> Evidence:
    """The evidence of one spot, from its K references alone.

    Parameters
    ----------
    row
        Of ``prediction.spots``.
    gene
        A gene of the prediction; ``label`` is what to call it.
    measured
        The gene's measured value at the spot, log1p CP10k.
    """
    spot = str(prediction.spots.index[row])
    table = prediction.evidence(spot, gene)
    rows = prediction.indices[row]
    if gene is None:
        return Evidence(spot, rows, table)
    value, weight = table["value"].to_numpy(), table["weight"].to_numpy(np.float64)
    there = ~np.isnan(value)
    mean = spread = np.nan
    if weight[there].sum() > 0:
        weight = weight[there] / weight[there].sum()
        mean = float(weight @ value[there])
        spread = float(np.sqrt(weight @ (value[there] - mean) ** 2))
    return Evidence(spot, rows, table, label or gene, mean, spread, measured)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The spot's own picture, and those of its references.

    Attributes
    ----------
    own
        (h, w, 3) uint8.
    references
        One (size, size, 3) uint8 per reference, heaviest first; None where the reference was
        built without pictures.
    field_um
        Edge of what each shows, um.
    """

    own: np.ndarray
    references: list[np.ndarray] | None
    field_um: float


def read_spots_steps(reference: ReferenceDatabase) -> Steps[ReferenceDatabase]:
    """Read the names of the reference spots, once: seconds where there are a million."""
    yield Progress("Reading the reference's spots", 0, reference.n)
    _ = reference.spots
    return reference


def picture_steps(
    prediction: Prediction,
    slide: Slide,
    row: int,
    *,
    field_um: float = 112.0,
    open_slides: Iterable[Slide] = (),
) -> Steps[Pictures]:
    """Read the pictures of a spot and its first `MOST_PICTURES` references.

    Parameters
    ----------
    field_um
        Used where the reference, which knows the model's field, has no pictures.
    open_slides
        Slides that `open_slide_of` may be asked about next; their digests are made here.
    """
    names = {info.name for info in prediction.reference.info.slides}
    for other in open_slides:
        if other.name in names:
            _ = other.digest
            yield Progress("Looking for the reference's slides", 0, 0, "")
    stored = prediction.reference.patches
    if stored is not None:
        field_um = stored.field_um
    yield Progress("Reading the pictures", 0, 0, "")
    own = crops(slide, np.array([row]), field_um, _QUERY_PX)[0]
    if stored is None:
        return Pictures(own, None, field_um)
    rows = prediction.indices[row][:MOST_PICTURES]
    return Pictures(own, [stored.crop(int(r)) for r in rows], field_um)


def open_slide_of(
    reference: ReferenceDatabase, slide_name: str, open_slides: Mapping[str, Slide]
) -> str:
    """The key of the open slide that is the reference's slide of that name.

    Raises
    ------
    InputError
        Where it is not open, or what is open is another slide of that name.
    """
    (known,) = [info for info in reference.info.slides if info.name == slide_name]
    namesakes = {key: slide for key, slide in open_slides.items() if slide.name == slide_name}
    for key, slide in namesakes.items():
        if slide.digest == known.digest:
            return key
    if not namesakes:
        raise InputError(
            f"The reference slide {slide_name} is not open",
            fix="Drop it into the window, then ask again",
        )
    raise InputError(
        f"The open slide {slide_name} is not the one in the reference",
        got="another image, other spots or another scale",
        fix="Open the slide that the reference was built from, at the same um per px",
    )


def find_spot(slide: Slide, text: str) -> int:
    """The row of the spot called ``text``, or of the one spot whose id begins so.

    Raises
    ------
    InputError
        Where no spot, or more than one, fits.
    """
    wanted, spots = text.strip(), slide.spots.index
    exact = np.flatnonzero(spots == wanted)
    begins = np.flatnonzero(spots.str.lower().str.startswith(wanted.lower()))
    begins = exact if len(exact) else begins
    if len(begins) == 1 and wanted:
        return int(begins[0])
    problem = f"No spot of {slide.name} is called {wanted!r}"
    if wanted and len(begins):
        problem = f"{len(begins):,} spots of {slide.name} begin with {wanted!r}"
    near = spots[begins[:3]] if len(begins) else spots[:3]
    raise InputError(problem, expected="an id such as " + ", ".join(near))
