"""Tiny models: width 32, 2 layers, 64 tokens, patches of 32 px."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def two_threads_and_a_seed():
    import torch

    torch.set_num_threads(2)
    torch.manual_seed(0)


@pytest.fixture
def tiny_former():
    from napari_umpire.models import VisiumformerConfig

    return VisiumformerConfig(dim=32, heads=4, feedforward=48, layers=2, n_tokens=130, length=64)


@pytest.fixture
def tiny_vision():
    from napari_umpire.models import VisionConfig

    return VisionConfig(size_px=32, kwargs={"widths": [8, 16], "norm": "group"})


@pytest.fixture
def tiny_config(tiny_former, tiny_vision):
    from napari_umpire.models import GeneConfig, TokensConfig, UmpireConfig

    return UmpireConfig(
        gene=GeneConfig(visiumformer=tiny_former),
        vision=tiny_vision,
        dim=16,
        tokens=TokensConfig(length=64),
    )


@pytest.fixture
def vocabulary():
    """100 genes, so that n_tokens is 130."""
    import numpy as np

    from napari_umpire.genes.vocabulary import GeneVocabulary

    return GeneVocabulary(
        ids=np.array([f"ENSG{i:011d}" for i in range(100)]),
        symbols=np.array([f"G{i}" for i in range(100)]),
        means=np.linspace(0.5, 5, 100),
        source="a test",
    )
