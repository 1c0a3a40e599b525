"""Classes of spots: from values, a table's column, a file, regions, a painted layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.label_file import class_column, labels_of_file
from napari_umpire.inference.classes.label_sources import (
    label_columns,
    labels_of_column,
    labels_of_painted,
    labels_of_regions,
    labels_of_values,
)
from napari_umpire.inference.classes.labels import (
    PALETTE,
    SpotLabels,
    class_colours,
    to_obs,
)
from napari_umpire.slides.synthetic import make_slide


@pytest.fixture
def slide():
    """A slide of its own for each test, whose table gets columns."""
    return make_slide(4, rows=14, cols=10, mpp=4.0)


def give(slide, name, values, colours=None):
    """Add a column to the slide's table, in the table's own order of rows."""
    table = slide.sdata.tables[slide.table]
    table.obs[name] = values
    if colours is not None:
        table.uns[f"{name}_colors"] = colours


@pytest.mark.parametrize(
    ("values", "categories", "codes"),
    [
        pytest.param(["b", None, "a", "b"], ("a", "b"), [1, -1, 0, 1], id="names"),
        pytest.param([True, False, True, True], ("False", "True"), [1, 0, 1, 1], id="booleans"),
        pytest.param([10, 2, 2, 10], ("2", "10"), [1, 0, 0, 1], id="numbers, not by letters"),
        pytest.param([10.0, np.nan, 2.0, 2.0], ("2", "10"), [1, -1, 0, 0], id="gaps"),
        pytest.param(["", "x", np.nan, "x"], ("x",), [-1, 0, -1, 0], id="empty"),
        pytest.param([np.nan] * 4, (), [-1] * 4, id="nothing"),
        pytest.param(
            pd.Categorical(["z", "a", "z", None], categories=["z", "never", "a"]),
            ("z", "a"),
            [0, 1, 0, -1],
            id="categorical",
        ),
    ],
)
def test_values_become_classes(values, categories, codes):
    labels = labels_of_values("t", values)
    assert labels.categories == categories
    np.testing.assert_array_equal(labels.codes, codes)
    assert labels.n_unlabelled == codes.count(-1)


def test_a_category_without_spots_keeps_its_colour_from_the_others():
    values = pd.Categorical(["z", "a"], categories=["z", "never", "a"])
    labels = labels_of_values("t", values, ["red", "#00ff00", "#0000FF"])
    assert labels.colours == ("#ff0000", "#0000ff")


@pytest.mark.parametrize("wanted", [None, ["red"], ["red", "no colour"]])
def test_colours_that_are_none_are_of_the_palette(wanted):
    assert class_colours(2, wanted) == PALETTE[:2]


def test_the_palette_is_told_apart_by_any_eye_and_by_pink():
    """Distances in CIELAB under simulated red, green and blue blindness (Machado 2009)."""
    from skimage.color import rgb2lab

    sight = {
        "all": np.eye(3),
        "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
        "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
        "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                    [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in PALETTE]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for name, matrix in sight.items():
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)
        seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(seen[None])[0]
        first = lab[:6]
        apart = np.linalg.norm(first[:, None] - first[None], axis=-1)[np.triu_indices(6, 1)]
        assert apart.min() > 12, name
    eosin_and_haematoxylin = rgb2lab(np.array([[[0.87, 0.62, 0.75], [0.45, 0.32, 0.60]]]))[0]
    tissue = np.linalg.norm(rgb2lab(rgb[None])[0][:, None] - eosin_and_haematoxylin, axis=-1)
    assert tissue.min() > 25


def test_a_table_gets_a_categorical():
    labels = SpotLabels("region of Ann", np.array([0, -1, 1]), ("a", "b"), PALETTE[:2])
    column = to_obs(labels)
    assert list(column) == ["a", np.nan, "b"]
    assert column.categories.tolist() == ["a", "b"]


def test_hidden_classes_have_no_colour_and_a_new_colour_is_one_of_many():
    labels = labels_of_values("t", ["a", "b", "a", None])
    hidden = labels.only([True, False])
    assert hidden.rgba()[:, 3].tolist() == [255, 0, 255, 0]
    assert hidden.categories == labels.categories
    assert labels.with_colour(1, "#123456").colours == (PALETTE[0], "#123456")
    assert labels.named().tolist() == ["a", "b", "a", None]


def test_columns_of_a_table_that_are_classes(slide):
    n = len(slide.sdata.tables[slide.table])
    give(slide, "tissue", pd.Categorical(np.resize(["t", "s"], n)), ["#112233", "#445566"])
    give(slide, "cluster", np.arange(n) % 3)
    give(slide, "score", np.linspace(0, 1, n))
    give(slide, "barcode", [f"b{i}" for i in range(n)])
    give(slide, "empty", np.full(n, np.nan))
    assert n > 50, "fewer ids could be classes"
    assert label_columns(slide) == ["tissue", "cluster", "empty"]


def test_a_column_in_the_order_of_the_spots_and_in_its_colours(slide):
    table = slide.sdata.tables[slide.table]
    instance = table.obs[table.uns["spatialdata_attrs"]["instance_key"]].to_numpy()
    give(slide, "tissue", pd.Categorical(np.where(instance % 3, "s", "t")), ["#112233", "#445566"])
    reading = labels_of_column(slide, "tissue")
    expected = np.where(slide.spots["instance_id"] % 3, "s", "t")
    assert reading.labels.named().tolist() == expected.tolist()
    assert reading.labels.categories == ("s", "t")
    assert reading.labels.colours == ("#112233", "#445566")
    assert reading.notes == ()


@pytest.mark.parametrize(
    ("values", "asked", "said"),
    [
        pytest.param(np.nan, "c", "No spot of .* has a class", id="all NaN"),
        pytest.param(0.5, "c", "holds no classes", id="measurement"),
        pytest.param("a", "d", "has no column 'd'", id="absent"),
    ],
)
def test_a_column_that_is_no_class_is_refused(slide, values, asked, said):
    give(slide, "c", values)
    with pytest.raises(InputError, match=said):
        labels_of_column(slide, asked)


def test_unlabelled_spots_are_counted(slide):
    n = slide.n_spots
    give(slide, "c", [None, None, *["a"] * (n - 2)])
    assert labels_of_column(slide, "c").notes == (f"2 of {n} spots have no class.",)


def test_regions_empty_ones_and_those_that_overlap():
    regions = {"A": np.array([0, 1, 2]), "none": np.array([], int), "B": np.array([2, 3])}
    reading = labels_of_regions("regions", 6, regions, {"A": "#aa0000", "B": "#00bb00"})
    assert reading.labels.named().tolist() == ["A", "A", None, "B", None, None]
    assert reading.labels.colours == ("#aa0000", "#00bb00")
    said = " ".join(reading.notes)
    assert "'none' holds no spot" in said
    assert "1 spots lie in two regions" in said
    assert "3 of 6 spots have no class" in said


@pytest.mark.parametrize("regions", [{}, {"A": np.array([], int)}])
def test_regions_without_a_spot_are_refused(regions):
    with pytest.raises(InputError, match="No region holds a spot"):
        labels_of_regions("regions", 4, regions)


def test_painted_values_with_and_without_names():
    reading = labels_of_painted("paint", np.array([0, 7, 3, 7]), {7: "tumour"}, {3: "#010203"})
    assert reading.labels.named().tolist() == [None, "tumour", "3", "tumour"]
    assert reading.labels.colours == ("#010203", PALETTE[1])
    with pytest.raises(InputError, match="No spot's centre is painted"):
        labels_of_painted("paint", np.zeros(4, int))


# -- files ------------------------------------------------------------------------------


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("sep", [",", "\t", ";"])
def test_a_file_of_spot_and_label(slide, tmp_path, sep):
    a, b, c = slide.spots.index[[4, 0, 2]]
    rows = [("barcode", "label"), (a, "tumour, solid" if sep != "," else "tumour"), (b, "fat")]
    rows += [(c, ""), ("elsewhere", "fat")]
    path = write(tmp_path / "l.txt", "\n".join(sep.join(row) for row in rows))
    reading = labels_of_file(slide, path)
    named = reading.labels.named()
    assert named[0] == "fat"
    assert named[4].startswith("tumour")
    assert named[2] is None
    assert reading.labels.n_unlabelled == slide.n_spots - 2
    assert "1 of its rows name no spot" in " ".join(reading.notes)


def test_a_file_of_array_coordinates(slide, tmp_path):
    """As the label files of her2st: fractions of array coordinates, gaps, a foreign index."""
    from dataclasses import replace

    spots = slide.spots.set_axis([f"{5 + i}x{9}" for i in range(slide.n_spots)])
    named = replace(slide, spots=spots)
    path = write(
        tmp_path / "l.tsv",
        "Row.names\tx\ty\tpixel_x\tlabel\n"
        "1002x1762\t5.02\t8.994\t1002.5\tinvasive cancer\n"
        "1002x2642\t6.98\t9.1\t1002.2\tadipose tissue\n"
        "9x9\tNA\tNA\tNA\tadipose tissue\n",
    )
    reading = labels_of_file(named, path)
    assert reading.labels.named()[:3].tolist() == ["invasive cancer", None, "adipose tissue"]
    assert "1 of its rows have no coordinates" in " ".join(reading.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("spot,label\nx,a\n", "names no spot of", id="another slide"),
        pytest.param("spot,label\n{0},a\n{0},b\n", "two classes", id="two classes"),
        pytest.param("spot,label\n{0},\n{1},\n", "holds no class|does not say", id="empty"),
        pytest.param("just text\n", "not a table", id="text"),
        pytest.param("", "not a table", id="nothing"),
        pytest.param("spot,one,two\n{0},a,b\n{1},b,a\n", "does not say which", id="which"),
    ],
)
def test_a_file_that_does_not_label_the_slide_is_refused(slide, tmp_path, text, said):
    path = write(tmp_path / "l.csv", text.format(*slide.spots.index[:2]))
    with pytest.raises(InputError, match=said):
        labels_of_file(slide, path)


def test_the_user_says_which_column(slide, tmp_path):
    path = write(tmp_path / "l.csv", f"spot,one,two\n{slide.spots.index[3]},a,b\n")
    assert class_column(path) is None
    assert labels_of_file(slide, path, "two").labels.named()[3] == "b"
    with pytest.raises(InputError, match="no column 'three'"):
        labels_of_file(slide, path, "three")


def test_bytes_are_no_table(slide, tmp_path):
    path = tmp_path / "l.csv"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError, match="not a table"):
        labels_of_file(slide, path)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*have no counts:napari_umpire.errors.UmpireWarning")
def test_her2st_label_files(her2st):
    from napari_umpire.slides.open import open_slide

    c3 = open_slide(her2st / "ST-cnts" / "C3.tsv.gz")
    path = her2st / "ST-cluster" / "lbl" / "C3-cluster-annotation.tsv.gz"
    labels = labels_of_file(c3, path).labels
    by_hand = pd.read_csv(path, sep="\t")
    by_hand = by_hand.set_index(by_hand["x"].astype(str) + "x" + by_hand["y"].astype(str))["label"]
    expected = by_hand.reindex(c3.spots.index)
    assert [None if v is None else int(v) for v in labels.named()] == [
        None if np.isnan(v) else int(v) for v in expected
    ]
    assert labels.counts.tolist() == [43, 31, 39, 21, 24, 12, 9]
