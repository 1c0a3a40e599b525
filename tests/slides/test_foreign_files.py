"""Values, sizes and paths of others: refused in words, before memory or time is spent."""

from __future__ import annotations

import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.genes import check_counts
from napari_umpire.slides import open_slide, open_slides, sniff
from napari_umpire.slides.readers.counts_table import read_counts

POSITIONS = "outs/spatial/tissue_positions.csv"
FACTORS = "outs/spatial/scalefactors_json.json"
H5 = "outs/filtered_feature_bc_matrix.h5"
MTX = "outs/filtered_feature_bc_matrix"


def _change_table(parts, change) -> None:
    change(parts.array.copy().astype(object)).to_csv(parts.folder / POSITIONS, index=False)


def _set(column, value, row=3):
    def change(table):
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("array_row", 1e30), r"impossible array_row. Got: 1e\+30 for spot"),
        (_set("array_col", 2.5), "impossible array_col. Got: 2.5 for spot"),
        (_set("in_tissue", 2), "impossible in_tissue. Got: 2 for spot"),
        (_set("in_tissue", None), "impossible in_tissue. Got: nothing for spot"),
        (_set("pxl_row_in_fullres", 1e300), "without a position"),
        (_set("pxl_row_in_fullres", "nan"), "without a position"),
        (_set("barcode", " "), "a spot without a barcode"),
        (lambda t: t.assign(pxl_row_in_fullres=9, pxl_col_in_fullres=9), "all 120 spots at one"),
        (lambda t: pd.concat([t.iloc[[5]]] * 9), "lists .* more than once"),
        (lambda t: t.rename(columns={"in_tissue": "tissue"}), "no column in_tissue"),
    ],
)
def test_positions_are_checked_value_by_value(visium, change, words):
    parts = visium(counts=None)
    _change_table(parts, change)
    with pytest.raises(InputError, match=words):
        open_slide(parts.folder)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda t: t.assign(in_tissue=t["in_tissue"].map({1: "TRUE", 0: "False"})), {}),
        (lambda t: t.assign(in_tissue=t["in_tissue"].astype(float)), {}),
        (lambda t: t.rename(columns=str.upper), {}),
        (lambda t: t.reset_index(), {}),
        (lambda t: t, {"encoding": "utf-8-sig"}),
        (lambda t: t, {"encoding": "utf-8-sig", "header": False}),
        (lambda t: t, {"lineterminator": "\r\n", "header": False}),
    ],
)
def test_positions_of_other_programs_are_read_alike(visium, change, options):
    parts = visium(counts=None)
    change(parts.array).to_csv(parts.folder / POSITIONS, **{"index": False, **options})
    slide = open_slide(parts.folder)
    assert list(slide.spots.index) == list(parts.tissue["barcode"])
    np.testing.assert_array_equal(slide.spots["array_row"], parts.tissue["array_row"])


@pytest.mark.parametrize("value", ["big", True, [0.5, 0.5], -0.5, "inf", {"a": 1}, int("9" * 400)])
def test_a_scale_factor_that_is_no_number_is_named(visium, value):
    parts = visium(counts=None)
    path = parts.folder / FACTORS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spot_diameter_fullres": value}))
    with pytest.raises(InputError, match=r"impossible spot_diameter_fullres.*a number above 0"):
        open_slide(parts.folder)


def test_scale_factors_as_r_writes_them(visium):
    parts = visium(counts=None)
    path = parts.folder / FACTORS
    listed = {key: [value] for key, value in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(listed), encoding="utf-8-sig")
    assert open_slide(parts.folder).scale.candidates["spot diameter"] == pytest.approx(100 / 120)


def test_an_h5_that_names_other_files_is_refused(visium, tmp_path):
    import h5py

    parts = visium()
    other = tmp_path / "other.h5"
    with h5py.File(parts.folder / H5, "r+") as file, h5py.File(other, "w") as secret:
        secret["data"] = file["matrix/data"][:]
        del file["matrix/data"]
        file["matrix/data"] = h5py.ExternalLink(str(other), "data")
    with pytest.raises(InputError, match=r"refers to another file. Got: a link to .*other.h5"):
        open_slide(parts.folder)
    with h5py.File(parts.folder / H5, "r+") as file:
        del file["matrix/data"]
        file["matrix"].create_dataset("data", (9,), "i4", external=[(str(other), 0, 36)])
    with pytest.raises(InputError, match=r"refers to another file. Got: /matrix/data in"):
        open_slide(parts.folder)


def test_an_h5_that_claims_more_than_it_holds_is_refused(visium):
    import h5py

    parts = visium()
    with h5py.File(parts.folder / H5, "r+") as file:
        del file["matrix/data"]
        file["matrix"].create_dataset("data", (10**12,), "i4", chunks=(10**6,))
    with pytest.raises(InputError, match=r"claims more than it holds. Got: 4000.0 GB by /matr"):
        open_slide(parts.folder)


@pytest.mark.parametrize("trap", ["loop", "tail"])
def test_a_damaged_h5_is_refused(visium, trap):
    import h5py

    parts = visium()
    path = parts.folder / H5
    if trap == "loop":
        with h5py.File(path, "r+") as file:
            del file["matrix/data"]
            file["matrix/data"] = h5py.SoftLink("/matrix/data")
    else:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(InputError, match=r"filtered_feature_bc_matrix.h5 cannot be read"):
        open_slide(parts.folder)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("matrix.mtx", lambda b: b.replace(b"\n12 ", b"\n4000000000 ", 1), "4,000,000,000 genes"),
        ("matrix.mtx", lambda b: _size(b, b"12"), "a header without the numbers of genes and bar"),
        ("matrix.mtx", lambda b: _entries(b, 10**12), "1,000,000,000,000 entries by its header"),
        ("matrix.mtx", lambda b: b.replace(b"\n", b"\n%" + b"c" * 10**7 + b"\n", 1), "mtx.gz"),
        ("matrix.mtx", lambda b: b + b"1 " * 10**6, "without the end of a line"),
        ("barcodes.tsv", lambda b: b + b"A\n" * 10**6, "do not fit|too large"),
        ("barcodes.tsv", lambda b: b + b"\n" * 10**7, "barcodes.tsv.gz is too large"),
        ("features.tsv", lambda b: b + b"x" * 10**6, "without the end of a line"),
    ],
)
def test_a_packed_matrix_is_bounded_by_its_header(visium, name, change, words):
    parts = visium(counts="features.tsv+gz")
    path = parts.folder / MTX / f"{name}.gz"
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes())), 1))
    with pytest.raises(InputError, match=words):
        open_slide(parts.folder)


def _entries(text: bytes, n: int) -> bytes:
    size = next(line for line in text.split(b"\n") if not line.startswith(b"%"))
    return _size(text, b" ".join([*size.split()[:2], str(n).encode()]))


def _size(text: bytes, said: bytes) -> bytes:
    lines = text.split(b"\n")
    lines[next(i for i, line in enumerate(lines) if not line.startswith(b"%"))] = said
    return b"\n".join(lines)


def test_a_table_of_counts_is_bounded(tmp_path):
    path = tmp_path / "A1.tsv.gz"
    path.write_bytes(gzip.compress(b"\tA\n1x1\t" + b"0\t" * 5_000_000, 1))
    with pytest.raises(InputError, match=r"A1.tsv.gz cannot be read.*without the end of a line"):
        read_counts(path)
    path.write_bytes(gzip.compress(b"\tA\n" + b"1x1\t0\n" * 300_000, 1))
    with pytest.raises(InputError, match="more than 200,000 rows"):
        read_counts(path)


@pytest.mark.parametrize(
    "count", [np.uint32(2**32 - 1), np.int64(2**62), np.float32(2e7), np.int32(10_000_001)]
)
def test_a_count_beyond_any_sequencer_is_refused(count):
    counts = np.zeros((2, 3), count.dtype)
    counts[1, 2] = count
    with pytest.raises(InputError, match=r"above 10,000,000: gene c at spot t"):
        check_counts(counts, genes=list("abc"), spots=list("st"))
    counts[1, 2] = 10_000_000
    assert check_counts(counts).max() == 10_000_000


@pytest.fixture
def paths(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for name in ("loop", "loop.tif"):
        (tmp_path / name).symlink_to(name)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    return tmp_path


@pytest.mark.parametrize(
    "path",
    ["pipe.tif", "loop", "loop.tif", "gone", "/dev/zero", "/dev/null", "n" * 300, "a/" * 3000,
     "a\0b", "~nobody_of_that_name/x", None, 3],
)  # fmt: skip
def test_what_is_neither_file_nor_folder_is_an_input_error(paths, path):
    given = paths / path if isinstance(path, str) and path[0] not in "/~" else path
    with pytest.raises(InputError):
        open_slides(given)
    if isinstance(path, str):
        assert sniff(given) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_without_rights_is_an_input_error(visium):
    spatial = visium().folder / "outs/spatial"
    spatial.chmod(0)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            open_slides(spatial.parent)
    finally:
        spatial.chmod(0o755)


def test_a_fault_that_nobody_foresaw_is_said_so(visium, monkeypatch, caplog):
    from napari_umpire.slides.readers import spaceranger

    def fail(*_args, **_options):
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr(spaceranger, "find_files", fail)
    with pytest.raises(InputError, match="An unexpected ZeroDivisionError: float") as caught:
        open_slide(visium().folder)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "Traceback" in caplog.text
    assert "in fail" in caplog.text


@pytest.mark.parametrize("name", ["𠮷🧬 run", os.fsdecode(b"caf\xe9"), "two\nlines", "~root"])
def test_any_name_that_a_file_system_allows_opens(visium, name):
    parts = visium()
    folder = parts.folder.with_name(name)
    parts.folder.rename(folder)
    assert open_slide(folder).n_spots == len(parts.barcodes)


def test_legacy_sections_from_a_mac_and_with_foreign_columns(tmp_path, ramp):
    from PIL import Image

    for folder in ("ST-cnts", "ST-spotfiles", "ST-imgs/A/A1"):
        (tmp_path / folder).mkdir(parents=True)
    x, y = (g.ravel() for g in np.meshgrid(np.arange(2, 12), np.arange(3, 9)))
    spots = pd.DataFrame({"x": x, "y": y, "pixel_x": x * 100.0, "pixel_y": y * 100.0})
    spots["selected"] = np.where(x > 3, "TRUE", "FALSE")
    ids = [f"{a}x{b}" for a, b in zip(x, y, strict=True)]
    pd.DataFrame(1, index=ids, columns=["A", "B"]).to_csv(tmp_path / "ST-cnts/A1.tsv.gz", sep="\t")
    table = tmp_path / "ST-spotfiles/A1_selection.tsv"
    spots.to_csv(table, sep="\t", index=False)
    image = tmp_path / "ST-imgs/A/A1/HE.png"
    Image.fromarray(ramp()).save(image)
    for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07" + bytes(200))
    (slide,) = open_slides(tmp_path)
    assert slide.n_spots == (x > 3).sum()
    spots.assign(pixel_x=spots["pixel_x"].where(x != 7)).to_csv(table, sep="\t", index=False)
    with pytest.warns(UmpireWarning, match="6 spots of A1_selection.tsv without a position"):
        assert open_slide(image).n_spots == (x > 3).sum() - 6
    spots.assign(x=1e30).to_csv(table, sep="\t", index=False)
    with pytest.raises(InputError, match="impossible x. Got: 1e"):
        open_slide(image)
    spots.to_csv(table, sep="\t", index=False)
    image.with_name("HE_old.png").write_bytes(image.read_bytes())
    with pytest.raises(InputError, match=r"several images. Got: .*HE.png, .*HE_old.png"):
        open_slide(tmp_path / "ST-cnts/A1.tsv.gz")
