"""Sections of every layout, opened as slides with image and counts."""

from __future__ import annotations

import numpy as np
import pytest
from tifffile import imwrite

from napari_umpire.errors import InputError
from umpire_training.corpus.finding import find_sources
from umpire_training.corpus.whole_slides import opened_slides

from .. import layouts


def one(path):
    (source,) = opened_slides(find_sources([str(path)])[0])
    return source.slide


def test_a_sample_of_hest_with_its_scan(tmp_path):
    root = tmp_path / "hest"
    layouts.write_hest(root, {"H1": "Homo sapiens"})
    (root / "wsis").mkdir()
    picture = np.full((260, 420, 3), 230, np.uint8)
    for i, (y, x) in enumerate(layouts.hexagonal(4, 7).astype(int)):
        picture[y - 9 : y + 9, x - 9 : x + 9] = (i, 60, 90)
    imwrite(root / "wsis" / "H1.tif", picture, tile=(128, 128), photometric="rgb")
    slide = one(root / "st" / "H1.h5ad")
    # The first spot lies beside the tissue.
    assert list(slide.spots.index) == [f"BC{i:03d}-1" for i in range(1, 28)]
    np.testing.assert_array_equal(slide.counts().toarray(), layouts.counts_of(0, 28)[1:])
    np.testing.assert_allclose(slide.yx, layouts.hexagonal(4, 7)[1:])
    assert slide.mpp == layouts.HEST_MPP
    assert list(slide.genes.index) == layouts.GENES
    whole = slide.pyramid.levels[0].as_dask().compute()
    for i, (y, x) in enumerate(slide.yx.astype(int), start=1):
        assert whole[y, x, 0] == i


def test_a_sample_of_hest_without_its_scan_is_no_slide(tmp_path):
    layouts.write_hest(tmp_path, {"H1": "Homo sapiens"})
    said = r"patches only.*H1\.h5, which serves prepare and align.*Expected: wsis/H1\.tif besides"
    with pytest.raises(InputError, match=said):
        one(tmp_path)
    (tmp_path / "patches" / "H1.h5").unlink()
    with pytest.raises(InputError, match=r"has no image.*wsis/H1\.tif, or patches/H1\.h5"):
        one(tmp_path)


def test_a_slide_of_stimage_keeps_the_spots_that_have_counts_and_a_place(tmp_path):
    folder = tmp_path / "Visium"
    yx = layouts.write_stimage(folder, "S1")
    coords = folder / "coord" / "S1_coord.csv"
    lines = coords.read_text().splitlines()
    coords.write_text("\n".join([lines[0], *reversed(lines[3:])]) + "\n")
    slide = one(folder)
    assert list(slide.spots.index) == [f"BC{i}-1" for i in range(2, 48)]
    np.testing.assert_allclose(slide.yx, yx[2:])
    np.testing.assert_array_equal(slide.counts().toarray(), layouts.counts_of(0, 48)[2:])


def test_an_image_of_other_spots_is_refused(tmp_path):
    folder = tmp_path / "Visium"
    layouts.write_stimage(folder, "S1")
    coords = folder / "coord" / "S1_coord.csv"
    coords.write_text(coords.read_text().replace("S1_BC", "S1_XX"))
    with pytest.raises(InputError, match="no spot in common.*BC0-1 in the counts, XX0-1"):
        one(folder)


def test_counts_alone_are_no_slide(tmp_path):
    path = layouts.write_h5ad(tmp_path / "a.h5ad", layouts.counts_of(0, 5))
    with pytest.raises(InputError, match="has no image"):
        one(path)


def test_twins_of_one_name_are_told_apart(slide_paths, tmp_path):
    import shutil
    from pathlib import Path

    twin = shutil.copytree(slide_paths[0], tmp_path / "other" / Path(slide_paths[0]).name)
    first, second = opened_slides(find_sources([slide_paths[0], str(twin)])[0])
    assert first.slide.name == first.name
    assert second.slide.name == second.name == f"other/{first.name}"
