"""An image encoder trained without the context of its slide, and what goes back into the pair.

The features of a spot in context depend on its whole slide, which is not in the batch while the
encoder changes. So the encoder is trained on lone patches first, and the projection afterwards.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_umpire.models.umpire import Umpire

__all__ = ["in_context", "learned_part", "lone_patches", "take_over"]


def in_context(model: Umpire) -> bool:
    """Whether the image features of ``model`` depend on the slide around the patch."""
    context = model.config.context
    return context.neighbours > 0 or context.standardise


def lone_patches(model: Umpire) -> Umpire:
    """A copy of what is trained, whose projection takes the features of a lone patch."""
    from torch import nn

    from napari_umpire.models.context import ContextConfig

    lone = copy.deepcopy(model)
    lone.config = replace(model.config, context=ContextConfig())
    # The fixed part of an encoder would cost its time at every step and learn nothing.
    learned = learned_part(lone)
    if learned is not lone.visual_backbone:
        lone.visual_backbone, lone.image_dim = learned, learned.num_features
    # The phase that follows z-scores the features over each slide; a batch stands in for it here.
    lone.visual_projection = nn.Sequential(
        nn.BatchNorm1d(lone.image_dim, affine=False),
        nn.Linear(lone.image_dim, model.config.dim),
    )
    return lone


def take_over(model: Umpire, trained: Umpire) -> None:
    """Everything but the image projection, which sees other features from here on."""
    learned_part(model).load_state_dict(trained.visual_backbone.state_dict())
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith("visual_")}
    model.load_state_dict({**model.state_dict(), **state})


def learned_part(model: Umpire) -> Any:
    """The part of the image encoder that training changes; as a rule, all of it."""
    return getattr(model.visual_backbone, "learned", model.visual_backbone)
