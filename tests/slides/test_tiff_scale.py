"""Which statements of a file about its scale count: those of the chosen image, on both axes."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_umpire.errors import UmpireWarning
from napari_umpire.slides import open_slide

from .sections import TILED, ome_xml, section, write

SIZE = 'SizeX="1000" SizeY="850"'
APERIO = "Aperio Image Library v12\r\n{}|AppMag = 40|MPP = {}|Date = 01/02/20"


@pytest.fixture
def stated(tmp_path):
    """Write a section of 850 x 1000 px and return what its file states."""

    def read(name: str, mpp_tag: float | None = None, **options) -> dict[str, float]:
        from napari_umpire.slides.images import load_image

        return load_image(write(tmp_path / name, section(), mpp_tag, **options)).stated

    return read


def _px(x: object, y: object, unit: str | None = None) -> str:
    units = "" if unit is None else f' PhysicalSizeXUnit="{unit}" PhysicalSizeYUnit="{unit}"'
    return f'{SIZE} PhysicalSizeX="{x}" PhysicalSizeY="{y}"{units}'


@pytest.mark.parametrize(
    ("pixels", "mpp"),
    [
        pytest.param(_px(0.9, 0.9), 0.9, id="um-is-the-default"),
        pytest.param(_px(900, 900, "nm"), 0.9, id="nm"),
        pytest.param(_px(0.0009, 0.0009, "mm"), 0.9, id="mm"),
        pytest.param(_px(9000, 9000, "Å"), 0.9, id="angstrom"),
        pytest.param(_px(0.9, 0.905), 0.9025, id="almost-square"),
        pytest.param(f'{SIZE} PhysicalSizeX="0.9"', 0.9, id="x-alone"),
        pytest.param(_px(1, 1, "pixel"), None, id="pixel"),
        pytest.param(_px(1, 1, "reference frame"), None, id="reference-frame"),
        pytest.param(SIZE, None, id="nothing"),
    ],
)
def test_ome_states_a_length_or_nothing(stated, pixels, mpp):
    told = stated("a.ome.tif", description=ome_xml(pixels))
    assert told == ({} if mpp is None else {"metadata": pytest.approx(mpp)})


@pytest.mark.parametrize("value", ["NaN", "-1", "0", "abc", "1e400"])
def test_nonsense_in_ome_is_left_aside_with_a_word(stated, value):
    with pytest.warns(UmpireWarning, match=f"a pixel of {value} x {value}"):
        assert stated("a.ome.tif", description=ome_xml(_px(value, value))) == {}


def test_the_scale_is_that_of_the_chosen_image(tmp_path):
    path = tmp_path / "two.ome.tif"
    px = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as out:
        dark = np.zeros((3, 1300, 1300), np.uint8)
        meta = {"axes": "CYX", "Name": "IF", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
        out.write(dark, photometric="minisblack", metadata=meta | px)
        meta = {"axes": "YXS", "Name": "HE", "PhysicalSizeX": 0.8, "PhysicalSizeY": 0.8}
        out.write(section(), **TILED | {"metadata": meta | px})
    assert open_slide(path).mpp == 0.8


def test_a_page_taken_from_a_larger_file_is_found_by_its_size(stated):
    other = 'SizeX="2600" SizeY="2600" PhysicalSizeX="0.2" PhysicalSizeY="0.2"'
    told = stated("a.ome.tif", description=ome_xml(other, _px(0.8, 0.8)))
    assert told == {"metadata": 0.8}


@pytest.mark.parametrize(
    ("name", "description", "stale"),
    [
        pytest.param(
            "a.ome.tif",
            ome_xml('SizeX="4000" SizeY="3400" PhysicalSizeX="0.25" PhysicalSizeY="0.25"'),
            "metadata",
            id="ome",
        ),
        pytest.param(
            "a.tif",
            APERIO.format("4600x3500 [0,10 4000x3400] (240x240) JPEG/RGB", "0.25"),
            "description",
            id="aperio",
        ),
        pytest.param(
            "a.tif", APERIO.format("4000x3400 -> 1000x850 - ", "0.25"), "description", id="arrow"
        ),
        pytest.param(
            "a.tif",
            "<image><property><name>openslide.mpp-x</name><value>0.25</value></property>"
            "<property><name>openslide.mpp-y</name><value>0.25</value></property><property><name>"
            "openslide.level[0].width</name><value>4000</value></property><property><name>"
            "openslide.level[0].height</name><value>3400</value></property></image>",
            "description",
            id="libvips",
        ),
    ],
)
def test_what_is_left_over_from_a_larger_image_is_set_right(tmp_path, name, description, stale):
    path = write(tmp_path / name, section(), description=description, software=False)
    with pytest.warns(UmpireWarning, match=r"image size in it 1, the file's .* 0\.25"):
        slide = open_slide(path)
    assert (slide.mpp, slide.scale.source) == (1.0, "geometry")
    assert slide.scale.candidates[stale] == 0.25


def test_a_resolution_tag_is_shown_beside_the_metadata(tmp_path):
    path = write(tmp_path / "a.ome.tif", section(), 1.0, description=ome_xml(_px(0.5, 0.5)))
    with pytest.warns(UmpireWarning, match=r"metadata 0\.5, the file's resolution tag 1"):
        assert open_slide(path).scale.source == "metadata"


@pytest.mark.parametrize(
    ("geometry", "mpp"),
    [
        pytest.param("1400x900 [30,20 1000x850] (240x240) JPEG/RGB Q=70", "0.9", id="crop"),
        pytest.param("1000x850 (240x240)", "0,9", id="decimal-comma"),
        pytest.param("scanned as 5x5 fields", "0.9", id="no-size"),
    ],
)
def test_a_description_of_this_image_is_believed(stated, geometry, mpp):
    told = stated("a.svs", description=APERIO.format(geometry, mpp), software=False)
    assert told == {"description": 0.9}


def test_a_crop_of_another_shape_keeps_the_um_per_px_and_says_so(stated):
    text = APERIO.format("9000x7000 [0,0 8000x2000] (240x240)", "0.9")
    with pytest.warns(UmpireWarning, match="2000 x 8000 px .* cropped, not resized"):
        assert stated("a.tif", description=text, software=False) == {"description": 0.9}


def _philips(rows_mm: float, columns_mm: float) -> str:
    def attribute(name: str, value: str) -> str:
        return f'<Attribute Name="{name}" Group="0x0028" Element="0x0030">{value}</Attribute>'

    spacing = f"&quot;{rows_mm}&quot; &quot;{columns_mm}&quot;"
    return (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        + attribute("DICOM_MANUFACTURER", "PHILIPS")
        + '<Attribute Name="PIM_DP_SCANNED_IMAGES"><Array><DataObject ObjectType="DPScannedImage">'
        + attribute("PIM_DP_IMAGE_TYPE", "MACROIMAGE")
        + attribute("DICOM_PIXEL_SPACING", "&quot;0.03&quot; &quot;0.03&quot;")
        + '</DataObject><DataObject ObjectType="DPScannedImage">'
        + attribute("PIM_DP_IMAGE_TYPE", "WSI")
        + attribute("DICOM_PIXEL_SPACING", spacing)
        + "</DataObject></Array></Attribute></DataObject>"
    )


def test_philips_states_rows_and_columns_of_the_scan(stated):
    options = {"software": "Philips DP v1.0", "tile": (512, 512)}
    told = stated("a.tiff", description=_philips(0.000902, 0.0009), **options)
    assert told == {"metadata": pytest.approx(0.901)}
    with pytest.warns(UmpireWarning, match="0.45 um wide, 0.9 um high"):
        assert stated("b.tiff", description=_philips(0.0009, 0.00045), **options) == {}


@pytest.mark.parametrize("unit", ["um", r"\u00B5m", "micron"])
def test_imagej_states_both_axes(tmp_path, unit):
    path = tmp_path / "a.tif"
    for per_unit, mpp in (((2, 2), 0.5), ((2, 1), None)):
        meta = {"unit": unit, "axes": "YXS"}
        tifffile.imwrite(path, section(), imagej=True, resolution=per_unit, metadata=meta)
        if mpp is None:
            with pytest.warns(UmpireWarning, match=r"ImageJ .*\(0.5 um wide, 1 um high"):
                assert open_slide(path).scale.mpp is None
        else:
            assert open_slide(path).scale.candidates == {"description": mpp}


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.jpg", "a.png"])
def test_pixels_that_are_not_square_give_no_scale(tmp_path, name):
    path = tmp_path / name
    if name.endswith("ome.tif"):
        write(path, section(), description=ome_xml(_px(1, 0.5)))
    elif name.endswith("tif"):
        write(path, section(), resolution=(10_000, 20_000), resolutionunit="CENTIMETER")
    else:
        Image.fromarray(section()).save(path, dpi=(25_400, 50_800))
    with pytest.warns(UmpireWarning, match=r"\(1 um wide, 0\.5 um high"):
        assert open_slide(path).scale.mpp is None
