"""A prediction on a graphics card is the processor's, where there is a card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_umpire.inference.model import load_model
from napari_umpire.progress import run

from .conftest import save_tiny_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_a_prediction_on_the_card_equals_the_processors(slides, tmp_path):
    save_tiny_model(tmp_path / "model", slides)
    model = load_model(tmp_path / "model", device="cpu")
    run(model.build_reference(slides[1:], tmp_path / "model/reference"))
    by_device = {
        device: run(load_model(tmp_path / "model", device=device).predict(slides[0], k=20))
        for device in ("cpu", "cuda")
    }
    similarity = [by_device[device].mean_similarity for device in by_device]
    np.testing.assert_allclose(*similarity, atol=2e-3)
    tables = [np.asarray(by_device[device].to_table().X) for device in by_device]
    # Where two references are as similar to within rounding, either may be among the twenty.
    near = np.isclose(*tables, atol=0.05)
    assert near.mean() > 0.95
