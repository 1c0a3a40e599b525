"""A model is a folder: configuration, weights, genes and a card; written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_umpire.bounded import check_file, read_text
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.files import scratch_beside
from napari_umpire.models.allowance import Allowance
from napari_umpire.models.card import write_card
from napari_umpire.models.umpire import Umpire, UmpireConfig, check_scale
from napari_umpire.models.weight_files import check_tensor, write_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_umpire.genes.vocabulary import GeneVocabulary

__all__ = ["LoadedModel", "load_model_folder", "model_digest", "save_model"]

_CONFIG, _WEIGHTS, _GENES, _CARD = "config.json", "model.safetensors", "genes.csv", "README.md"
_DIGESTED = (_CONFIG, _GENES, _WEIGHTS)
_LARGEST_CONFIG = 8_000_000  # bytes; a decoder of 65,506 genes names them in one
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class LoadedModel:
    """A model folder in memory: the module in eval mode on its device, and what it goes with."""

    model: Umpire
    vocabulary: GeneVocabulary
    config: UmpireConfig
    digest: str
    path: Path


def save_model(
    folder: str | Path,
    model: Umpire,
    vocabulary: GeneVocabulary,
    card: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a model folder.

    It is built beside its place and moved there when complete, so that a killed run leaves either
    the whole folder or none.

    Parameters
    ----------
    card
        What the README says: see `card.write_card`.
    overwrite
        Replace a model folder that is already there, with all it holds (a reference made with the
        old weights fits no other). Anything that is not a model folder is never replaced.

    Raises
    ------
    InputError
        Where the place is taken, or the vocabulary or the gene panel do not fit the model.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise InputError(
            f"{folder} already exists", fix="Choose another name, or ask for it to be overwritten"
        )
    if folder.exists() and not (folder / _CONFIG).is_file():
        raise InputError(f"{folder} is not a model folder, so it is not overwritten")
    _check_genes(model.config, vocabulary, "The model")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_beside(folder) as scratch:
        building = scratch / "new"
        building.mkdir()
        (building / _CONFIG).write_text(model.config.to_json(), encoding="utf-8")
        write_tensors(building / _WEIGHTS, model.state_dict())
        # safetensors writes for the owner alone; a model folder is for a group to share.
        shutil.copymode(building / _CONFIG, building / _WEIGHTS)
        vocabulary.write_csv(building / _GENES)
        write_card(building / _CARD, folder.name, model, vocabulary, card or {})
        if folder.exists():
            # Beside the scratch folder, so that it outlives a failure to put it back.
            old = scratch.with_name(scratch.name + ".old")
            os.replace(folder, old)
            try:
                os.replace(building, folder)
            except OSError:
                os.replace(old, folder)
                raise
            shutil.rmtree(old)
        else:
            os.replace(building, folder)
    return folder


def load_model_folder(folder: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Read a model folder, with every tensor's name and shape checked; no network is used.

    Raises
    ------
    InputError
        Naming the file and, where it is about weights, the tensor and both shapes.
    """
    folder = Path(folder)
    _check_files(folder)
    from napari_umpire.genes.vocabulary import GeneVocabulary

    path = folder / _CONFIG
    text = read_text(path, limit=_LARGEST_CONFIG, what=str(path))
    if len(text.encode()) != path.stat().st_size:  # what is written here has no such mark
        raise InputError(
            f"{path} begins with a mark of its byte order",
            got="a file that another program has saved",
            fix="Copy or download the model again",
        )
    config = UmpireConfig.from_json(text, str(path))
    vocabulary = GeneVocabulary.read_csv(folder / _GENES)
    _check_genes(config, vocabulary, str(folder))
    model = _filled(config, folder / _WEIGHTS).eval().to(device)
    return LoadedModel(model, vocabulary, model.config, model_digest(folder), folder)


def model_digest(folder: str | Path) -> str:
    """sha256 over the sha256 of config.json, genes.csv and model.safetensors, in this order."""
    whole = hashlib.sha256()
    for name in _DIGESTED:
        with (Path(folder) / name).open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _check_files(folder: Path) -> None:
    if folder.is_file():
        pickle = folder.suffix in _PICKLES
        raise InputError(
            f"{folder} is a {'pickle or checkpoint' if pickle else 'file'}, not a model folder",
            fix="Convert a published pickle with napari_umpire.models.published.import_published"
            if pickle
            else f"Give the folder that holds {_CONFIG} and {_WEIGHTS}",
        )
    if not folder.is_dir():
        raise InputError(f"The model folder {folder} does not exist")
    missing = [name for name in (_CONFIG, _WEIGHTS, _GENES) if not (folder / name).is_file()]
    if missing:
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
        raise InputError(
            f"{folder} is not a complete model folder; it lacks {', '.join(missing)}",
            got=f"the pickle {pickles[0]}" if pickles else None,
            fix="Convert a published pickle with napari_umpire.models.published.import_published"
            if pickles
            else None,
        )


def _check_genes(config: UmpireConfig, vocabulary: GeneVocabulary, where: str) -> None:
    if config.decoder is not None:
        unknown = sorted(set(config.decoder.genes) - set(vocabulary.ids))
        if unknown:
            raise InputError(
                f"The decoder of {where} predicts genes that its gene list lacks",
                got=f"{unknown[0]} and {len(unknown) - 1} more" if unknown[1:] else unknown[0],
            )
    if not config.aligned:
        return  # nothing reads genes
    former, of_panel = config.gene.visiumformer, config.gene.of_panel
    if of_panel is None:
        assert former is not None
        if former.n_tokens != vocabulary.n_tokens:
            raise InputError(
                f"The gene encoder and the gene list of {where} do not belong together",
                got=f"{vocabulary.n_genes} genes",
                expected=f"{former.n_tokens - 30} genes",
            )
    else:
        if not of_panel.panel:
            raise InputError(
                f"{where} does not name the genes of its panel",
                fix=f"Fill in gene.{config.gene.kind}.panel",
            )
        unknown = sorted(set(of_panel.panel) - set(vocabulary.ids))
        if unknown:
            raise InputError(
                f"The gene panel of {where} has genes that its gene list lacks",
                got=f"{unknown[0]} and {len(unknown) - 1} more" if unknown[1:] else unknown[0],
            )


def _filled(config: UmpireConfig, path: Path) -> Umpire:
    """The model with the weights of ``path``, which bound what its making may take."""
    n_bytes = check_file(path)
    with _opened(path) as file:
        n_tensors = len(file.keys())
    where = str(path.with_name(_CONFIG))
    bare = _without_storage(config, Allowance(n_tensors, n_bytes, where))
    if bare is not None:
        bare.load_state_dict(_read_checked(path, bare), assign=True)
        if not any(buffer.is_meta for buffer in bare.buffers()):
            return bare
    with Allowance(n_tensors, n_bytes, where):
        model = Umpire(config, pretrained=False)
    model.load_state_dict(_read_checked(path, model))
    return model


def _without_storage(config: UmpireConfig, allowance: Allowance) -> Umpire | None:
    """A model to assign weights to: random ones, replaced at once, take seconds for a large ViT.

    None where a constructor computes with its tensors. Where the settings are those of no model,
    building it with storage says so.
    """
    try:
        with allowance, torch.device("meta"):
            return Umpire(config, pretrained=False)
    except Exception:  # every constructor fails in its own way; see above
        if allowance.is_spent:
            raise
        return None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import safe_open

    with (
        reading(
            f"{path} is not a readable safetensors file",
            fix="Copy or download the model again; a pickle renamed to it does not work",
        ),
        safe_open(path, framework="pt") as file,
    ):
        yield file


def _read_checked(path: Path, model: Umpire) -> dict[str, Tensor]:
    """The tensors of ``path``, which are exactly those of ``model``, in name and shape."""
    wanted = model.state_dict()
    state: dict[str, Tensor] = {}
    with _opened(path) as file:
        names = set(file.keys())
        for name, tensor in wanted.items():
            if name not in names:
                raise InputError(f"{path} lacks the tensor {name}")
            shape = tuple(file.get_slice(name).get_shape())
            if shape != tuple(tensor.shape):
                raise InputError(
                    f"{path}: the tensor {name} has a wrong shape",
                    got=shape,
                    expected=tuple(tensor.shape),
                )
        extra = sorted(names - set(wanted))
        if extra:
            raise InputError(
                f"{path} holds tensors that its configuration has no place for",
                got=", ".join(extra[:3]) + (" ..." if extra[3:] else ""),
            )
        for name, tensor in wanted.items():
            state[name] = check_tensor(name, file.get_tensor(name), tensor.dtype, path)
    if "logit_scale" in state:
        check_scale(state["logit_scale"], path)
    return state
