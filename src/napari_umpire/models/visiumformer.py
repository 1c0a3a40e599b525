"""Visiumformer and Nicheformer: a transformer over the genes of a spot, in rank order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_umpire.errors import InputError
from napari_umpire.genes.tokens import CLS_ID, FIRST_GENE_ID, PAD_ID
from napari_umpire.models.bounds import HEADS, LAYERS, LENGTHS, WIDTHS, check_bounds
from napari_umpire.models.encoder_block import Encoder, start_as_published
from napari_umpire.models.lengths import trim
from napari_umpire.models.masking import Scheme, mask_tokens

__all__ = ["UNUSED_PUBLISHED_KEYS", "Visiumformer", "VisiumformerConfig", "unused_shapes"]

_LAYER_SUFFIXES = tuple(
    f"{part}{kind}"
    for part in ("self_attn.in_proj_", "self_attn.out_proj.", "linear1.", "linear2.", "norm1.",
                 "norm2.")
    for kind in ("weight", "bias")
)  # fmt: skip
UNUSED_PUBLISHED_KEYS = (
    *(f"encoder_layer.{suffix}" for suffix in _LAYER_SUFFIXES),
    "pooler_head.weight", "pooler_head.bias", "cls_head.weight", "cls_head.bias",
)  # fmt: skip
"""Keys of a published state dict that take no part in any computation.

``encoder_layer`` is the template from which the authors' layers were copied; the two heads are
never called. They are dropped on loading and written as zeros by `Visiumformer.published_state`.
"""
_CLS_HEAD_ROWS = 164
_N_SPARE_EMBEDDINGS = 5
_SKIPPED_POSITIONS = 3


@dataclass(frozen=True)
class VisiumformerConfig:
    """Shape of a Visiumformer; the defaults are the published model's.

    Parameters
    ----------
    dim, heads, feedforward, layers
        Width, attention heads, hidden units of the feed-forward part, number of blocks.
    n_tokens
        Genes of the vocabulary + 30.
    length
        Longest sequence: context tokens and gene tokens.
    pooling
        How a spot becomes one vector. ``"masked_mean"``: mean over its gene tokens.
        ``"published"``: mean over positions 3 to the end, padding included, as the authors of
        both models compute it; only that fits published weights.
    levels
        What is pooled: 0 is the embeddings, i the output of the i-th block, -1 that of the last.
        Features of several levels are concatenated in this order (the authors' ``extract_layers``
        with ``function_layers="concat"``, whose 11 is level 12).
    context_tokens
        Token ids that stand before the genes of every spot, and shift their positions. None for
        Visiumformer; species, assay and modality for Nicheformer, see `nicheformer`.
    """

    dim: int = 512
    heads: int = 16
    feedforward: int = 1024
    layers: int = 12
    n_tokens: int = 20340
    length: int = 1500
    dropout: float = 0.0
    pooling: Literal["masked_mean", "published"] = "masked_mean"
    levels: tuple[int, ...] = (-1,)
    context_tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(
            "The gene encoder", self, dim=WIDTHS, heads=HEADS, feedforward=WIDTHS, layers=LAYERS,
            n_tokens=LENGTHS, length=LENGTHS, dropout=(0, 1),
        )  # fmt: skip
        if self.dim % self.heads:
            raise InputError(
                "The width of a Visiumformer must divide evenly among its heads",
                got=f"dim {self.dim}, heads {self.heads}",
            )
        object.__setattr__(self, "levels", tuple(self.levels))  # a recipe gives a list
        self._check_context()
        depth = self.layers + 1
        # Features of each level are kept side by side.
        within = all(-depth <= level < depth for level in self.levels)
        if not within or not 0 < len(self.levels) <= depth:
            raise InputError(
                "levels must name the embeddings or blocks of the Visiumformer",
                got=f"{self.levels[:8]}{' ...' if self.levels[8:] else ''}",
                expected=f"one or more of 0 to {self.layers}, or of -{depth} to -1",
            )

    def _check_context(self) -> None:
        context = tuple(self.context_tokens)
        object.__setattr__(self, "context_tokens", context)
        if not all(CLS_ID < token < FIRST_GENE_ID for token in context):
            raise InputError(
                "context_tokens are reserved ids",
                got=context,
                expected=f"ids from {CLS_ID + 1} to {FIRST_GENE_ID - 1}",
            )
        if len(context) >= self.length:
            raise InputError(
                "The context tokens leave no place for genes",
                got=f"{len(context)} of length {self.length}",
            )
        if self.pooling == "published" and len(context) not in (0, _SKIPPED_POSITIONS):
            raise InputError(
                f'The pooling "published" leaves out {_SKIPPED_POSITIONS} positions, which are '
                "the context tokens of Nicheformer",
                got=f"{len(context)} context tokens",
                expected=f"{_SKIPPED_POSITIONS}, or none for Visiumformer",
            )

    @property
    def n_context_tokens(self) -> int:
        """0 for Visiumformer, 3 for Nicheformer."""
        return len(self.context_tokens)

    @property
    def n_ranks(self) -> int:
        """The most gene tokens of a spot: ``length`` without the context tokens."""
        return self.length - len(self.context_tokens)


def unused_shapes(config: VisiumformerConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every key in `UNUSED_PUBLISHED_KEYS` for a model of this size."""
    dim, wide = config.dim, config.feedforward
    shapes: dict[str, tuple[int, ...]] = {
        "self_attn.in_proj_weight": (3 * dim, dim), "self_attn.in_proj_bias": (3 * dim,),
        "self_attn.out_proj.weight": (dim, dim),
        "linear1.weight": (wide, dim), "linear1.bias": (wide,),
        "linear2.weight": (dim, wide),
    }  # fmt: skip
    found = {f"encoder_layer.{s}": shapes.get(s, (dim,)) for s in _LAYER_SUFFIXES}
    found["pooler_head.weight"], found["pooler_head.bias"] = (dim, dim), (dim,)
    found["cls_head.weight"], found["cls_head.bias"] = (_CLS_HEAD_ROWS, dim), (_CLS_HEAD_ROWS,)
    return found


class Visiumformer(nn.Module):
    """Gene encoder: rank tokens -> (B, `dim`) features, ``config.dim`` for each level.

    Token embedding + learned position embedding -> dropout -> post-norm blocks, no final norm;
    keys that are padding are never attended to. Parameter names and shapes are the published
    ones, and a published state dict loads strictly; see `UNUSED_PUBLISHED_KEYS`.
    """

    def __init__(self, config: VisiumformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.Embedding(
            config.n_tokens + _N_SPARE_EMBEDDINGS, config.dim, padding_idx=PAD_ID
        )
        self.positional_embedding = nn.Embedding(config.length, config.dim)
        self.encoder = Encoder(
            config.layers, config.dim, config.heads, config.feedforward, config.dropout
        )
        self.classifier_head = nn.Linear(config.dim, config.n_tokens)
        self.dropout = nn.Dropout(config.dropout)
        start_as_published(self)
        self.register_load_state_dict_pre_hook(_drop_unused)

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return self.config.dim * len(self.config.levels)

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, L) gene tokens -> (B, C + L, dim), before the first block, after C context tokens."""
        n = tokens.shape[1]
        if n > self.config.n_ranks:
            raise InputError(
                "The token sequences are longer than the gene encoder takes",
                got=n,
                expected=f"at most {self.config.n_ranks}",
            )
        tokens = tokens.long()
        if self.config.context_tokens:
            context = tokens.new_tensor(self.config.context_tokens)
            tokens = torch.cat([context.expand(len(tokens), -1), tokens], dim=1)
        x = self.embeddings(tokens) + self.positional_embedding.weight[: tokens.shape[1]]
        return self.dropout(x)

    def hidden(self, tokens: Tensor, *, level: int = -1, is_token: Tensor | None = None) -> Tensor:
        """Embeddings or the output of a block at the genes, (B, L, dim).

        Parameters
        ----------
        tokens
            (B, L) of any integer type, padding = 1. A row of nothing but padding gives zeros.
        level
            Which, as in ``VisiumformerConfig.levels``; later blocks are not computed.
        is_token
            (B, L) bool, False at padding; None: read from ``tokens``.
        """
        return self._hidden(tokens, (level,), is_token)[0]

    def _hidden(
        self, tokens: Tensor, levels: tuple[int, ...], is_token: Tensor | None = None
    ) -> list[Tensor]:
        """`hidden` of several levels at the cost of the deepest."""
        if is_token is None:
            is_token = tokens.long() != PAD_ID
        attend, empty = None, None
        if not bool(is_token.all()):
            # Attention over no key is NaN: an empty row attends to its padding, then is cleared.
            empty = ~is_token.any(dim=1)
            attend = is_token | empty[:, None]
            context = attend.new_ones(len(attend), self.config.n_context_tokens)
            attend = torch.cat([context, attend], dim=1)[:, None, None, :]
        places = [range(self.config.layers + 1)[level] for level in levels]
        x = self.embed(tokens)
        # Only what is asked for is kept: at full size one level of 64 spots takes 200 MB.
        kept = {0: x} if 0 in places else {}
        for i, block in enumerate(self.encoder.layers[: max(places)], start=1):
            x = block(x, attend)
            if i in places:
                kept[i] = x
        if empty is not None:
            kept = {i: x.masked_fill(empty[:, None, None], 0.0) for i, x in kept.items()}
        return [kept[place][:, self.config.n_context_tokens :] for place in places]

    def encode(self, tokens: Tensor) -> Tensor:
        """(B, L) tokens -> (B, `dim`) features, pooled as ``config.pooling`` says.

        With the masked mean, padding at the end that all rows share is cut off first: the result
        is the same and cheaper. Batches of like length (`lengths.buckets`) gain most. The
        published pooling needs rows padded to the full ``n_ranks``.
        """
        if self.config.pooling == "published":
            if tokens.shape[1] != self.config.n_ranks:
                raise InputError(
                    "The published pooling averages over padding too, so it needs rows of full "
                    "length",
                    got=tokens.shape[1],
                    expected=self.config.n_ranks,
                )
            hidden = self._hidden(tokens, self.config.levels)
            skipped = _SKIPPED_POSITIONS - self.config.n_context_tokens  # which are not in hidden
            return torch.cat([x[:, skipped:].mean(dim=1) for x in hidden], dim=1)
        tokens = trim(tokens.long())
        is_token = tokens != PAD_ID
        hidden = self._hidden(tokens, self.config.levels, is_token)
        padding, count = ~is_token[:, :, None], is_token.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = [x.masked_fill(padding, 0.0).sum(dim=1) / count for x in hidden]
        return torch.cat(pooled, dim=1)

    forward = encode

    def mlm_loss(
        self,
        tokens: Tensor,
        generator: torch.Generator | None = None,
        *,
        p: float = 0.15,
        scheme: Scheme = "exact",
    ) -> Tensor:
        """Masked-token loss: mean cross entropy over the selected positions, a scalar.

        Where nothing was selected the loss is 0, with zero gradients. Parameters as in
        `masked_logits`.
        """
        logits, labels = self.masked_logits(tokens, generator, p=p, scheme=scheme)
        return F.cross_entropy(logits, labels, reduction="sum") / max(labels.numel(), 1)

    def masked_logits(
        self,
        tokens: Tensor,
        generator: torch.Generator | None = None,
        *,
        p: float = 0.15,
        scheme: Scheme = "exact",
        part: tuple[int, int] = (0, 1),
    ) -> tuple[Tensor, Tensor]:
        """Logits (n, n_tokens) float32 at the n selected positions, and the tokens there, (n,).

        The head runs on the selected positions only (15 % of the memory of running it on all).
        ``p``, ``scheme`` and ``part`` as in `masking.mask_tokens`; what is masked does not depend
        on the padding of the batch.
        """
        masked = mask_tokens(tokens, self.config.n_tokens, p, scheme, generator, part)
        # Masking neither selects nor writes padding, so the mask may be read from its result.
        seen = trim(masked.tokens)
        hidden = self.hidden(seen)
        logits = self.classifier_head(hidden[masked.selected[:, : seen.shape[1]]])
        return logits.float(), masked.labels

    def published_state(self) -> dict[str, Tensor]:
        """The state dict with every published key; parts that were never used are zeros."""
        state = {k: v.detach() for k, v in self.state_dict().items()}
        like = self.classifier_head.bias
        return state | {k: like.new_zeros(s) for k, s in unused_shapes(self.config).items()}


def _drop_unused(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for key in UNUSED_PUBLISHED_KEYS:
        state.pop(prefix + key, None)
