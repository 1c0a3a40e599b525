"""Tissue and shared genes of a slide, as they are told before a run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.survey import shared_genes, survey_steps, tissue_facts
from napari_umpire.progress import run
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.synthetic import make_slide
from napari_umpire.slides.tissue import TissueMask


@pytest.fixture(scope="module")
def slide():
    return make_slide(0, rows=14, cols=10, mpp=2.0)


def test_area_share_and_outline_of_a_known_rectangle(slide):
    height, width = slide.pyramid.extent
    # Cells of 8 px; the last row and column reach over the image and count only as far as it.
    mask = np.zeros((int(np.ceil(height / 8)), int(np.ceil(width / 8))), bool)
    mask[2:7, 3:13] = True
    facts = tissue_facts(slide, TissueMask(mask, 8.0))
    assert facts.area_mm2 == pytest.approx(5 * 10 * (8 * 2.0 / 1000) ** 2)
    assert facts.share == pytest.approx(5 * 10 * 64 / (height * width))
    (ring,) = facts.outlines
    # Simplified by less than half a cell.
    np.testing.assert_allclose((ring.min(0), ring.max(0)), [(16, 24), (56, 104)], atol=4.001)
    everywhere = tissue_facts(slide, TissueMask(np.ones_like(mask), 8.0))
    assert everywhere.share == pytest.approx(1.0)


def test_the_tissue_is_found_once_and_lies_under_the_spots(slide):
    survey = run(survey_steps(slide, None))
    assert survey.genes is None
    assert 0.1 < survey.tissue.share <= 1.0
    inside = np.zeros(slide.n_spots, int)
    from matplotlib.path import Path

    for ring in survey.tissue.outlines:
        inside += Path(ring).contains_points(slide.yx)
    assert np.mean(inside % 2 == 1) > 0.9
    assert run(survey_steps(slide, None)).tissue is survey.tissue


def test_without_scale_there_is_no_tissue_to_tell(slide):
    assert run(survey_steps(replace(slide, scale=PhysicalScale()), None)).tissue is None


def test_genes_are_matched_by_id_and_by_symbol():
    reference = pd.DataFrame(
        {"id": ["ENSG1", "ENSG2", ""], "symbol": ["A", "B", "C"]}, index=["ENSG1", "ENSG2", "C"]
    )
    measured = pd.DataFrame(
        {"id": ["ENSG2", "", "ENSG9"], "symbol": ["B", "C", "Z"]}, index=["ENSG2", "C", "ENSG9"]
    )
    found = shared_genes(measured, reference)
    assert (found.measured, found.reference, found.shared) == (3, 3, 2)


def test_genes_of_a_slide_and_of_a_model_folder(slide, tmp_path):
    genes = slide.genes
    (tmp_path / "reference").mkdir()
    file = tmp_path / "reference" / "genes.csv"
    half = genes.iloc[::2]
    half.set_axis(half["id"].where(half["id"] != "", half["symbol"])).rename_axis("key").to_csv(
        file
    )
    found = run(survey_steps(slide, tmp_path)).genes
    assert (found.measured, found.reference, found.shared) == (len(genes), len(half), len(half))
    file.write_text("")
    with pytest.raises(InputError, match="genes.csv is missing or damaged"):
        run(survey_steps(slide, tmp_path))


def test_no_torch_is_loaded_for_it():
    code = (
        "import sys; from napari_umpire.inference.survey import survey_steps; "
        "from napari_umpire.slides.synthetic import make_slide; "
        "from napari_umpire.progress import run; "
        "run(survey_steps(make_slide(0, rows=6, cols=5, mpp=4.0), None)); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
