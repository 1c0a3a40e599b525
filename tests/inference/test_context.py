"""What a spot's surroundings add to its features, on a slide that is not square."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from napari_umpire.inference.embed_slide import in_context
from napari_umpire.inference.model import load_model
from napari_umpire.models import ContextConfig

from .conftest import save_tiny_model


@pytest.mark.parametrize(("reach", "adjacent"), [(1.6, 6), (3.1, 36)])
def test_the_mean_is_over_the_spots_within_reach(slides, tmp_path, reach, adjacent):
    slide = slides[1]
    context = ContextConfig(neighbours=60, reach=reach)
    model = load_model(save_tiny_model(tmp_path / "m", slides, context=context), "cpu")
    features = np.random.default_rng(0).normal(size=(slide.n_spots, 5)).astype(np.float32)
    away = cdist(slide.yx, slide.yx) * slide.mpp / slide.pitch_um
    near = (away > 0) & (away <= reach)
    assert near.sum(axis=1).max() == adjacent
    want = np.stack([features[row].mean(axis=0) for row in near])
    got = in_context(model, slide, features).numpy()
    np.testing.assert_array_equal(got[:, :5], features)
    np.testing.assert_allclose(got[:, 5:], want, atol=1e-5)
