"""From the authors' weights and vocabulary to a model folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.folder import save_model
from napari_umpire.models.pathology_vision import conch_image_size
from napari_umpire.models.pickles import read_state_dict
from napari_umpire.models.rank_checkpoint import fill_strictly, former_config
from napari_umpire.models.umpire import GeneConfig, TokensConfig, Umpire, UmpireConfig
from napari_umpire.models.vision_config import VisionConfig
from napari_umpire.models.vision_names import hf_vit_to_timm, is_hf_vit
from napari_umpire.models.visiumformer import UNUSED_PUBLISHED_KEYS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Imported", "import_published"]

_IMAGE, _GENE = "visual_backbone.", "spot_backbone."


@dataclass(frozen=True)
class Imported:
    """What became of a published model.

    ``unused``: keys that the authors' model has but never uses. ``left_out``: keys that have no
    place in ours; they are not in the folder.
    """

    folder: Path
    unused: tuple[str, ...]
    left_out: tuple[str, ...]

    def report(self) -> str:
        """One paragraph for the user."""
        text = f"The model is in {self.folder}. {len(self.unused)} tensors that the published "
        text += "model never uses were dropped"
        if self.left_out:
            names = ", ".join(self.left_out[:5]) + (" ..." if self.left_out[5:] else "")
            return text + f", and {len(self.left_out)} that did not fit: {names}."
        return text + "; everything else fitted."


def import_published(
    weights: str | Path,
    vocabulary_folder: str | Path,
    out: str | Path,
    *,
    vision: VisionConfig | None = None,
    overwrite: bool = False,
) -> Imported:
    """Convert a published UMPIRE pickle to a model folder.

    Sizes are read from the tensors; pooling, rounding of the means and token length are set as the
    authors' code has them. The pickle is read by `pickles.read_state_dict`, so nothing in it runs.

    Parameters
    ----------
    weights
        ``with_phikon.pkl``, ``with_uni.pkl`` or ``with_conch.pkl``.
    vocabulary_folder
        The folder of the published ``model.h5ad``, ``gene_name_id_dict.pkl``, ``Visium_mean.npy``.
    vision
        The image encoder; None: told from the names of its tensors.

    Raises
    ------
    InputError
        Where the file is no UMPIRE model, lacks a tensor, or holds one of another shape (all are
        listed).
    """
    from napari_umpire.genes.vocabulary import GeneVocabulary

    state = read_state_dict(weights)
    state = {key.removeprefix("module."): value for key, value in state.items()}
    config = _config(state, vision, str(weights))
    vocabulary = GeneVocabulary.from_published(Path(vocabulary_folder))
    unused = tuple(k for k in state if k.removeprefix(_GENE) in UNUSED_PUBLISHED_KEYS)
    state = {k: v for k, v in state.items() if k not in unused}
    image = {k.removeprefix(_IMAGE): v for k, v in state.items() if k.startswith(_IMAGE)}
    translated = hf_vit_to_timm(image) if is_hf_vit(image) else image
    state = {k: v for k, v in state.items() if not k.startswith(_IMAGE)}
    state |= {_IMAGE + k: v for k, v in translated.items()}

    model = Umpire(config, pretrained=False)
    left_out = tuple(fill_strictly(model, state, f"{weights} does not hold a whole UMPIRE model"))
    card = {
        "title": "UMPIRE, converted from the published weights",
        "description": "The authors' weights in this program's format; their terms apply.",
        "Converted from": Path(weights).name,
        "Dropped": f"{len(unused)} tensors never used, {len(left_out)} without a place",
    }
    folder = save_model(out, model, vocabulary, card, overwrite=overwrite)
    return Imported(folder, unused, left_out)


def _config(state: dict[str, Tensor], vision: VisionConfig | None, where: str) -> UmpireConfig:
    """The model's settings, read from the names and shapes of its tensors."""
    needed = (_GENE + "embeddings.weight", "spot_projection.weight", "visual_projection.weight")
    missing = [key for key in needed if key not in state]
    if missing:
        alone = "encoder.layers.0.linear1.weight"
        raise InputError(
            f"{where} is not a published UMPIRE model",
            got=f"no {missing[0]}",
            fix="It looks like a gene encoder alone: import it with --kind nicheformer or "
            "--kind visiumformer"
            if any(key.endswith(alone) for key in state)
            else None,
        )
    gene = {k.removeprefix(_GENE): v for k, v in state.items() if k.startswith(_GENE)}
    former = former_config(gene, where, pooling="published")
    with reading(f"{where} is not a published UMPIRE model", fix=None):
        dim = state["spot_projection.weight"].shape[0]
        image = vision or _vision(state, where)
    return UmpireConfig(
        gene=GeneConfig(visiumformer=former),
        vision=replace(image, weights=None),
        dim=dim,
        adapter="adapter_spot.fc.0.weight" in state,
        tokens=TokensConfig(rounding="published", length=former.length),
    )


def _vision(state: dict[str, Tensor], where: str) -> VisionConfig:
    image = {k.removeprefix(_IMAGE): v for k, v in state.items() if k.startswith(_IMAGE)}
    if is_hf_vit(image):
        return VisionConfig("phikon")
    if "blocks.23.ls1.gamma" in image:
        return VisionConfig("uni")
    if "attn_pool_contrast.query" in image and "trunk.pos_embed" in image:
        return VisionConfig("conch", kwargs={"img_size": conch_image_size(image)})
    raise InputError(
        f"{where} has an image encoder that is not known",
        expected="Phikon, UNI or CONCH",
        fix="Give the vision settings that fit it",
    )
