"""What is said of the range that a map is drawn with."""

from __future__ import annotations

import numpy as np

from napari_umpire.plugin.layers.ranges import RangeChoice, range_words


def test_a_gene_seen_in_few_spots_says_why_its_range_is_wide():
    values = np.zeros(500)
    values[3] = 2.0
    assert "Seen in few spots" in range_words(values, RangeChoice())
    assert range_words(np.arange(9.0), RangeChoice()) == ""
    assert "same value" in range_words(np.zeros(5), RangeChoice())
    assert range_words(values, RangeChoice("absolute")) == ""


def test_a_fixed_range_says_how_many_spots_it_shows_alike():
    values = np.r_[np.arange(10.0), np.nan]
    fixed = RangeChoice("absolute", absolute=(0.0, 4.5))
    assert range_words(values, fixed) == "50% of the spots lie above this range, and look alike."
    low = RangeChoice("locked", absolute=(2.5, 7.5))
    assert "20% of the spots lie above and 30% of the spots lie below" in range_words(values, low)
    assert range_words(values, RangeChoice("absolute", absolute=(0.0, 8.5))) == ""
    assert range_words(np.full(4, np.nan), RangeChoice()) == ""
