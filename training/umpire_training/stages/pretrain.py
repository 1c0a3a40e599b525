"""Masked-token pre-training: a token corpus in, a gene encoder folder out."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.corpus.building import new_folder, read_json, write_json
from umpire_training.engine.fit import fit
from umpire_training.engine.installed import ready_lightning
from umpire_training.engine.plan import make_plan
from umpire_training.options.ranges import check_ranges
from umpire_training.run_folder import logger
from umpire_training.stages.same_start import same_start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.models.visiumformer import Visiumformer
    from umpire_training.corpus.tokens import TokenCorpus
    from umpire_training.options import PretrainSettings

__all__ = ["GeneEncoder", "pretrain_encoder", "write_encoder"]


@dataclass(frozen=True)
class GeneEncoder:
    """A pre-trained gene encoder: encoder.json, encoder.safetensors, genes.csv.

    Attributes
    ----------
    tokens
        Length and rounding of its input.
    digest
        SHA-256 of the file of its weights.
    """

    module: Visiumformer
    vocabulary: GeneVocabulary
    tokens: dict[str, Any]
    digest: str

    @classmethod
    def open(cls, path: str | Path) -> GeneEncoder:
        """Read an encoder folder, or the run folder of `pretrain` that holds one.

        Raises
        ------
        InputError
            Where there is none, a file is missing or damaged, or the vocabulary was changed.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from napari_umpire.genes import GeneVocabulary
        from napari_umpire.models.config_json import from_data
        from napari_umpire.models.visiumformer import Visiumformer, VisiumformerConfig

        path = Path(path)
        if (path / "encoder").is_dir():
            path = path / "encoder"
        facts = read_json(
            path / "encoder.json", "pre-trained gene encoder", "gene encoder", made_by="pretrain"
        )
        module = Visiumformer(
            from_data(VisiumformerConfig, facts["config"], f"{path}/encoder.json")
        )
        try:
            module.load_state_dict(load_file(path / "encoder.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise InputError(f"The weights in {path} are missing or damaged", got=error) from error
        vocabulary = GeneVocabulary.read_csv(path / "genes.csv")
        if vocabulary.digest != facts["vocabulary"]:
            raise InputError(f"The vocabulary of the gene encoder {path} was changed")
        weights = (path / "encoder.safetensors").read_bytes()
        return cls(module, vocabulary, facts["tokens"], hashlib.sha256(weights).hexdigest())


def pretrain_encoder(
    corpus: TokenCorpus,
    settings: PretrainSettings,
    *,
    folder: Path,
    seed: int,
    resume: bool = False,
) -> Path:
    """Train a Visiumformer on ``corpus`` and write it to ``folder``/encoder.

    Returns
    -------
    The encoder folder, which `GeneEncoder.open` reads.
    """
    ready_lightning()
    import torch

    from napari_umpire.models.visiumformer import Visiumformer, VisiumformerConfig
    from umpire_training.objectives.mlm import MaskedTokens, TokenRows

    target = folder / "encoder"
    if resume and target.is_dir():
        return target
    check_ranges(settings)
    plan = make_plan(len(corpus.tokens), settings.trainer, seed)
    words = f"token corpus {corpus.path}"
    start = {
        "vocabulary": (corpus.vocabulary.digest, f"vocabulary of the {words}"),
        "tokens": (corpus.digest, words),
    }
    same_start(folder, "pretrain", start)
    torch.manual_seed(seed)
    config = VisiumformerConfig(
        **asdict(settings.encoder),
        n_tokens=corpus.vocabulary.n_tokens,
        length=corpus.facts["length"],
    )
    encoder = Visiumformer(config)
    logger.info(
        "pre-training on %d spots (%d held out), %d genes, %d steps, %.2f M parameters",
        len(plan.train),
        len(plan.held),
        corpus.vocabulary.n_genes,
        plan.total_steps,
        sum(p.numel() for p in encoder.parameters()) / 1e6,
    )
    module = MaskedTokens(encoder, settings.mask, settings.optim, plan.total_steps, seed=seed)
    fit(
        module,
        TokenRows(corpus.tokens, corpus.facts["sources"]),
        plan,
        folder=folder,
        options=settings.trainer,
        clip_norm=settings.optim.clip_norm,
        seed=seed,
        resume=resume,
        lengths=corpus.n_tokens() if settings.length_buckets else None,
    )
    _save(target, encoder, corpus)
    return target


def write_encoder(
    target: Path,
    module: Visiumformer,
    vocabulary: GeneVocabulary,
    tokens: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> None:
    """Write an encoder folder, which `GeneEncoder.open` reads; whole or not at all.

    Parameters
    ----------
    tokens
        ``length`` and ``rounding`` that its input has.
    origin
        Where its weights are from, for people and for the search of leaks.
    """
    from napari_umpire.models.config_json import to_data
    from napari_umpire.models.weight_files import write_tensors

    facts = {
        "kind": "gene encoder",
        "config": to_data(module.config),
        "tokens": dict(tokens),
        "vocabulary": vocabulary.digest,
        **origin,
    }
    with new_folder(target) as partial:
        write_tensors(partial / "encoder.safetensors", module.state_dict())
        vocabulary.write_csv(partial / "genes.csv")
        shutil.copymode(partial / "genes.csv", partial / "encoder.safetensors")
        write_json(partial / "encoder.json", facts)


def _save(target: Path, encoder: Visiumformer, corpus: TokenCorpus) -> None:
    from umpire_training.run_folder import is_main_process

    if not is_main_process():
        return
    sources = corpus.facts["sources"]
    write_encoder(
        target,
        encoder,
        corpus.vocabulary,
        {"length": corpus.facts["length"], "rounding": corpus.facts["rounding"]},
        {
            "trained_on": [source["name"] for source in sources],
            "corpus": corpus.digest,
            # By which a slide is found again under another name.
            "trained_on_content": [source.get("content", "") for source in sources],
        },
    )
