"""Results of a slide that is no store: a new one beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import WrittenResult, write_results
from napari_umpire.slides.synthetic import make_slide, write_spaceranger

from .written import assert_holds, picture, prediction_of, read

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.slide import Slide


def test_an_image_gets_a_store_beside_it(tmp_path: Path, synthetic: Slide) -> None:
    slide = open_slide(picture(tmp_path, synthetic), mpp=1.0)
    table = prediction_of(slide)
    result = write_results(slide, table, name="umpire_predicted")
    assert result == WrittenResult(tmp_path / "section 7.zarr", "umpire_predicted")
    assert_holds(result, slide, table)
    again = open_slide(result.path)
    assert again.mpp == 1.0
    assert again.platform == "image"
    assert not again.has_counts
    np.testing.assert_allclose(again.yx, slide.yx)
    assert again.spots.index.equals(slide.spots.index)
    # A second result goes to the same store.
    second = write_results(slide, table, name="umpire_predicted")
    assert second == WrittenResult(result.path, "umpire_predicted_2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["section 7.png", "section 7.zarr"]


def test_a_store_that_is_anothers_is_left_alone(tmp_path: Path, synthetic: Slide) -> None:
    path = picture(tmp_path, synthetic)
    (tmp_path / "section 7.zarr").mkdir()
    write_slide(make_slide(3, rows=8, cols=7), tmp_path / "section 7_2.zarr")
    slide = open_slide(path, mpp=1.0)
    result = write_results(slide, prediction_of(slide), name="r")
    assert result.path == tmp_path / "section 7_3.zarr"
    assert list((tmp_path / "section 7.zarr").iterdir()) == []
    # Another scale gives other spots, so that store is not this slide's either.
    coarser = open_slide(path, mpp=1.2)
    assert write_results(coarser, prediction_of(coarser), name="r").path.name == "section 7_4.zarr"


def test_the_overview_is_small_and_lies_under_the_spots(tmp_path: Path) -> None:
    slide = make_slide(4, rows=26, cols=12)
    assert max(slide.pyramid.levels[0].shape) > 2000
    result = write_results(slide, prediction_of(slide), name="r", store=tmp_path / "x.zarr")
    again = open_slide(result.path)
    level = again.pyramid.levels[0]
    assert max(level.shape) <= 2000
    assert level.downsample == 2
    np.testing.assert_allclose(again.yx, slide.yx, atol=1e-6)
    np.testing.assert_array_equal(
        level.read(0, 0, *level.shape),
        slide.pyramid.levels[1].read(0, 0, *slide.pyramid.levels[1].shape),
    )
    # SpatialData itself places it: its transformation to "global" is the factor of two.
    sdata = read(result.path)
    from spatialdata.transformations import get_transformation

    (image,) = sdata.images.values()
    matrix = get_transformation(image).to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_allclose(matrix, np.diag([2, 2, 1]))


def test_a_space_ranger_folder_gets_a_store_with_its_counts(
    tmp_path: Path, synthetic: Slide
) -> None:
    slide = open_slide(write_spaceranger(synthetic, tmp_path / "sample"))
    table = prediction_of(slide)
    result = write_results(slide, table, name="r")
    assert result.path == tmp_path / "sample.zarr"
    assert_holds(result, slide, table)
    again = open_slide(result.path)
    assert (again.counts() != slide.counts()).nnz == 0
    assert again.scale == slide.scale


def test_a_slide_in_memory_needs_a_place(tmp_path: Path, synthetic: Slide) -> None:
    with pytest.raises(InputError, match="store="):
        write_results(synthetic, prediction_of(synthetic), name="r")
    result = write_results(synthetic, prediction_of(synthetic), name="r", store=tmp_path / "m.zarr")
    assert_holds(result, synthetic, prediction_of(synthetic))
    again = write_results(synthetic, prediction_of(synthetic), name="r", store=tmp_path / "m.zarr")
    assert again.element == "r_2"


def test_a_real_section(tmp_path: Path, her2st: Path) -> None:
    with pytest.warns(match="no counts"):
        slide = open_slide(her2st / "ST-cnts" / "C3.tsv.gz")
    table = prediction_of(slide)
    result = write_results(slide, table, name="r", store=tmp_path / "C3.zarr")
    assert_holds(result, slide, table)
    again = open_slide(result.path)
    assert again.platform == "st"
    assert again.mpp == slide.mpp
    assert (again.counts() != slide.counts()).nnz == 0


def test_sections_of_one_collection_do_not_share_a_store(tmp_path: Path, synthetic: Slide) -> None:
    folder = tmp_path / "her2st"
    folder.mkdir()
    for name in ("C3", "C4"):
        slide = replace(synthetic, name=name, path=folder, platform="st")
        result = write_results(slide, prediction_of(slide), name="r")
        assert result.path == tmp_path / f"her2st_{name}.zarr"
