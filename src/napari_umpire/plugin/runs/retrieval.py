"""What the Retrieve widget asks for, and runs in a thread. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.lists import parse_genes, resolve
from napari_umpire.inference.genes.measured import read_measured
from napari_umpire.inference.genes.table import GeneTable
from napari_umpire.inference.retrieval.control import Control, retrieval_control
from napari_umpire.inference.retrieval.search import (
    Retrieved,
    gene_query_steps,
    image_query,
    measured_query_steps,
    retrieve_steps,
)
from napari_umpire.plugin.layers.spot_map import SpotMap
from napari_umpire.plugin.runs.predict import model_steps
from napari_umpire.progress import Progress
from napari_umpire.slides.crops import crops

if TYPE_CHECKING:
    import numpy as np

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = ["ASKS", "MAP_KEY", "Ask", "AskKind", "Found", "ask_of", "found_map", "found_steps"]

MAP_KEY = "retrieval"
AskKind = Literal["gene", "shown", "list", "measured", "image"]
ASKS: dict[AskKind, str] = {
    "gene": "a gene",
    "shown": "the gene or signature shown now",
    "list": "a list of genes",
    "measured": "what was measured in the spot asked about",
    "image": "the image of the spot asked about",
}
_USUAL_FIELD_UM = 112.0


@dataclass(frozen=True)
class Ask:
    """A settled question: genes as the prediction knows them, or a spot."""

    kind: AskKind
    title: str = ""
    genes: tuple[str, ...] = ()
    row: int | None = None
    said: str = ""


@dataclass(frozen=True, eq=False)
class Found:
    """The answer, with all that is needed to show it.

    Attributes
    ----------
    pictures, reference_pictures
        (h, w, 3) uint8 of `Retrieved.rows` and `Retrieved.reference_rows`; the latter None where
        the reference was built without.
    measured
        The slide's counts, read for the control where they had not been.
    """

    ask: Ask
    retrieved: Retrieved
    pictures: list[np.ndarray]
    reference_pictures: list[np.ndarray] | None
    field_um: float
    control: Control | None
    measured: Measured | None

    def describe(self) -> str:
        """Whether it means anything, what was asked, how close the closest are."""
        control = "" if self.control is None else self.control.describe()
        if self.ask.genes and not control:
            control = "Control: none, because this slide has no measured counts of it."
        # Whether it means anything comes first; how it was made can be scrolled to.
        parts = [control, self.ask.said, self.retrieved.describe()]
        return "\n".join(part for part in parts if part)


def ask_of(
    state: SlideState, kind: AskKind, *, text: str = "", gene: str | None, row: int | None
) -> Ask:
    """What is asked of a slide.

    Parameters
    ----------
    text
        The gene or the list that was typed.
    gene
        Key of the gene or signature that is shown.
    row
        The spot that was asked about, None where it is not of this slide.

    Raises
    ------
    InputError
        For what is not there: a prediction, a gene, a spot, counts.
    """
    if state.retrieval is None:
        first = "Predict its genes first" if state.prediction is None else "Predict by retrieval"
        raise InputError(
            f"Nothing to search on {state.name}: it has no prediction from references", fix=first
        )
    if kind in ("measured", "image"):
        if row is None:
            raise InputError(f"No spot of {state.name} was asked about", fix="Click a spot")
        if kind == "measured" and not state.slide.has_counts:
            raise InputError(f"Nothing was measured on {state.name}", fix="Ask by the spot's image")
        return Ask(kind, row=row)
    if kind == "list":
        found = resolve(parse_genes(text), state.genes.index)
        return _of_genes(state, kind, found.keys, "the list", found.describe())
    if kind == "shown":
        if gene is None or not state.knows(gene):
            raise InputError(f"No gene of {state.name} is shown", fix="Choose a gene first")
        signature = state.signatures.get(gene)
        keys = (gene,) if signature is None else signature.genes
        return _of_genes(state, kind, keys, state.label(gene))
    if not text.strip():
        raise InputError("There is no gene to search for", fix="Type a symbol or an Ensembl id")
    key = state.genes.index.find(text)
    return _of_genes(state, kind, (key,), state.label(key))


def _of_genes(
    state: SlideState, kind: AskKind, keys: tuple[str, ...], title: str, said: str = ""
) -> Ask:
    frame = state.genes.frame
    names = [str(frame.at[key, "predicted"]) for key in keys if key in state.genes]
    known = tuple(name for name in names if name)
    if not known:
        raise InputError(
            f"The reference did not measure {title}",
            got=f"{len(keys):,} genes of this slide, none of them in the reference",
            fix="Choose a gene that is predicted",
        )
    if len(known) < len(keys):
        said = f"{said} {len(keys) - len(known):,} of them are not in the reference.".strip()
    return Ask(kind, title, known, said=said)


def found_steps(
    ask: Ask,
    slide: Slide,
    prediction: Prediction,
    measured: Measured | None,
    *,
    model_source: str = "",
    loaded: Model | None = None,
    n_top: int = 24,
) -> Steps[Found]:
    """Answer a question: the query, the search, the control, the pictures.

    Parameters
    ----------
    measured
        The slide's counts where they were read before.
    model_source, loaded
        The model; needed only to embed what was measured.
    """
    reference, images = prediction.reference, prediction.embeddings
    if images is None:
        raise InputError(
            f"The prediction of {slide.name} was kept without its embeddings",
            fix="Predict the slide again",
        )
    if ask.genes:
        query = yield from gene_query_steps(reference, ask.genes, title=ask.title)
    elif ask.kind == "measured" and ask.row is not None:
        model = yield from model_steps(model_source, "auto", loaded)
        if model.digest != reference.info.model_digest:
            raise InputError(
                "The chosen model is not the one that made the prediction",
                fix="Choose that model in Predict, or predict again",
            )
        query = yield from measured_query_steps(model, slide, ask.row)
    else:
        assert ask.row is not None  # `ask_of` saw to it
        query = image_query(slide, ask.row, images)
    retrieved = yield from retrieve_steps(query, images, reference, n_top=n_top)
    control = None
    if ask.genes and slide.has_counts:
        if measured is None:
            measured = yield from read_measured(slide)
        yield Progress("Comparing with what was measured", 0, 0, "")
        table = GeneTable.build(prediction.genes, measured.genes).frame
        names = table.loc[table["predicted"].isin(query.genes), "measured"]
        control = retrieval_control(
            retrieved.similarity,
            measured,
            [name for name in names if name],
            query.title,
            in_reference=any(s.digest == slide.digest for s in reference.info.slides),
        )
    yield Progress("Reading the pictures", 0, 0, "")
    _ = reference.spots  # a million of them take seconds: not in the window
    stored = reference.patches
    field_um = _USUAL_FIELD_UM if stored is None else stored.field_um
    pictures = list(crops(slide, retrieved.rows, field_um))
    theirs = None if stored is None else [stored.crop(int(r)) for r in retrieved.reference_rows]
    return Found(ask, retrieved, pictures, theirs, field_um, control, measured)


def found_map(found: Found) -> SpotMap:
    """The heat map of an answer."""
    return SpotMap(
        MAP_KEY,
        f"close to {found.retrieved.query.title}",
        values=found.retrieved.similarity,
        unit="cosine",
        palette="attention",
    )
