"""An image encoder of which a part is fixed: the first phase trains the other part alone."""

from __future__ import annotations

import pytest


@pytest.fixture
def model():
    import torch

    from napari_umpire.models import (
        ContextConfig,
        GeneConfig,
        GeneMLPConfig,
        Umpire,
        UmpireConfig,
        VisionConfig,
    )

    torch.manual_seed(0)
    return Umpire(
        UmpireConfig(
            gene=GeneConfig(kind="mlp", mlp=GeneMLPConfig(n_genes=6, hidden=(4,), dim=4)),
            vision=VisionConfig("umpire-hybrid", 64, kwargs={"widths": (8, 8), "crop_px": 32}),
            dim=8,
            context=ContextConfig(neighbours=2, standardise=True),
        )
    )


def test_what_the_first_phase_learned_is_taken_over(model):
    import torch

    from umpire_training.stages.phases import lone_patches, take_over

    before = model.visual_projection.weight.clone()
    lone = lone_patches(model)
    assert lone.image_dim == 16  # mean and sd of eight maps; the 186 fixed numbers are left out
    pixels = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8)
    assert lone.project_image(lone.encode_image(pixels)).shape == (4, 8)
    with torch.no_grad():
        for parameter in lone.parameters():
            parameter.add_(1.0)
    take_over(model, lone)
    for name, learned in lone.visual_backbone.state_dict().items():
        assert torch.equal(model.visual_backbone.learned.state_dict()[name], learned), name
    for name, learned in lone.spot_backbone.state_dict().items():
        assert torch.equal(model.spot_backbone.state_dict()[name], learned), name
    assert torch.equal(model.visual_projection.weight, before)


def test_only_the_part_that_is_learned_from_is_augmented(model):
    import torch

    from umpire_training.engine.installed import ready_lightning

    ready_lightning()
    from umpire_training.objectives.alignment import Alignment
    from umpire_training.options import AlignSettings, AugmentOptions, OptimOptions
    from umpire_training.stages.phases import lone_patches

    settings = AlignSettings(augment=AugmentOptions(dihedral=True))
    module = Alignment(lone_patches(model), settings, OptimOptions(), 10)
    pixels = torch.randint(0, 255, (32, 3, 64, 64), dtype=torch.uint8)
    given = pixels.clone()
    got = module._augment(pixels)
    assert torch.equal(pixels, given)
    middle = (slice(None), slice(None), slice(16, 48), slice(16, 48))
    changed = got != given
    assert changed[middle].any()
    changed[middle] = False
    assert not changed.any()
    flat = [x[middle].flatten(2).sort(dim=2).values for x in (got, given)]
    assert torch.equal(*flat)
