"""The slide card: what was read, what the model wants, and what keeps a run from starting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.survey import SharedGenes, Survey, TissueFacts
from napari_umpire.plugin.words.model_peek import HubModel, peek
from napari_umpire.plugin.words.slide import slide_card
from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
from napari_umpire.slides.scale import SOURCE_WORDS, PhysicalScale


def rows(card):
    return {row.label: row for row in card.rows}


def test_it_says_size_scale_and_spots(flat_slide):
    card = rows(slide_card(replace(flat_slide, path=Path("/slides/flat.svs"))))
    assert (card["File"].value, card["Size"].value) == ("flat.svs", "520 × 300 px")
    assert card["Size"].note == "(0.3 × 0.1 mm)"  # 260 x 150 um
    assert (card["Scale"].value, card["Scale"].note) == ("0.5 µm per px", "from you")
    assert card["Spots"].value == "3"
    assert "would be predicted, 100 µm apart; none measured" in card["Spots"].note
    assert "Image" not in card


def test_measured_spots_are_told_from_a_grid(slide):
    card = rows(slide_card(slide))
    assert card["Spots"].value == str(slide.n_spots)
    assert card["Spots"].note == "measured; all of them would be predicted"


def test_an_overview_is_told_from_the_slide(flat_slide):
    small = ArrayLevel(np.zeros((30, 52, 3), np.uint8), 10, tile=128)
    row = rows(slide_card(replace(flat_slide, pyramid=Pyramid((small,)))))["Image"]
    assert (row.value, row.note, row.warn) == ("overview only", "of 52 × 30 px", True)


@pytest.mark.parametrize(
    ("candidates", "warned"),
    [
        ({"metadata": 0.5}, False),
        ({"metadata": 0.5, "spot pitch": 0.51}, False),
        ({"metadata": 0.25, "spot pitch": 0.5}, True),
    ],
    ids=["one", "agree", "disagree"],
)
def test_all_sources_of_the_scale_are_shown_and_a_disagreement_stands_out(
    flat_slide, candidates, warned
):
    source = list(candidates)[-1]
    scale = PhysicalScale(candidates[source], source, candidates)
    row = rows(slide_card(flat_slide.with_scale(scale)))["Scale"]
    assert row.warn is warned
    assert f"from {SOURCE_WORDS[source]}" in row.note
    assert all(f"{v:.4g}" in row.value + row.note for v in candidates.values())
    assert ("100% apart" in row.note) is warned


def test_without_scale_it_asks_and_nothing_can_run(flat_slide, model_folder):
    card = slide_card(flat_slide.with_scale(PhysicalScale()), peek(model_folder))
    assert card.asks_scale
    assert "How many µm" in card.obstacle
    assert rows(card)["Scale"].warn
    assert not {"Spots", "Tissue"} & set(rows(card))
    assert rows(card)["Size"].note == ""  # no mm without a scale


def test_it_says_what_the_model_wants_and_whether_the_slide_has_it(model_folder, slide):
    found = peek(model_folder)
    assert (found.field_um, found.size_px, found.has_reference) == (112.0, 32, True)
    for mpp, said, warned, runs in (
        # The model wants 3.5 um per px.
        (2.0, "this image has 2 µm per px: it fits", False, True),
        (5.0, "detail will be missing", True, True),
        (8.0, "too coarse", True, False),
    ):
        card = slide_card(slide.with_scale(PhysicalScale(mpp, "user")), found)
        row = rows(card)["Model sees"]
        assert row.value == "112 µm as 32 px"
        assert "3.5 µm per px" in row.note
        assert (said in row.note, row.warn, not card.obstacle) == (True, warned, runs)


@pytest.mark.parametrize(
    ("model", "said", "runs"),
    [
        (None, "choose the folder", False),
        ("/x is not a model.", "not a model", False),
        (HubModel("owner/name"), "will be downloaded", True),
    ],
    ids=["none", "broken", "hub"],
)
def test_a_model_that_cannot_be_looked_into(slide, model, said, runs):
    card = slide_card(slide, model)
    assert said in rows(card)["Model"].note
    assert (not card.obstacle) is runs


def test_tissue_and_shared_genes_once_they_are_known(slide):
    assert rows(slide_card(slide))["Tissue"].note == "being looked for"
    survey = Survey(TissueFacts((), 12.345, 0.456), SharedGenes(900, 1200, 850))
    found = rows(slide_card(slide, None, survey))
    assert (found["Tissue"].value, found["Tissue"].note) == ("12.35 mm²", "(46% of the image)")
    assert found["Genes"].value == "850 in common"
    assert found["Genes"].note == "of 900 measured and 1,200 in the model's reference"
    assert not found["Genes"].warn
    assert rows(slide_card(slide, None, Survey(None, SharedGenes(9, 12, 0))))["Genes"].warn
    assert rows(slide_card(slide, None, Survey(None, None)))["Tissue"].warn


def test_a_slide_without_tissue_cannot_be_run(flat_slide, model_folder):
    blank = replace(flat_slide, spots=flat_slide.spots.iloc[:0])
    card = slide_card(blank, peek(model_folder))
    assert "No tissue" in card.obstacle
    assert rows(card)["Spots"].warn


def test_names_cannot_break_the_markup(flat_slide):
    card = slide_card(replace(flat_slide, path=Path("/a/<b>&.svs")))
    assert "&lt;b&gt;&amp;.svs" in card.html("#f00", "#888")
    assert "<b>520 × 300 px</b>" in card.html("#f00", "#888")
    assert "<b>&.svs" in card.text


def test_a_long_path_may_be_broken_in_the_markup_alone(flat_slide):
    card = slide_card(flat_slide, "/long/path is not a model.")
    assert "/\u200blong/\u200bpath is not" in card.html("#f00", "#888")
    assert "/long/path is not" in card.text


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such folder"), ("", "JSON"), ("{}", "vision"), ("[1]", "list")],
)
def test_peek_refuses_what_is_no_model(tmp_path, content, said):
    folder = tmp_path / "model"
    if content is not None:
        folder.mkdir()
        (folder / "config.json").write_text(content)
    with pytest.raises(
        InputError, match="not a model|not the configuration|config.json cannot be read"
    ) as caught:
        peek(folder)
    assert said in str(caught.value) or "Expecting value" in str(caught.value)
