"""What is said of classes and scores."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.inference.classes.labels import PALETTE, SpotLabels
from napari_umpire.inference.classes.point_groups import groups_by_class, groups_by_slide
from napari_umpire.inference.classes.projection import Projection
from napari_umpire.inference.classes.scores import Control, FoldScore, ProbeScores, class_scores
from napari_umpire.inference.classes.words import (
    confusion_frame,
    folds_frame,
    labels_words,
    score_frame,
    scores_words,
)


def scores(table, position=0.4, chance=0.33, classes=("a", "b", "c")):
    return ProbeScores(
        classes,
        class_scores(np.array(table)),
        (FoldScore("s1", 1200, 30, 0.7, 0.71),),
        (
            Control("position only", position, 0.3),
            Control("shuffled labels", chance, 0.2, 0.02),
        ),
        "protocol",
    )


GOOD = [[8, 1, 1], [1, 18, 1], [0, 0, 0]]  # F1 16/19 and 36/39, weighted 0.896


def test_a_good_score_is_said_with_its_number_of_spots():
    assert scores_words(scores(GOOD)) == (
        "Balanced accuracy 0.85, weighted F1 0.90 on 30 held-out spots."
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param({"chance": 0.82}, "no better than shuffled labels", id="chance"),
        pytest.param({"position": 0.84}, "Position alone reaches 0.84", id="position"),
    ],
)
def test_a_score_that_a_control_reaches_is_called_so(more, said):
    assert said in scores_words(scores(GOOD, **more))


def test_the_tables():
    frame = score_frame(scores(GOOD))
    assert frame.loc["probe"].tolist() == ["0.850", "0.896"]
    assert frame.loc["shuffled labels", "balanced accuracy"] == "0.330 ± 0.020"
    table, share = confusion_frame(scores(GOOD))
    assert table.columns.tolist() == ["a", "b", "c", "recall", "n"]
    assert table.loc["a"].tolist() == ["8", "1", "1", "0.80", "10"]
    assert table.loc["c", "recall"] == "–"
    np.testing.assert_allclose(share[:2, :3], [[0.8, 0.1, 0.1], [0.05, 0.9, 0.05]])
    assert np.isnan(share[:, 3:]).all()
    assert folds_frame(scores(GOOD)).loc["s1"].tolist() == ["1,200", "30", "0.700", "0.710"]


def test_classes_called_like_a_column_of_the_table():
    table, _ = confusion_frame(scores(GOOD, classes=("n", "recall", "c")))
    assert table.columns.tolist() == ["n", "recall", "c", "recall", "n"]
    assert table.iloc[0].tolist() == ["8", "1", "1", "0.80", "10"]


def test_words_of_labels():
    codes = np.array([0, 1, -1])
    given = SpotLabels("t", codes, ("a", "b"), PALETTE[:2])
    assert labels_words(given) == "2 of 3 spots have one of 2 classes."
    said = SpotLabels("t", codes, ("a", "b"), PALETTE[:2], np.array([0.5, 0.9, np.nan]))
    assert "median probability 0.70 (not calibrated)" in labels_words(said)


def test_groups_of_points_over_slides_with_other_orders_of_classes():
    projection = Projection(
        np.zeros((4, 2)),
        np.array([0, 0, 1, 1]),
        np.array([0, 2, 1, 0]),
        ("s", "t"),
        np.zeros((4, 3)),
        "",
    )
    labels = {
        "s": SpotLabels("tissue", np.array([0, 0, -1]), ("a", "b"), ("#111111", "#222222")),
        "t": SpotLabels("tissue", np.array([1, 0]), ("b", "a"), ("#333333", "#444444")),
    }
    groups = groups_by_class(projection, labels)
    assert (groups.names, groups.colours) == (("a", "b"), ("#111111", "#222222"))
    assert groups.codes.tolist() == [0, -1, 1, 0]
    assert groups.counts.tolist() == [2, 1]
    only = groups_by_class(projection, {"t": labels["t"]})
    assert only.codes.tolist() == [-1, -1, 0, 1]
    assert groups_by_class(projection, {}).codes.tolist() == [-1] * 4
    by_slide = groups_by_slide(projection)
    assert by_slide.codes.tolist() == [0, 0, 1, 1]
    assert by_slide.counts.tolist() == [2, 2]
