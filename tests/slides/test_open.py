"""`open_slide` on everything in the real data folder, and on what is no slide."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide, sniff

OPENS = {
    "visium_sr1_mousebrain_100genes": ("spaceranger", 2695, 0.7246),
    "visium_sr1_heart_subset": ("spaceranger", 100, 0.7246),
    "visium_sr1_tiny/section1": ("spaceranger", 22, 0.7251),
    "visium_sr1_tiny/section2": ("spaceranger", 22, 0.7251),
    "visium_sr2_mousebrain_image_only": ("spaceranger", 2310, 0.2729),
    "dlpfc_151673_labels": ("spaceranger", 3639, 0.7246),
    "wsi/CMU-1-Small-Region.svs": ("image", None, 0.499),
    "wsi/openslide-small.svs": ("image", 0, 0.499),
    "wsi/openslide-boxes.tiff": ("image", 0, None),
    "her2st/app-imgs/A1_HE_image_dark.png": ("image", 0, None),
    "mouse_olfactory_bulb/HE_Rep1.jpg": ("image", 0, None),
    "other_tissue/her2st_J2_HE_image_dark.png": ("image", 0, None),
    "other_tissue/histolab_high-nuclei-score-level0.png": ("image", 0, None),
    "other_tissue/histolab_tissue-level0-4302-10273-4814-10785.png": ("image", 0, None),
    "other_tissue/skimage_ihc.png": ("image", 0, None),
}

REFUSED = {
    "README.md": "README.md is not a slide",
    "MANIFEST.tsv": "MANIFEST.tsv is not a slide",
    "breast_10x_labels": "The folder breast_10x_labels holds no slide",
    "collections": "The folder collections holds no slide",
    "mouse_olfactory_bulb": "a folder of slides. Got: HE_Rep1.jpg",
    "mouse_olfactory_bulb/MOB1.tsv.gz": "MOB1.tsv.gz is not a slide",
    "other_tissue": "a folder of slides. Got: her2st_J2_HE_image_dark.png",
    "umpire_published": "The folder umpire_published holds no slide",
    "spatialdata_blobs": "a folder of slides. Got: blobs",
    "spatialdata_blobs/blobs.zarr": "blobs.zarr holds no H&E image",
    "visium_sr1_tiny": "a folder of slides. Got: section1, section2",
    "wsi": "a folder of slides. Got: 4D",
    "wsi/4D-series.ome.tiff": "4D-series.ome.tiff holds no colour image",
    "wsi/broken.svs": "broken.svs cannot be read as a TIFF image",
    "wsi/openslide-unreadable.svs": "openslide-unreadable.svs holds a tile that cannot be decoded",
    "wsi/README.md": "README.md is not a slide",
}


@pytest.mark.real
@pytest.mark.parametrize("name", OPENS)
def test_real_slides_open(data_dir, name):
    kind, n_spots, mpp = OPENS[name]
    path = data_dir / name
    assert sniff(path) == kind
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UmpireWarning)
        slide = open_slide(path)
    assert n_spots is None or slide.n_spots == n_spots
    assert slide.scale.mpp == (None if mpp is None else pytest.approx(mpp, abs=1e-4))
    level = slide.pyramid.levels[-1]
    assert level.read(0, 0, *level.shape).shape == (*level.shape, 3)
    if slide.has_counts:
        assert slide.counts().shape == (slide.n_spots, len(slide.genes))


@pytest.mark.real
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_slide_is_refused_in_words(data_dir, name):
    with pytest.raises(InputError, match=REFUSED[name]) as caught:
        open_slide(data_dir / name)
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_nothing_in_the_data_folder_is_forgotten(data_dir):
    """Each folder and file at the top, and each file of wsi, is in one of the two tables."""
    told = {*OPENS, *REFUSED, "her2st"}
    found = {p.name for p in data_dir.iterdir()} | {
        f"wsi/{p.name}" for p in (data_dir / "wsi").iterdir()
    }
    assert found - told - {name.split("/")[0] for name in told} == set()


def test_the_joined_barcodes_of_a_real_section(data_dir):
    """Section 2 lacks a barcode that its matrix has."""
    with pytest.warns(UmpireWarning, match="1 counted barcodes have no position"):
        open_slide(data_dir / "visium_sr1_tiny" / "section2")


def test_a_wrong_path_and_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist. Check the path"):
        open_slide(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="The folder empty is empty"):
        open_slide(tmp_path / "empty")


def test_a_file_inside_of_a_slide_leads_to_its_folder(visium):
    folder = visium().folder
    for inside in ("outs/filtered_feature_bc_matrix.h5", "outs/spatial/scalefactors_json.json"):
        with pytest.raises(InputError, match=r"is not a slide.*Open the folder .*sample"):
            open_slide(folder / inside)


@pytest.mark.parametrize("name", ["a.txt", "a.h5ad", "a.zarr"])
def test_other_files_are_nobodys(tmp_path, name):
    path = tmp_path / name
    path.write_text("x")
    assert sniff(path) is None
    with pytest.raises(InputError, match=f"{name} is not a slide"):
        open_slide(path)


def test_an_ome_zarr_that_is_no_spatialdata_is_left_to_others(tmp_path):
    path = tmp_path / "plain.zarr"
    (path / "0").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    assert sniff(path) is None


def test_sniffing_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from napari_umpire.slides import sniff; "
        f"sniff({str(tmp_path)!r}); "
        "heavy = {'torch', 'spatialdata', 'scanpy', 'anndata', 'dask', 'zarr', 'tifffile'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.strip() == "[]"
