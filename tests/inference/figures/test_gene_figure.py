"""Figures: known colours at the spots, true sizes, text as text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.figures.gene_figure import FigureContent, GeneMaps, draw, write_figure
from napari_umpire.inference.figures.layout import layout, length_words, scale_bar_um
from napari_umpire.slides.overview_picture import OverviewPicture, overview_picture

DPI = 200
RAMP = np.stack([np.linspace(0, 1, 256), np.zeros(256), np.linspace(1, 0, 256), np.ones(256)], 1)


@pytest.fixture
def content():
    """A grey picture of 400 x 900 px at 0.5 um; spots at known places, taller axis is x."""
    yx = np.array([[100.0, 200.0], [100.0, 700.0], [300.0, 450.0], [250.0, 100.0]])
    values = np.array([0.0, 1.0, 0.5, np.nan])
    return FigureContent(
        picture=OverviewPicture(np.full((200, 450, 3), 128, np.uint8), (0.0, 0.0, 400.0, 900.0)),
        yx=yx,
        diameter=80.0,
        mpp=0.5,
        rows=("measured", "predicted"),
        genes=(
            GeneMaps("ERBB2", (values, values[::-1].copy()), (0.0, 1.0), "PCC 0.50, n = 4"),
            GeneMaps("A&B <1>", (None, values), (0.0, 2.0)),
        ),
        colours=RAMP,
        caption=("Slide x, model 1234.", "K = 50."),
    )


def pixels(figure, tmp_path):
    from PIL import Image

    (path,) = write_figure(figure, [tmp_path / "figure.png"], DPI)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def axes_of(figure, label):
    return next(a for a in figure.axes if a.get_label() == label)


def at(figure, image, axes, y_um, x_um):
    """Colour of the PNG at a place of the tissue."""
    x, y = axes.transData.transform((x_um, y_um)) * DPI / figure.dpi
    return image[round(image.shape[0] - 1 - y), round(x)]


def test_spots_have_their_colours_at_their_places(content, tmp_path):
    figure = draw(content)
    image = pixels(figure, tmp_path)
    axes = axes_of(figure, "ERBB2, 0")
    for (y, x), value in zip(content.yx[:3] * 0.5, [0.0, 1.0, 0.5], strict=True):
        expected = np.array([value * 255, 0, 255 - value * 255])
        np.testing.assert_allclose(at(figure, image, axes, y, x), expected, atol=2)
    # A value that is not there leaves the tissue as it is, and so does the space between spots.
    np.testing.assert_allclose(at(figure, image, axes, 125, 50), 128, atol=1)
    np.testing.assert_allclose(at(figure, image, axes, 50, 225), 128, atol=1)
    # The other row has the values in the opposite order.
    axes = axes_of(figure, "ERBB2, 1")
    np.testing.assert_allclose(at(figure, image, axes, 125, 50), [0, 0, 255], atol=2)
    # Half of this gene's range.
    axes = axes_of(figure, "A&B <1>, 1")
    np.testing.assert_allclose(at(figure, image, axes, 50, 350), [127, 0, 128], atol=3)


def test_spots_are_drawn_at_their_true_diameter(content, tmp_path):
    figure = draw(content)
    image = pixels(figure, tmp_path)
    axes = axes_of(figure, "ERBB2, 0")
    inside = [at(figure, image, axes, 50 + d, 350)[0] > 200 for d in np.arange(-30, 30.5, 0.5)]
    assert sum(inside) * 0.5 == pytest.approx(80 * 0.5, abs=3)


def test_the_svg_has_text_and_the_right_scale_bar(content, tmp_path):
    figure = draw(content)
    (path,) = write_figure(figure, [tmp_path / "figure.svg"], DPI)
    root = ET.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(t.itertext()) for t in root.iter(f"{space}text")]
    for wanted in ("ERBB2", "A&B <1>", "measured", "log1p(CP10k)", "PCC 0.50, n = 4", "100 µm"):
        assert wanted in texts
    assert any("model 1234" in t for t in texts)
    assert "not measured" in texts
    (bar,) = [g for g in root.iter(f"{space}g") if g.get("id") == "scale-bar"]
    numbers = [float(v) for v in re.findall(r"-?[\d.]+", bar.find(f"{space}path").get("d"))]
    length_pt = abs(numbers[2] - numbers[0])
    # The panel is 2 inches for 450 um, and a point is 1/72 inch.
    assert length_pt == pytest.approx(100 / 450 * 2 * 72, rel=1e-3)
    assert list(root.iter(f"{space}image"))  # the tissue is a picture
    first = path.read_bytes()
    write_figure(draw(content), [path], DPI)
    assert path.read_bytes() == first  # drawn again it is the same file


def test_without_a_scale_there_is_no_scale_bar(content, tmp_path):
    figure = draw(replace(content, mpp=None))
    assert not any(axes.lines for axes in figure.axes)


def test_one_bar_for_all_genes_or_one_each(content):
    def bars(figure):
        return [a for a in figure.axes if a.get_label() == "colour bar"]

    assert len(bars(draw(content))) == 2
    shared = bars(draw(replace(content, shared_range=True)))
    assert len(shared) == 1
    assert shared[0].get_xlim() == (0.0, 1.0)


def test_so_many_spots_become_a_picture_in_the_svg(content, tmp_path):
    many = np.random.default_rng(0).uniform(0, 400, (11_000, 2))
    one = GeneMaps("G", (np.ones(11_000), np.ones(11_000)), (0.0, 1.0))
    figure = draw(replace(content, yx=many, genes=(one,), diameter=2.0))
    (path,) = write_figure(figure, [tmp_path / "many.svg"], 100)
    assert path.stat().st_size < 1_000_000


def test_a_figure_is_refused_in_words(content, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="nothing to draw"):
        draw(replace(content, genes=()))
    figure = draw(content)
    with pytest.raises(InputError, match=r"cannot be written as x\.bmp.*\.svg"):
        write_figure(figure, [tmp_path / "x.bmp"])
    with pytest.raises(InputError, match="cannot be written to"):
        write_figure(figure, [tmp_path / "none" / "x.png"])
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(InputError, match="No space left"):
        write_figure(figure, [kept])
    assert kept.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.png"]


@pytest.mark.parametrize(
    ("width", "bar", "words"),
    [(450, 100, "100 µm"), (7000, 2000, "2 mm"), (1700, 500, "500 µm"), (40, 10, "10 µm")],
)
def test_scale_bars_are_round(width, bar, words):
    assert scale_bar_um(width) == bar
    assert length_words(bar) == words


@pytest.mark.parametrize(("genes", "shared"), [(1, False), (4, True), (9, False), (5, True)])
def test_nothing_overlaps_and_all_is_on_the_page(genes, shared):
    place = layout(genes, 2, 0.7, columns=4, shared_bar=shared, caption_lines=4)
    boxes = [b for column in place.panels for b in column] + place.bars + [place.caption]
    for i, a in enumerate(boxes):
        assert a.left >= 0
        assert a.top >= 0
        assert a.left + a.width <= place.size[0] + 1e-9
        assert a.top + a.height <= place.size[1] + 1e-9
        for b in boxes[i + 1 :]:
            apart = (
                a.left + a.width <= b.left + 1e-9 or b.left + b.width <= a.left + 1e-9
                or a.top + a.height <= b.top + 1e-9 or b.top + b.height <= a.top + 1e-9
            )  # fmt: skip
            assert apart


def test_the_picture_is_the_part_with_spots(slides):
    slide = slides[0]
    picture = overview_picture(slide, 200)
    y0, x0, y1, x1 = picture.box
    assert (slide.yx.min(0) > (y0, x0)).all()
    assert (slide.yx.max(0) < (y1, x1)).all()
    step = (y1 - y0) / picture.pixels.shape[0]
    assert step == pytest.approx((x1 - x0) / picture.pixels.shape[1])
    assert 200 <= max(picture.pixels.shape[:2]) <= 400
    # The pixels are those of the image at that place.
    fine = slide.pyramid.levels[0].read(int(y0), int(x0), int(y1), int(x1))
    np.testing.assert_allclose(picture.pixels.mean(axis=(0, 1)), fine.mean(axis=(0, 1)), atol=1.5)
