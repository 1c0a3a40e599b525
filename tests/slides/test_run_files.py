"""Files of a Space Ranger folder by their names: one sample, nothing hidden, nothing mixed."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.run import make_record
from napari_umpire.slides import open_slide, sniff


def _prefixed(parts, prefix: str):
    """The folder of a written run, each of its files with a prefix."""
    outs = parts.folder / "outs"
    for path in [*outs.iterdir(), *(outs / "spatial").iterdir()]:
        if path.is_file():
            path.rename(path.with_name(f"{prefix}{path.name}"))
    return outs


def _series(visium):
    """GSM1 and GSM2 in one folder; the spots of GSM2 lie 40 px lower. Counts of GSM2 only."""
    first = _prefixed(visium(name="series"), "GSM1_")
    (first / "GSM1_filtered_feature_bc_matrix.h5").unlink()
    parts = visium(name="other")
    table = parts.folder / "outs/spatial/tissue_positions.csv"
    moved = pd.read_csv(table)
    moved["pxl_row_in_fullres"] += 40
    moved.to_csv(table, index=False)
    second = _prefixed(parts, "GSM2_")
    shutil.copytree(second, first, dirs_exist_ok=True)
    return first, parts


def test_companions_of_macos_are_passed_over(visium):
    parts = visium(counts="features.tsv+gz")
    for path in [p for p in parts.folder.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07" + bytes(200))
    slide = open_slide(parts.folder)
    assert slide.n_spots == len(parts.barcodes)
    assert slide.has_counts


def test_a_companion_itself_leads_to_its_file(tmp_path):
    (tmp_path / "._scan.jpg").write_bytes(bytes(100))
    with pytest.raises(InputError, match=r"companion that macOS writes.*Open scan.jpg"):
        open_slide(tmp_path / "._scan.jpg")


def test_two_samples_are_not_mixed(visium):
    outs, _ = _series(visium)
    with pytest.raises(InputError, match=r"files of 2 samples. Got: GSM1, GSM2.*region='GSM1'"):
        open_slide(outs)
    with pytest.raises(InputError, match=r"no region 'GSM3'. Got: GSM1, GSM2"):
        open_slide(outs, region="GSM3")


def test_a_named_sample_is_opened_with_its_own_files_only(visium):
    outs, parts = _series(visium)
    first, second = (open_slide(outs, region=sample) for sample in ("GSM1", "GSM2"))
    assert (first.name, second.name, second.region) == ("GSM1", "GSM2", "GSM2")
    assert not first.has_counts
    assert second.counts().shape == parts.counts.shape
    np.testing.assert_array_equal(second.yx[:, 0], first.yx[:, 0] + 40)
    assert open_slide(outs, region="GSM2", name="mine").region == "GSM2"


def test_a_sample_opens_again_by_its_record(visium):
    outs, _ = _series(visium)
    model = SimpleNamespace(
        source="m", path=outs, digest="d", device="cpu", bf16=False, module=SimpleNamespace()
    )
    for name in (None, "mine"):
        slide = open_slide(outs, region="GSM2", name=name)
        record = make_record(model, slide, 1)
        again = open_slide(record.slide, region=record.region, mpp=record.mpp)
        np.testing.assert_array_equal(again.yx, slide.yx)
    alone = open_slide(visium(name="alone").folder, name="mine")
    assert make_record(model, alone, 1).region is None


def test_counts_with_a_prefix_beside_a_plain_spatial_folder_are_its_own(visium):
    parts = visium()
    outs = parts.folder / "outs"
    (outs / "filtered_feature_bc_matrix.h5").rename(outs / "V1_filtered_feature_bc_matrix.h5")
    assert open_slide(parts.folder).has_counts


@pytest.mark.parametrize(
    "other",
    [
        "filtered_feature_bc_matrix.h5",
        "spatial/scalefactors_json.json",
        "spatial/tissue_hires_image.png",
    ],
)
def test_a_part_of_another_prefix_is_refused(visium, other):
    outs = _prefixed(visium(), "A_")
    path = outs / other
    path.with_name(f"A_{path.name}").rename(path.with_name(f"B_{path.name}"))
    if "hires" in other:
        (outs / "spatial/A_tissue_lowres_image.png").unlink()
    with pytest.raises(InputError, match=r"begin with different names.*A_tissue_pos.*B_"):
        open_slide(outs)


def test_an_image_more_is_named(visium):
    spatial = visium().folder / "outs/spatial"
    shutil.copy(spatial / "tissue_hires_image.png", spatial / "old_tissue_hires_image.png")
    with pytest.warns(UmpireWarning, match=r"old_tissue_hires.* may belong to another sample"):
        open_slide(spatial)
    (spatial / "old_tissue_hires_image.png").unlink()
    Image.open(spatial / "tissue_hires_image.png").save(spatial / "tissue_hires_image.jpg")
    with pytest.warns(UmpireWarning, match="tissue_hires_image.png the first is used"):
        open_slide(spatial)


def test_two_tables_of_positions_must_agree(visium):
    parts = visium()
    spatial = parts.folder / "outs/spatial"
    old = spatial / "tissue_positions_list.csv"
    parts.array.to_csv(old, index=False, header=False)
    assert open_slide(parts.folder).n_spots
    parts.array.assign(pxl_row_in_fullres=parts.array["pxl_row_in_fullres"] + 9).to_csv(
        old, index=False, header=False
    )
    with pytest.raises(InputError, match=r"two tables of positions that differ.*list.csv"):
        open_slide(parts.folder)


def test_segmented_cells_are_told_from_spots(visium):
    parts = visium(positions=None, counts=None)
    run = parts.folder / "outs"
    cells = run / "segmented_outputs"
    cells.mkdir()
    (run / "spatial").rename(cells / "spatial")
    (cells / "cell_segmentations.geojson").write_text("{}")
    for path in (parts.folder, run, cells):
        assert sniff(path) == "spaceranger"
        with pytest.raises(InputError, match=r"segmented cells.*binned_outputs of the same run"):
            open_slide(path)
    (run / "binned_outputs/square_008um").mkdir(parents=True)
    with pytest.raises(InputError, match=r"Open binned_outputs/square_008um of the same run"):
        open_slide(cells)


def test_joined_runs_are_told_from_one(visium):
    parts = visium()
    spatial = parts.folder / "outs/spatial"
    inside = list(spatial.iterdir())
    for library in ("A", "B"):
        (spatial / library).mkdir()
        for path in inside:
            shutil.copy(path, spatial / library)
    for path in inside:
        path.unlink()
    for path in (parts.folder, spatial, spatial / "B"):
        with pytest.raises(InputError, match=r"aggr` has joined. Got: A, B.*spaceranger count"):
            open_slide(path)


def test_the_folder_of_one_sample_in_spatial_is_not_taken_for_joined_runs(visium):
    run = visium().folder / "outs"
    inside = list((run / "spatial").iterdir())
    sample = run / "spatial/GSM1"
    sample.mkdir()
    for path in inside:
        path.rename(sample / path.name)
    with pytest.raises(InputError, match=r"GSM1 holds the files of a spatial folder under another"):
        open_slide(sample)
    (run / "aggregation.csv").write_text("library_id\nGSM1\n")
    with pytest.raises(InputError, match=r"aggr` has joined. Got: GSM1"):
        open_slide(sample)


def test_a_folder_around_the_run_that_may_not_be_listed_stops_nothing(visium, monkeypatch):
    parts, iterdir = visium(), Path.iterdir

    def listed(folder):
        if folder == parts.folder:
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", listed)
    with pytest.warns(UmpireWarning, match="No image is looked for in sample"):
        slide = open_slide(parts.folder)
    assert slide.n_spots == len(parts.barcodes)


def test_a_spatial_folder_of_another_name_is_known(visium):
    parts = visium()
    renamed = parts.folder / "outs/spatial_A1"
    (parts.folder / "outs/spatial").rename(renamed)
    with pytest.raises(InputError, match=r"under another name.*Rename it to spatial"):
        open_slide(renamed)
