"""The folder layouts of collections, each against what was written into it."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.progress import run
from umpire_training.corpus.finding import find_sources
from umpire_training.corpus.hest import HestSource
from umpire_training.corpus.paired import PairedSet, build_paired
from umpire_training.corpus.vocabulary import make_vocabulary
from umpire_training.options import PatchOptions, QcOptions, TokenOptions, VocabularyOptions

from .. import layouts

QC = QcOptions(min_genes=5)
TOKENS = TokenOptions(length=16)


def pair(sources, folder, **patches):
    vocabulary = make_vocabulary(sources, VocabularyOptions(), QC)
    options = PatchOptions(**{"size_px": 224, **patches})
    return run(build_paired(sources, vocabulary, folder, patches=options, tokens=TOKENS, qc=QC))


# -- HEST-1k ------------------------------------------------------------------------------------


@pytest.fixture
def hest(tmp_path):
    root = tmp_path / "hest"
    layouts.write_hest(root, {"H1": "Homo sapiens", "M1": "Mus musculus", "H2": "Homo sapiens"})
    return root


def test_hest_samples_with_what_the_index_says(hest):
    sources, _ = find_sources([str(hest)])
    assert [(s.name, s.species, s.technology) for s in sources] == [
        ("H1", "Homo sapiens", "Visium"), ("H2", "Homo sapiens", "Visium"),
        ("M1", "Mus musculus", "Visium"),
    ]  # fmt: skip
    (hest / "HEST_v1_1_0.csv").unlink()
    (one,), _ = find_sources([str(hest / "st" / "M1.h5ad")])
    assert isinstance(one, HestSource)
    assert (one.name, one.species) == ("M1", "Mus musculus"), "of metadata/M1.json"


def test_hest_counts_are_those_in_tissue(hest):
    _, (source, *_) = find_sources([], [str(hest)])
    (chunk,) = source.chunks()
    np.testing.assert_array_equal(chunk.counts.toarray(), layouts.counts_of(0, 28)[1:])
    assert chunk.outside == 1
    assert chunk.rows.tolist() == list(range(1, 28))
    assert chunk.spots[0] == "BC001-1"


def test_hest_patches_go_to_their_spots(hest, tmp_path):
    sources, _ = find_sources([str(hest / "st" / "H1.h5ad")])
    pairs = pair(sources, tmp_path / "pairs")
    (slide,) = pairs.slides
    spots = slide.spots()
    good = (layouts.counts_of(0, 28) > 0).sum(1) >= 5
    wanted = [f"BC{i:03d}-1" for i in range(1, 27) if good[i]]  # 0: no tissue; 27: no patch
    assert spots.index.tolist() == wanted
    numbers = np.array([int(s[2:5]) for s in wanted])
    np.testing.assert_array_equal(slide.patches[:, 112, 112, 0], numbers)
    assert slide.patches[:, 0, 0].min() == 255
    np.testing.assert_allclose(spots[["y", "x"]], layouts.hexagonal(4, 7)[numbers])
    assert slide.facts()["pitch_px"] == pytest.approx(layouts.PITCH_PX)
    fact = pairs.facts["slides"][0]
    assert fact["mpp"] == layouts.HEST_MPP
    assert fact["n_without_image"] == int(good[27])
    scaled = layouts.counts_of(0, 28)[numbers].astype(float)
    scaled = np.log1p(scaled / scaled.sum(1, keepdims=True) * 1e4)
    columns = [layouts.GENES.index(g) for g in pairs.vocabulary.ids]
    np.testing.assert_allclose(slide.expression().toarray(), scaled[:, columns], rtol=1e-5)


def test_hest_patches_are_cropped_and_resampled(hest, tmp_path):
    sources, _ = find_sources([str(hest / "st" / "H1.h5ad")])
    small = pair(sources, tmp_path / "small", size_px=56).slides[0]
    assert small.patches.shape[1:] == (56, 56, 3)
    assert small.patches[0, 0, 0, 0] == 255
    middle = pair(sources, tmp_path / "middle", field_um=56.0, size_px=56).slides[0]
    assert (np.ptp(middle.patches, axis=(1, 2, 3)) == 0).all(), "the corners are cropped away"
    with pytest.raises(InputError, match="show too little.*112 um.*150 um"):
        pair(sources, tmp_path / "wide", field_um=150.0)
    with pytest.raises(InputError, match="too coarse"):
        pair(sources, tmp_path / "fine", field_um=28.0)
    with pytest.raises(InputError, match="cannot be white-balanced"):
        pair(sources, tmp_path / "white", white_balance=True)


def change(path, **data):
    with h5py.File(path, "r+") as file:
        for key, edit in data.items():
            value = edit(file[key][:])
            del file[key]
            file[key] = value


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"barcode": lambda b: np.roll(b, 5)}, r"disagree.*patches more than half a pitch from"),
        ({"barcode": lambda b: b[:-1]}, r"disagree.*27 images, 26 barcodes"),
        ({"barcode": lambda b: np.where(b == b[3], b[4], b)}, r"disagree.*more than once"),
        ({"barcode": lambda b: np.char.add(b, b"x")}, r"disagree.*27 of 27 patches with a barcode"),
        ({"img": lambda i: i[..., 0]}, r"H1\.h5 is not a file of patches.*\(27, 224, 224\)"),
    ],
    ids=["permuted", "fewer", "twice", "unknown", "grey"],
)
def test_hest_images_and_spots_that_disagree(hest, tmp_path, edit, said):
    change(hest / "patches" / "H1.h5", **edit)
    sources, _ = find_sources([str(hest / "st" / "H1.h5ad")])
    with pytest.raises(InputError, match=said):
        pair(sources, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_hest_without_patches_cuts_them_from_the_scan(hest, tmp_path):
    from tifffile import imwrite

    (hest / "patches" / "H1.h5").unlink()
    sources, _ = find_sources([str(hest / "st" / "H1.h5ad")])
    with pytest.raises(InputError, match=r"no image.*wsis/H1\.tif"):
        pair(sources, tmp_path / "none")
    (hest / "wsis").mkdir()
    scan = np.full((260, 420, 3), 250, np.uint8)
    for i, (y, x) in enumerate(layouts.hexagonal(4, 7).round().astype(int)):
        scan[y - 8 : y + 8, x - 8 : x + 8] = i * 7
    imwrite(hest / "wsis" / "H1.tif", scan, tile=(64, 64), photometric="rgb")
    slide = pair(sources, tmp_path / "pairs", size_px=44).slides[0]
    numbers = np.array([int(s[2:5]) for s in slide.spots().index])
    assert 27 in numbers, "no patch file, no spot without a patch"
    np.testing.assert_array_equal(slide.patches[:, 22, 22, 0], numbers * 7)


# -- STImage-1K4M -------------------------------------------------------------------------------


@pytest.mark.parametrize("swap", [False, True], ids=["as written", "swapped"])
def test_stimage_axes_are_checked_on_the_image(tmp_path, swap):
    folder = tmp_path / "STimage" / "Visium"
    yx = layouts.write_stimage(folder, "S1", swap=swap)
    (source,), _ = find_sources([str(folder.parent)])
    assert (source.name, source.technology) == ("S1", "Visium")
    if swap:
        with pytest.warns(UmpireWarning, match="swapped; spots lie on the image only that way"):
            images = source.images()
    else:
        images = source.images()
    np.testing.assert_allclose(images.spots[["y", "x"]], yx)
    assert images.mpp == pytest.approx(2.5)
    assert images.spots.index[3] == "BC3-1"


def test_stimage_pairs(tmp_path):
    folder = tmp_path / "Visium"
    layouts.write_stimage(folder, "S1", seed=4)
    sources, _ = find_sources([str(folder / "gene_exp" / "S1_count.csv")])
    pairs = pair(sources, tmp_path / "pairs", field_um=50.0, size_px=20)
    numbers = [int(s[2:].split("-")[0]) for s in pairs.slides[0].spots().index]
    np.testing.assert_array_equal(pairs.slides[0].patches[:, 10, 10, 0], numbers)


def test_stimage_on_a_square_image_tissue_decides(tmp_path):
    from PIL import Image

    folder = tmp_path / "Visium"
    yx = layouts.write_stimage(folder, "S1", swap=True)
    picture = np.full((700, 700, 3), 240, np.uint8)
    for y, x in yx.astype(int):
        picture[y - 12 : y + 12, x - 12 : x + 12] = (90, 80, 120)
    Image.fromarray(picture).save(folder / "image" / "S1.png")
    (source,), _ = find_sources([str(folder)])
    with pytest.warns(UmpireWarning, match="swapped; spots 100% lie on tissue that way"):
        images = source.images()
    np.testing.assert_allclose(images.spots[["y", "x"]], yx)


def test_stimage_image_of_another_slide_is_refused(tmp_path):
    from PIL import Image

    folder = tmp_path / "ST"
    layouts.write_stimage(folder, "S1")
    Image.new("RGB", (100, 90)).save(folder / "image" / "S1.png")
    (source,), _ = find_sources([str(folder)])
    with pytest.raises(InputError, match=r"image and the spots of slide S1 disagree.*90 x 100 px"):
        source.images()


def test_the_real_coordinates_of_one_slide(data_dir, tmp_path):
    """Yaxis is the height: the same section's published spot file has it as pixel_y."""
    name = "Human_Breast_Andersson_10142021_ST_A1"
    real = data_dir / "collections" / f"{name}_coord.csv"
    if not real.is_file():
        pytest.skip("needs the coordinates of a real slide")
    folder = tmp_path / "ST"
    for part in ("gene_exp", "coord"):
        (folder / part).mkdir(parents=True)
    (folder / "coord" / real.name).write_bytes(real.read_bytes())
    (folder / "gene_exp" / f"{name}_count.csv").write_text(f",A\n{name}_10x13,3\n")
    (source,), _ = find_sources([str(folder)])
    coords = source._coords()
    spots = pd.read_csv(data_dir / "her2st" / "ST-spotfiles" / "A1_selection.tsv", sep="\t")
    spots.index = spots["x"].astype(str) + "x" + spots["y"].astype(str)
    both = spots.index.intersection(coords.index)
    assert len(both) == len(coords)
    np.testing.assert_allclose(coords.loc[both, "yaxis"], spots.loc[both, "pixel_y"])
    np.testing.assert_allclose(coords.loc[both, "xaxis"], spots.loc[both, "pixel_x"])


def test_stimage_counts_against_pandas(tmp_path, monkeypatch):
    from umpire_training.corpus import stimage

    monkeypatch.setattr(stimage, "_ROWS", 7)
    folder = tmp_path / "ST"
    layouts.write_stimage(folder, "S1", seed=2)
    path = folder / "gene_exp" / "S1_count.csv"
    text = path.read_text().splitlines()
    text[3] = text[3].replace(",0", ",0.0").replace(",2", ",2e0")
    text[4] = text[4].replace(",", ".0,").replace(".0,", ",", 1) + ".00"
    path.write_text("\r\n".join(text) + "\r\n")
    table = pd.read_csv(path, index_col=0)
    (source,), _ = find_sources([str(path)])
    chunks = list(source.chunks())
    assert [c.counts.shape[0] for c in chunks] == [7] * 6 + [6]
    np.testing.assert_array_equal(np.vstack([c.counts.toarray() for c in chunks]), table)
    assert np.concatenate([c.rows for c in chunks]).tolist() == list(range(48))
    assert chunks[0].genes.index.tolist() == layouts.GENES


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda t: t[: len(t) // 2], r"S1_count\.csv cannot be read.*was the file cut short"),
        (
            lambda t: t.replace("_BC5-1,", "_BC5-1,x"),
            r"S1_count\.csv cannot be read.*could not conv",
        ),
        (lambda t: t.replace("_BC5-1,", "_BC5-1,0.5"), r"S1_count\.csv is not a whole number"),
        (lambda t: t.replace("_BC5-1,", "_BC5-1,-"), r"S1_count\.csv is negative"),
        (lambda t: "", r"S1_count\.csv cannot be read.*no column of a gene"),
    ],
    ids=["cut", "word", "fraction", "negative", "empty"],
)
def test_stimage_counts_that_are_none(tmp_path, edit, said):
    layouts.write_stimage(tmp_path / "ST", "S1", seed=2)
    path = tmp_path / "ST" / "gene_exp" / "S1_count.csv"
    path.write_text(edit(path.read_text()))
    (source,), _ = find_sources([str(path)])
    with pytest.raises(InputError, match=said):
        list(source.chunks())


# -- finding ------------------------------------------------------------------------------------


def test_names_are_told_apart_by_folders(tmp_path):
    files = [
        layouts.write_h5ad(tmp_path / folder / "A1.h5ad", layouts.counts_of(i, 9))
        for i, folder in enumerate(("one", "two", "deep/two"))
    ]
    _, found = find_sources([], files)
    assert [s.name for s in found] == ["A1", "two/A1", "two/A1 (2)"]
    with pytest.raises(InputError, match="named twice"):
        find_sources([], [files[0], str(tmp_path / "one")])


def test_what_is_no_source(tmp_path):
    with pytest.raises(InputError, match="There is nothing at"):
        find_sources([], [str(tmp_path / "absent")])
    (tmp_path / "empty").mkdir()
    (tmp_path / "hest" / "st").mkdir(parents=True)
    # What is there and is nothing is a source of its own, which fails when it is read.
    (empty, sample), _ = find_sources([str(tmp_path / "empty"), str(tmp_path / "hest")])
    with pytest.raises(InputError, match="empty"):
        next(empty.chunks())
    with pytest.raises(InputError, match="has no sample"):
        sample.images()
    with pytest.raises(InputError, match="No sources were given"):
        find_sources([])


def test_a_paired_set_opens_again(hest, tmp_path):
    sources, _ = find_sources([str(hest / "st" / "H1.h5ad"), str(hest / "st" / "H2.h5ad")])
    pairs = pair(sources, tmp_path / "pairs", size_px=24)
    again = PairedSet.open(tmp_path / "pairs")
    assert again.n_spots == pairs.n_spots == sum(len(s.tokens) for s in again.slides)
    neighbours = again.slides[0].neighbours(6, 1.6)
    assert neighbours.shape == (len(again.slides[0].tokens), 6)
