"""`SlideCard`: what was read of a slide, and whether the chosen model can run on it, in words."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from napari_umpire.plugin.words.model_peek import HubModel, ModelPeek
from napari_umpire.plugin.words.paths import breakable
from napari_umpire.slides.scale import SOURCE_REASONS, SOURCE_WORDS, TOLERANCE

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.record import Method
    from napari_umpire.inference.survey import Survey
    from napari_umpire.slides.slide import Slide

__all__ = ["CardRow", "SlideCard", "slide_card"]

_OVERVIEW = 1.5
"""Full-resolution px per px of the finest level, above which it is no longer the full image."""

_PLATFORMS = {
    "visium": "Visium",
    "st": "legacy Spatial Transcriptomics section",
    "image": "image without measurement",
}
_ASKS = "How many µm does a pixel cover? The file does not say it, and without it nothing can run."


@dataclass(frozen=True)
class CardRow:
    """One line: what it is about, the value, what to add to it, and whether it is a problem."""

    label: str
    value: str
    note: str = ""
    warn: bool = False


@dataclass(frozen=True)
class SlideCard:
    """What was read of a slide.

    Attributes
    ----------
    rows
        In reading order.
    asks_scale
        Whether the user must say how many um a pixel covers.
    obstacle
        Why nothing can run, one sentence; "" where a run can start.
    """

    rows: tuple[CardRow, ...]
    asks_scale: bool = False
    obstacle: str = ""

    @property
    def text(self) -> str:
        """The rows as plain lines."""
        return "\n".join(
            " ".join(filter(None, (f"{r.label}:", r.value, r.note))) for r in self.rows
        )

    def html(self, warn_colour: str, quiet_colour: str) -> str:
        """The rows as a table: labels in the quiet colour, values bold, problems in their own."""
        lines = []
        for row in self.rows:
            colour = f' style="color:{warn_colour}"' if row.warn else ""
            value = f"<b>{_breakable(row.value)}</b>" if row.value else ""
            lines.append(
                f'<tr><td style="color:{quiet_colour};padding-right:8px">{escape(row.label)}</td>'
                f"<td{colour}>{value} {_breakable(row.note)}</td></tr>"
            )
        return f'<table cellspacing="0" cellpadding="1">{"".join(lines)}</table>'


def _breakable(text: str) -> str:
    """Markup of ``text`` in which a path may go on in the next line: a dock is narrow."""
    return breakable(escape(text))


def slide_card(
    slide: Slide,
    model: ModelPeek | HubModel | str | None = None,
    survey: Survey | None = None,
    method: Method | Literal["auto"] = "auto",
) -> SlideCard:
    """Say what was read of ``slide``, what ``model`` wants, and whether that fits.

    Parameters
    ----------
    model
        The chosen model; a sentence where it cannot be looked into; None where none was chosen.
    survey
        Tissue and shared genes, once they are known.
    method
        How the model shall predict; "auto": as it does by itself.
    """
    known = slide.scale.mpp is not None
    rows = [CardRow("File", *_origin(slide)), CardRow("Size", *_size(slide)), _scale(slide)]
    finest = slide.pyramid.levels[0]
    if finest.downsample > _OVERVIEW:
        there = f"{finest.shape[1]:,} × {finest.shape[0]:,} px"
        rows.append(CardRow("Image", "overview only", f"of {there}", warn=True))
    if known:
        rows.append(_spots(slide))
        rows.append(_tissue(survey))
    if survey is not None and survey.genes is not None:
        rows.append(_genes(survey))
    row, obstacle = _model(slide, model)
    rows.append(row)
    if isinstance(model, ModelPeek) and model.methods:
        rows += _decoder(model, model.methods[0] if method == "auto" else method)
    if known and slide.n_spots == 0:
        obstacle = "No tissue was found, so there is nothing to predict."
    return SlideCard(tuple(rows), asks_scale=not known, obstacle=_ASKS if not known else obstacle)


def _origin(slide: Slide) -> tuple[str, str]:
    name = slide.name if slide.path is None else slide.path.name
    return name, f"({_PLATFORMS[slide.platform]})"


def _size(slide: Slide) -> tuple[str, str]:
    height, width = slide.pyramid.extent
    mpp = slide.scale.mpp
    size = f"{width:,.0f} × {height:,.0f} px"
    return size, "" if mpp is None else f"({width * mpp / 1000:.1f} × {height * mpp / 1000:.1f} mm)"


def _scale(slide: Slide) -> CardRow:
    scale = slide.scale
    if scale.mpp is None:
        return CardRow("Scale", "unknown", _ASKS, warn=True)
    value, note = f"{scale.mpp:.4g} µm per px", f"from {SOURCE_WORDS[scale.source]}"
    others = {k: v for k, v in scale.candidates.items() if k != scale.source}
    told = ", ".join(f"{v:.4g} µm per px from {SOURCE_WORDS[k]}" for k, v in others.items())
    all_of_them = (scale.mpp, *others.values())
    apart = max(all_of_them) / min(all_of_them)
    if apart <= 1 + TOLERANCE:
        return CardRow("Scale", value, note + (f" ({told})" if told else ""))
    note += f", {SOURCE_REASONS[scale.source]}; but {told}, up to {apart - 1:.0%} apart"
    if scale.source == "user":  # who said so has looked at it
        return CardRow("Scale", value, note)
    return CardRow("Scale", value, note + ", so lengths and fields may be wrong", warn=True)


def _spots(slide: Slide) -> CardRow:
    if slide.n_spots == 0:
        return CardRow("Spots", "none", "no tissue was found", warn=True)
    if slide.has_counts:
        note = "measured; all of them would be predicted"
    elif slide.platform == "image":
        note = f"would be predicted, {slide.pitch_um:g} µm apart; none measured"
    else:
        note = "would be predicted; none measured"
    return CardRow("Spots", f"{slide.n_spots:,}", note)


def _tissue(survey: Survey | None) -> CardRow:
    if survey is None:
        return CardRow("Tissue", "…", "being looked for")
    if survey.tissue is None:
        return CardRow("Tissue", "unknown", "the image or the counts cannot be read", warn=True)
    tissue = survey.tissue
    return CardRow("Tissue", f"{tissue.area_mm2:,.2f} mm²", f"({tissue.share:.0%} of the image)")


def _genes(survey: Survey) -> CardRow:
    genes = survey.genes
    assert genes is not None
    note = f"of {genes.measured:,} measured and {genes.reference:,} in the model's reference"
    return CardRow("Genes", f"{genes.shared:,} in common", note, warn=genes.shared == 0)


def _decoder(model: ModelPeek, method: Method) -> list[CardRow]:
    """What the decoder gives and what it does not, where it is to predict."""
    if method == "retrieval":
        return []
    note = "from the image alone: no evidence, similarity or spread"
    if not model.aligned:
        note += "; trained by reconstruction alone, it cannot retrieve"
    return [CardRow("Decoder", f"{model.n_decoded:,} genes", note)]


def _model(slide: Slide, model: ModelPeek | HubModel | str | None) -> tuple[CardRow, str]:
    """What the model wants of the slide, and what keeps a run from starting."""
    if model is None:
        return CardRow("Model", "none yet", "choose the folder of a trained model"), (
            "Choose the folder of a trained model."
        )
    if isinstance(model, HubModel):
        note = "will be downloaded from the Hugging Face hub when you press Run"
        return CardRow("Model", model.name, note), ""
    if isinstance(model, str):
        return CardRow("Model", "", model, warn=True), model
    value = f"{model.field_um:g} µm as {model.size_px} px"
    wants = f"around each spot, {model.mpp:.2g} µm per px, with {model.encoder}"
    if not model.methods:
        why = "It has no reference spots, so it cannot predict: run umpire-train reference."
        return CardRow("Model sees", value, f"{wants}. {why}", warn=True), why
    if slide.scale.mpp is None:
        return CardRow("Model sees", value, wants), ""
    finest = f"this image has {slide.mpp * slide.pyramid.levels[0].downsample:.2g} µm per px"
    fit = model.fit(slide)
    if fit == "fits":
        return CardRow("Model sees", value, f"{wants}; {finest}: it fits"), ""
    if fit == "coarse":
        note = f"{wants}; {finest}: coarser than that, so detail will be missing"
        return CardRow("Model sees", value, note, warn=True), ""
    why = (
        "The image is too coarse for this model. It needs the full-resolution image, or choose "
        "a model made for coarser images."
    )
    return CardRow("Model sees", value, f"{wants}; {finest}. {why}", warn=True), why
