"""Reduced copies and full-resolution images of a folder against each other."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide
from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
from napari_umpire.slides.thumbnails import likeness

HEIGHT, WIDTH = 1300, 1800


def section(tissue=None, seed: int = 0) -> np.ndarray:
    """A hook of tissue on glass, as high and wide as the written folders say: uint8."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    if tissue is None:
        on = (x > 100) & (x < 500) & (y > 100) & (y < 1250)
        on |= (x > 100) & (x < 1300) & (y > 100) & (y < 450)
    else:
        on = tissue(y, x)
    image = np.where(on[..., None], (205, 130, 175), (243, 240, 244)).astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 2, (HEIGHT, WIDTH, 1)).astype(np.float32)
    return (image + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(visium):
    """A folder whose reduced copies show `section`; its spots beside the tissue are left off."""
    parts = visium(counts=None)
    spatial = parts.folder / "outs/spatial"
    image = section()
    for kind, step in (("hires", 2), ("lowres", 10)):
        Image.fromarray(image[::step, ::step]).save(spatial / f"tissue_{kind}_image.png")
    y, x = (parts.array[f"pxl_{axis}_in_fullres"].to_numpy() for axis in ("row", "col"))
    array = parts.array.assign(in_tissue=(image[y, x, 1] < 200).astype(int))
    array.to_csv(spatial / "tissue_positions.csv", index=False)
    return parts.folder


def beside(folder, pixels) -> None:
    tifffile.imwrite(folder / "scan.tif", pixels, photometric="rgb", tile=(256, 256))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda a: a, id="same"),
        pytest.param(lambda a: 255 - (255 - a) // 2, id="pale"),
        pytest.param(lambda a: np.clip(a * 1.3 - 60, 0, 255).astype(np.uint8), id="contrast"),
    ],
)
def test_the_scan_itself_is_used_whatever_its_contrast(folder, change):
    beside(folder, change(section(seed=1)))
    assert list(open_slide(folder).sdata.images) == ["sample_full_image"]


OTHERS = [
    pytest.param(lambda a: a[::-1], "mirrored top to bottom", id="upside down"),
    pytest.param(lambda a: a[:, ::-1], "mirrored left to right", id="mirror"),
    pytest.param(lambda a: a[::-1, ::-1], "turned by 180 degrees", id="turned"),
    pytest.param(
        lambda a: section(lambda y, x: np.hypot(y - 900, x - 1300) < 350), "0.95", id="neighbour"
    ),
    pytest.param(lambda a: np.full_like(a, 240), "0.95", id="blank"),
]


@pytest.mark.parametrize(("change", "words"), OTHERS)
def test_another_scan_beside_the_folder_is_left_out_with_the_numbers(folder, change, words):
    beside(folder, change(section()))
    with pytest.warns(UmpireWarning, match=rf"scan.tif.*left out.*correlation.*{words}"):
        slide = open_slide(folder)
    assert list(slide.sdata.images) == ["sample_hires_image"]


@pytest.mark.parametrize(("change", "words"), OTHERS)
def test_another_scan_that_was_named_is_refused_with_the_numbers(folder, tmp_path, change, words):
    path = tmp_path / "named.tif"
    tifffile.imwrite(path, change(section()), photometric="rgb", tile=(256, 256))
    with pytest.raises(InputError, match=rf"named.tif does not show.*correlation.*{words}"):
        open_slide(folder, image=path)


def test_of_two_scans_the_one_that_looks_alike_is_used(folder):
    beside(folder, section())
    tifffile.imwrite(folder / "a.tif", section()[::-1], photometric="rgb", tile=(256, 256))
    with pytest.warns(UmpireWarning, match=r"a.tif beside the spots is left out"):
        slide = open_slide(folder)
    assert list(slide.sdata.images) == ["sample_full_image"]


@pytest.mark.parametrize("kind", ["hires", "lowres"])
def test_a_copy_of_another_size_is_refused_with_both(folder, kind):
    path = folder / f"outs/spatial/tissue_{kind}_image.png"
    image = Image.open(path)
    image.resize((2 * image.width, 2 * image.height)).save(path)
    with pytest.raises(InputError, match="two different sizes") as refused:
        open_slide(folder)
    assert "2600 x 3600" in str(refused.value)
    assert "1300 x 1800" in str(refused.value)


def test_copies_of_two_sections_are_told(folder):
    path = folder / "outs/spatial/tissue_lowres_image.png"
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    with pytest.warns(UmpireWarning, match=r"lowres image does not show.*mirrored left to right"):
        open_slide(folder)


def test_a_scale_factor_beyond_any_image_is_refused(folder):
    path = folder / "outs/spatial/scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tissue_hires_scalef": 1e-300}))
    with pytest.raises(InputError, match=r"do not belong together. Got: tissue_hires_scalef 1e-3"):
        open_slide(folder)


def test_two_blank_pictures_are_not_judged():
    blank = Pyramid((ArrayLevel(np.full((300, 200, 3), 240, np.uint8), 1.0),))
    assert likeness(blank, blank) is None
    assert not likeness(Pyramid((ArrayLevel(section(), 1.0),)), blank).same
