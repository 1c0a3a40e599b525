"""Which paths are claimed, and what becomes of them."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_umpire.plugin.layers.make import KEY
from napari_umpire.plugin.opening import open_steps
from napari_umpire.plugin.reader import get_reader, read_slides
from napari_umpire.slides.synthetic import write_spaceranger


def picture(path, height, width, **more):
    Image.fromarray(np.full((height, width, 3), 200, np.uint8)).save(path, **more)
    return str(path)


def tiff(path, shape, **more):
    tifffile.imwrite(path, np.full(shape, 200, np.uint8), **more)
    return str(path)


@pytest.fixture
def said(monkeypatch):
    """The notifications shown, as (severity, text)."""
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    return lambda: [(str(n.severity), n.message) for n in notification_manager.records]


def test_small_pictures_stay_with_napari(tmp_path):
    assert get_reader(picture(tmp_path / "a.png", 1400, 3000)) is None
    assert get_reader(picture(tmp_path / "a.jpg", 300, 300)) is None
    assert get_reader(tiff(tmp_path / "a.tif", (300, 400, 3), photometric="rgb")) is None


def test_large_colour_pictures_are_slides(tmp_path):
    assert get_reader(picture(tmp_path / "a.png", 1500, 1600)) is read_slides
    assert get_reader(tiff(tmp_path / "a.tif", (1600, 1500, 3), photometric="rgb")) is read_slides


def test_pictures_beyond_pillows_limit_are_slides(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.jpg", 1500, 1600)
    for limit in (1000, 1_300_000):  # Pillow refuses the picture, and warns of it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert get_reader(path) is read_slides
        assert limit == Image.MAX_IMAGE_PIXELS


def test_the_size_is_said_before_the_slide_is_open(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.jpg", 150, 160)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    steps = open_steps(path)
    assert [next(steps).stage for _ in range(2)] == ["Opening a.jpg", "Opening a.jpg, 160 × 150 px"]


def test_microscope_stacks_and_masks_stay_with_napari(tmp_path):
    assert get_reader(tiff(tmp_path / "z.tif", (4, 1600, 1600), photometric="minisblack")) is None
    assert get_reader(tiff(tmp_path / "mask.tif", (2000, 2000))) is None


def test_a_small_tiff_that_says_that_it_is_a_slide_is_claimed(tmp_path):
    ome = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "axes": "YXS"}
    path = tmp_path / "s.ome.tif"
    tifffile.imwrite(path, np.zeros((300, 400, 3), np.uint8), photometric="rgb", metadata=ome)
    assert get_reader(str(path)) is read_slides


def test_a_slide_after_a_fluorescence_scan_in_one_file_is_claimed(tmp_path):
    path = tmp_path / "both.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as out:
        out.write(np.zeros((3, 400, 500), np.uint8), photometric="minisblack")
        out.write(np.full((1500, 1600, 3), 200, np.uint8), photometric="rgb")
    assert get_reader(str(path)) is read_slides


def test_other_files_and_folders_are_not_ours(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "image.zarr").mkdir()
    (tmp_path / "image.zarr" / ".zattrs").write_text('{"multiscales": []}')
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name in ("notes.txt", "image.zarr", "broken.png", "absent.svs", ""):
        assert get_reader(str(tmp_path / name)) is None
    assert get_reader([]) is None


def test_a_list_is_claimed_only_where_all_of_it_is_ours(tmp_path):
    large = picture(tmp_path / "l.png", 1500, 1500)
    small = picture(tmp_path / "s.png", 150, 150)
    assert get_reader([large, large]) is read_slides
    assert get_reader([large, small]) is None


def test_a_space_ranger_folder_becomes_a_layer_in_um(slide, tmp_path, said):
    folder = write_spaceranger(slide, tmp_path / "outs")
    reader = get_reader(str(folder))
    assert reader is read_slides
    ((levels, attributes, kind),) = reader(str(folder))
    assert kind == "image"
    opened = attributes["metadata"][KEY]["slide"]
    assert attributes["metadata"]["sdata"] is opened.sdata
    assert opened.n_spots == slide.n_spots
    assert attributes["units"] == ("um", "um")
    step = opened.pyramid.levels[0].downsample * opened.mpp
    assert attributes["scale"] == pytest.approx((step, step))
    assert all(level.dtype == np.uint8 for level in levels)
    assert not said()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")
def test_a_spatialdata_store_opens_as_what_it_was_made_from(slide, tmp_path, said):
    from napari_umpire.slides.convert import write_slide

    store = write_slide(slide, tmp_path / "section.zarr")
    assert get_reader(str(store)) is read_slides
    ((levels, attributes, _),) = read_slides(str(store))
    opened = attributes["metadata"][KEY]["slide"]
    assert list(opened.spots.index) == list(slide.spots.index)
    assert opened.mpp == pytest.approx(slide.mpp)
    first = slide.pyramid.levels[0]
    np.testing.assert_array_equal(np.asarray(levels[0]), first.read(0, 0, *first.shape))
    assert not said()


def test_a_picture_without_scale_is_shown_in_pixels_and_asks(tmp_path, said):
    ((_, attributes, _),) = read_slides(picture(tmp_path / "he.png", 1500, 1600))
    assert attributes["units"] == ("pixel", "pixel")
    assert attributes["scale"] == (1.0, 1.0)
    ((severity, text),) = said()
    assert severity == "warning"
    assert text.startswith("Enter the µm per pixel in Predict")  # napari folds what follows


@pytest.mark.parametrize("content", [b"", b"II*\0 not a tiff"], ids=["empty", "garbage"])
def test_a_broken_slide_is_a_sentence_and_no_traceback(tmp_path, said, content):
    path = tmp_path / "broken.svs"
    path.write_bytes(content)
    assert get_reader(str(path)) is read_slides
    assert read_slides(str(path)) == [(None,)]
    ((severity, text),) = said()
    assert severity == "error"
    assert "broken.svs" in text
    assert "Traceback" not in text


def test_a_broken_slide_dropped_on_the_window_adds_nothing(make_napari_viewer, tmp_path, said):
    path = tmp_path / "broken.svs"
    path.write_bytes(b"")
    viewer = make_napari_viewer()
    assert viewer.open(str(path), plugin="napari-umpire") == []
    assert [severity for severity, _ in said()] == ["error"]


def test_real_slides_are_shown_or_refused_in_a_sentence(data_dir, said):
    for path in sorted((data_dir / "wsi").iterdir()):
        reader = get_reader(str(path))
        if reader is None:
            continue
        before = len(said())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layers = reader(str(path))
        if layers == [(None,)]:
            assert len(said()) == before + 1
            assert said()[-1][0] == "error"
        else:
            levels, attributes, _ = layers[0]
            assert attributes["rgb"]
            assert np.asarray(levels[-1]).shape[-1] == 3


def test_asking_whose_a_file_is_imports_nothing_heavy(tmp_path):
    path = picture(tmp_path / "a.png", 1600, 1600)
    code = (
        "import sys; from napari_umpire.plugin.reader import get_reader; "
        f"assert get_reader({path!r}); "
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "spatialdata", "anndata", "dask", "zarr", "napari", "scanpy", "sklearn"}
    assert not heavy & set(out.stdout.split())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")
def test_the_sample_opens_from_napari(make_napari_viewer):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-umpire", "synthetic")
    assert layer.metadata[KEY]["slide"].has_counts
    assert layer.multiscale
    assert layer.rgb
