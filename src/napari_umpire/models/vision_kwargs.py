"""Which arguments a configuration may hand to the constructor of an image encoder.

A configuration travels with a model, so it is not trusted: whatever it names must neither read a
file, ask the network, nor make another kind of network.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["TIMM", "check_kwargs", "own_arguments"]

TIMM = {
    "act_layer", "attn_drop_rate", "class_token", "depth", "depths", "dims", "drop_path_rate",
    "drop_rate", "dynamic_img_pad", "dynamic_img_size", "embed_dim", "fc_norm", "final_norm",
    "global_pool", "img_size", "init_values", "ls_init_value", "mlp_ratio", "no_embed_class",
    "norm_layer", "num_heads", "output_stride", "patch_drop_rate", "patch_size", "pos_drop_rate",
    "pos_embed", "pre_norm", "proj_drop_rate", "qk_norm", "qkv_bias", "reg_tokens", "window_size",
}  # fmt: skip
"""Arguments of timm's networks: sizes, rates and named variants."""
_WORD = re.compile(r"[A-Za-z0-9_+-]{0,40}")
_LARGEST, _LONGEST = 65_536, 64


def own_arguments(build: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments that one of our constructors spells out."""
    found = inspect.signature(build).parameters.values()
    return tuple(p.name for p in found if p.kind is not inspect.Parameter.VAR_KEYWORD)


def check_kwargs(name: str, kwargs: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Refuse arguments that are not allowed, and values that are more than settings.

    Parameters
    ----------
    name
        Of the encoder.

    Raises
    ------
    InputError
        Naming the first, and all that are allowed.
    """
    for key, value in kwargs.items():
        if key not in allowed:
            raise InputError(
                f"The image encoder {name} lacks a setting, or does not take it from a "
                "configuration",
                got=key,
                expected=", ".join(sorted(allowed)),
                fix="Take it out of vision.kwargs",
            )
        if not _plain(value):
            raise InputError(
                f"The image encoder {name} cannot be built with this setting",
                got=f"{key} {value!r:.80}",
                expected=f"a truth value, a word, numbers up to {_LARGEST:,}, or a short list",
                fix="Check vision.kwargs",
            )


def _plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, (list, tuple)):
        short = len(value) <= _LONGEST and depth < 2
        return short and all(_plain(one, depth + 1) for one in value)
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    if isinstance(value, (int, float)):
        return -_LARGEST <= value <= _LARGEST  # NaN neither
    return value is None
