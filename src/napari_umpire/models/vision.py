"""Image encoders by name: ours, timm's, a hub's; with their preprocessing and their weights."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.config_json import to_data
from napari_umpire.models.local_weights import ENVIRONMENT, find_weights, weights_folder
from napari_umpire.models.pathology_vision import WRAPPED, ClassAndMean, ConchVisual
from napari_umpire.models.preprocess import Preprocess
from napari_umpire.models.small_vision import SMALL_ENCODERS
from napari_umpire.models.vision_config import VisionConfig
from napari_umpire.models.vision_kwargs import TIMM, check_kwargs, own_arguments
from napari_umpire.models.vision_names import NAMED, hf_vit_to_timm, is_hf_vit, prefixes_of, several
from napari_umpire.models.weight_files import check_tensor, read_weights, require_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["VisionConfig", "VisionEncoder", "create_vision_encoder", "load_trunk_weights"]

_HUB = "hf-hub:"
_IGNORED_KEYS = ("head.", "fc.", "classifier.", "mask_token")


class VisionEncoder(nn.Module):
    """Patches -> (B, dim) features: preprocessing, then the trunk.

    ``config`` is the resolved one: mean, std and architecture are filled in.
    """

    def __init__(self, config: VisionConfig, trunk: nn.Module) -> None:
        super().__init__()
        assert config.mean is not None
        assert config.std is not None
        self.config = config
        self.preprocess = Preprocess(config.size_px, config.mean, config.std)
        self.trunk = trunk
        self.dim = int(getattr(trunk, "head_hidden_size", None) or trunk.num_features)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) or (B, H, W, 3), uint8 or float in 0..1 -> (B, dim)."""
        return self.trunk(self.preprocess(pixels))


@dataclass(frozen=True)
class _Source:
    """Where an encoder comes from, before it is built."""

    architecture: str
    kwargs: dict[str, Any]
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


def create_vision_encoder(config: VisionConfig, *, pretrained: bool = True) -> VisionEncoder:
    """Build the encoder that ``config`` names and, with ``pretrained``, load its weights.

    The network is used only for an ``hf-hub:`` name or ``weights="hub"``.

    Raises
    ------
    InputError
        For an unknown name, weights that are missing, gated, or do not fit.
    """
    # Found before the encoder is built, which takes seconds for a large one.
    path = _weights_path(config) if pretrained else None
    if config.name in SMALL_ENCODERS:
        found = _Source(config.name, dict(config.kwargs), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        build = SMALL_ENCODERS[config.name]
        trunk = _construct(build, found, own_arguments(build))
    else:
        found = _source(config, pretrained)
        trunk = _trunk(found)
    if path is not None:
        load_trunk_weights(trunk, read_weights(path), str(path))
    default = getattr(trunk, "pretrained_cfg", {})
    resolved = replace(
        config,
        mean=config.mean or found.mean or tuple(default["mean"]),
        std=config.std or found.std or tuple(default["std"]),
        kwargs=to_data(found.kwargs),
        architecture=found.architecture,
        # The weights are in the model from here on; a path on this machine is no one's business.
        weights=None,
    )
    return VisionEncoder(resolved, trunk)


def _source(config: VisionConfig, pretrained: bool) -> _Source:
    kwargs = dict(config.kwargs)
    if config.architecture is not None:
        return _Source(config.architecture, kwargs, config.mean, config.std)
    if config.name in NAMED:
        known = NAMED[config.name]
        return _Source(known.architecture, {**known.kwargs, **kwargs}, known.mean, known.std)
    if not config.name.startswith(_HUB):
        return _Source(config.name, kwargs)
    if not pretrained:
        raise InputError(
            f"The settings of {config.name} do not say which architecture it has",
            fix="Fill in vision.architecture, or build the model from the hub once and save it",
        )
    from napari_umpire.models.hub import hub_settings

    architecture, arguments, cfg = hub_settings(config.name.removeprefix(_HUB))
    return _Source(architecture, {**arguments, **kwargs}, tuple(cfg["mean"]), tuple(cfg["std"]))


def _weights_path(config: VisionConfig) -> Path | None:
    """The file to load: the user's own, or a downloaded one, or none."""
    if config.weights is not None and config.weights != "hub":
        return require_file(config.weights, "The weights file")
    if config.weights is None and config.name in SMALL_ENCODERS:
        return None
    if config.name in SMALL_ENCODERS:
        raise InputError(f"{config.name} is trained from scratch; no hub has weights for it")
    from napari_umpire.models.hub import download_weights

    if config.name.startswith(_HUB):
        return download_weights(config.name.removeprefix(_HUB))
    if config.name in NAMED:
        known = NAMED[config.name]
        if config.weights is None:
            found = find_weights(known.hub, weights_folder())
            if found is not None:
                return found
            raise InputError(
                f"{known.title} needs its weights, which are not part of this program",
                fix=f"Give vision.weights: the path of the file downloaded from "
                f'huggingface.co/{known.hub} ({known.access}), or "hub" to download it now; or '
                f"put the file into the folder that the variable {ENVIRONMENT} names",
            )
        return download_weights(known.hub)
    if config.weights == "hub":
        from napari_umpire.models.hub import timm_hub_id

        return download_weights(timm_hub_id(config.name))
    return None


def _trunk(source: _Source) -> nn.Module:
    if source.architecture in WRAPPED:
        wrapped = WRAPPED[source.architecture]
        return _construct(wrapped, source, TIMM.union(own_arguments(wrapped)))
    from napari_umpire.models.torchvision_guard import heal

    heal()
    import timm

    if not timm.is_model(source.architecture):
        names = [*SMALL_ENCODERS, *NAMED, *timm.list_models()]
        near = difflib.get_close_matches(source.architecture, names, n=3)
        raise InputError(
            "Unknown image encoder",
            got=source.architecture,
            expected=f"one of ours, {', '.join(NAMED)}, a timm name or hf-hub:owner/name; "
            "a weights file goes into vision.weights beside the name of its architecture",
            fix=f"Did you mean {' or '.join(near)}?" if near else None,
        )

    def build(**kwargs: Any) -> nn.Module:
        return timm.create_model(source.architecture, pretrained=False, num_classes=0, **kwargs)

    return _construct(build, source, TIMM)


def _construct(build: Callable[..., nn.Module], source: _Source, allowed: Any) -> nn.Module:
    name, kwargs = source.architecture, source.kwargs
    check_kwargs(name, kwargs, allowed)
    said = ", ".join(f"{k} {v!r}" for k, v in kwargs.items())
    # Each encoder's constructor stumbles over a wrong value in its own way.
    with reading(
        f"The image encoder {name} cannot be built with the settings {said or 'that it has'}",
        fix="Check vision.kwargs",
    ):
        trunk = build(**kwargs)
        if not isinstance(getattr(trunk, "num_features", None), int):
            raise ValueError("its features have no stated length")
        return trunk


def load_trunk_weights(trunk: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load ``state`` into ``trunk``; every parameter must be there and of the right shape.

    Names of transformers' ViT are translated. A classification head is left out.

    Raises
    ------
    InputError
        Naming the file (``where``), the tensor and both shapes.
    """
    if is_hf_vit(state):
        state = hf_vit_to_timm(state)
    state = {key.removeprefix("module."): value for key, value in state.items()}
    if isinstance(trunk, ConchVisual | ClassAndMean):
        state = trunk.from_published(state)
    wanted = {key: tuple(value.shape) for key, value in trunk.state_dict().items()}
    inside = prefixes_of(state, wanted)
    if len(inside) > 1:
        raise several(inside)
    state = {k: v for k, v in state.items() if k in wanted or not k.startswith(_IGNORED_KEYS)}
    problems = [
        f"{key} is missing" if key not in state
        else f"{key} has shape {tuple(state[key].shape)} instead of {shape}"
        for key, shape in wanted.items()
        if key not in state or tuple(state[key].shape) != shape
    ]  # fmt: skip
    problems += [f"{key} has no place" for key in state if key not in wanted]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(
            f"The weights in {where} do not fit the image encoder",
            got="; ".join(problems[:3]) + more,
            fix="Check that the name of the encoder is the architecture of these weights",
        )
    for key, tensor in trunk.state_dict().items():
        check_tensor(key, state[key], tensor.dtype, where)
    with torch.no_grad():
        trunk.load_state_dict(state)
