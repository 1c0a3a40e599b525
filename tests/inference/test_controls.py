from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.inference.controls import permutation_control


def test_the_control_permutes_within_slides_and_is_repeatable():
    groups = np.repeat(["a", "b"], [30, 20])
    seen = []

    def score(order):
        seen.append(order)
        return float(order[0])

    first = permutation_control(score, groups, n=20, seed=3)
    assert len(first.values) == 20
    for order in seen:
        assert sorted(order[:30]) == list(range(30))
        assert sorted(order[30:]) == list(range(30, 50))
    assert len({tuple(order) for order in seen}) == 20
    assert permutation_control(score, groups, n=20, seed=3) == first
    assert first.std == pytest.approx(np.std(first.values, ddof=1))
    assert first.highest == max(first.values)


def test_one_permutation_is_not_a_control():
    with pytest.raises(ValueError, match="at least two"):
        permutation_control(lambda order: 0.0, ["a"] * 5, n=1)
