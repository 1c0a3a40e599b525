"""Image encoders known by a short name, and the names their weights go by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.pathology_vision import SWIGLU_VIT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["NAMED", "NamedEncoder", "hf_vit_to_timm", "is_hf_vit", "prefixes_of", "several"]

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_OPTIMUS_MEAN, _OPTIMUS_STD = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
_GATED = "gated: ask for access on its page, then log in with `hf auth login`"


@dataclass(frozen=True)
class NamedEncoder:
    """A published encoder: its architecture, arguments, preprocessing and where it lies.

    The architecture is timm's, or one of `pathology_vision.WRAPPED`.
    """

    title: str
    architecture: str
    hub: str
    access: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = _IMAGENET_MEAN
    std: tuple[float, float, float] = _IMAGENET_STD


NAMED: Mapping[str, NamedEncoder] = {
    # timm's ViT norms have eps 1e-6, which is Phikon's layer_norm_eps.
    "phikon": NamedEncoder(
        "Phikon",
        "vit_base_patch16_224",
        "owkin/phikon",
        "open to everybody, for non-commercial use",
    ),
    "uni": NamedEncoder(
        "UNI",
        "vit_large_patch16_224",
        "MahmoodLab/uni",
        _GATED,
        {"init_values": 1e-5, "dynamic_img_size": True},
    ),
    "uni2-h": NamedEncoder(
        "UNI2-h",
        SWIGLU_VIT,
        "MahmoodLab/UNI2-h",
        _GATED,
        {"img_size": 224, "depth": 24, "reg_tokens": 8, "dynamic_img_size": True},
    ),
    "conch": NamedEncoder(
        "CONCH",
        "conch-visual",
        "MahmoodLab/CONCH",
        _GATED,
        mean=_CLIP_MEAN,
        std=_CLIP_STD,
    ),
    "virchow2": NamedEncoder(
        "Virchow2",
        "vit-swiglu-class-and-mean",
        "paige-ai/Virchow2",
        _GATED,
        {
            "img_size": 224,
            "embed_dim": 1280,
            "depth": 32,
            "num_heads": 16,
            "mlp_ratio": 5.3375,
            "no_embed_class": False,
            "dynamic_img_size": True,
        },
    ),
    "h-optimus-0": NamedEncoder(
        "H-optimus-0",
        SWIGLU_VIT,
        "bioptimus/H-optimus-0",
        _GATED,
        {"img_size": 224},
        _OPTIMUS_MEAN,
        _OPTIMUS_STD,
    ),
    "h-optimus-1": NamedEncoder(
        "H-optimus-1",
        SWIGLU_VIT,
        "bioptimus/H-optimus-1",
        _GATED,
        {"img_size": 224},
        _OPTIMUS_MEAN,
        _OPTIMUS_STD,
    ),
}

_FIXED = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
# transformers 4 and 5 name the parts of a block differently.
_BLOCK = {
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "mlp.fc1": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc2": "mlp.fc2",
}
_QKV = {
    "attention.attention.query": 0,
    "attention.attention.key": 1,
    "attention.attention.value": 2,
    "attention.q_proj": 0,
    "attention.k_proj": 1,
    "attention.v_proj": 2,
}
_BLOCK_KEY = re.compile(r"(?:encoder\.layer|layers|encoder\.layers)\.(\d+)\.(.+)\.(weight|bias)")
_ANCHOR = "embeddings.patch_embeddings.projection.weight"
_NOT_USED = re.compile(r"pooler\.|classifier\.|embeddings\.mask_token$")


def is_hf_vit(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of a ``ViTModel`` of transformers."""
    return any(key.endswith(_ANCHOR) for key in state)


def prefixes_of(state: Collection[str], names: Collection[str]) -> list[str]:
    """The prefixes under which all of ``names`` are in ``state``; "" is one of them."""
    anchor = next(iter(names))
    found = [key.removesuffix(anchor) for key in state if key.endswith(anchor)]
    return [prefix for prefix in found if all(prefix + name in state for name in names)]


def several(prefixes: Sequence[str]) -> InputError:
    """The error for weights of more than one encoder: which of them is meant nothing says."""
    shown = [repr(prefix) if prefix else "no prefix" for prefix in prefixes]
    return InputError(
        f"The weights hold {len(prefixes)} image encoders",
        got=f"tensors under {' and '.join(shown)}",
        expected="one",
        fix="Write the one that you want (of a student and a teacher mostly the teacher) to a file "
        "of its own: keep the tensors under its prefix, take the prefix off, and save them with "
        "safetensors.torch.save_file",
    )


def hf_vit_to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a transformers ``ViTModel`` (of version 4 or 5) to timm's ``VisionTransformer``.

    Query, key and value become one matrix; a pooler, a classifier and a mask token are left out.

    Raises
    ------
    InputError
        For several ViTs, a key that belongs to none, or an attention layer without all of q, k
        and v.
    """
    prefix, *others = prefixes_of(state, (_ANCHOR,))
    if others:
        raise several([prefix, *others])
    renamed: dict[str, Tensor] = {}
    qkv: dict[str, dict[int, Tensor]] = {}
    for full, tensor in state.items():
        key = full.removeprefix(prefix)
        match = _BLOCK_KEY.fullmatch(key)
        if key in _FIXED:
            renamed[_FIXED[key]] = tensor
        elif match and match[2] in _BLOCK:
            renamed[f"blocks.{match[1]}.{_BLOCK[match[2]]}.{match[3]}"] = tensor
        elif match and match[2] in _QKV:
            qkv.setdefault(f"blocks.{match[1]}.attn.qkv.{match[3]}", {})[_QKV[match[2]]] = tensor
        elif not _NOT_USED.match(key):
            raise InputError("The weights hold a name that no ViT of transformers has", got=full)
    for key, parts in qkv.items():
        if len(parts) != 3:
            raise InputError("The weights lack a part of query, key and value", got=key)
        with reading(f"Query, key and value of {key} do not fit together", fix=None):
            renamed[key] = torch.cat([parts[i] for i in range(3)])
    return renamed
