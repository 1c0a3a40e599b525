"""Training what names the class of a spot: one linear layer, or a perceptron, by Adam."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.classes.probe import Regression, fit

if TYPE_CHECKING:
    import torch

    from umpire_training.options.probe import FitOptions, ProbeControls

__all__ = ["fit_linear", "fit_mlp"]

_SMALLEST_SCALE = 1e-9


def fit_linear(
    x: np.ndarray, codes: np.ndarray, n_classes: int, kind: str, options: FitOptions, seed: int
) -> Regression:
    """One linear layer on standardised features.

    Parameters
    ----------
    x
        (n, dim) float.
    codes
        (n,) class of each, 0 to ``n_classes`` - 1.
    kind
        "adam" or "logistic", see `FitOptions`.
    """
    if kind == "logistic":
        return fit(x, codes, n_classes, c=options.c, balanced=options.balanced)
    import torch

    x = np.asarray(x, np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale <= _SMALLEST_SCALE * np.maximum(np.abs(mean), 1e-12)] = 1.0
    torch.manual_seed(seed)
    layer = torch.nn.Linear(x.shape[1], n_classes)
    _train(layer, (x - mean) / scale, codes, n_classes, options, seed)
    weight = layer.weight.detach().double().numpy()
    bias = layer.bias.detach().double().numpy()
    # A class that was not there to be learned is never said.
    bias = np.where(np.bincount(codes, minlength=n_classes) > 0, bias, -np.inf)
    return Regression(mean, scale, weight, bias)


def fit_mlp(
    x: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    test: np.ndarray,
    options: FitOptions,
    shape: ProbeControls,
    seed: int,
) -> np.ndarray:
    """Train a GeneMLP with a linear layer on the labels; the likeliest class of ``test``, (m,).

    Parameters
    ----------
    x, test
        (n, n_genes) and (m, n_genes) float32 log1p CP10k of a panel.
    """
    import torch

    from napari_umpire.models.gene_mlp import GeneMLP, GeneMLPConfig

    torch.manual_seed(seed)
    mlp = GeneMLP(
        GeneMLPConfig(
            n_genes=x.shape[1],
            hidden=tuple(shape.mlp_hidden),
            dim=shape.mlp_features,
            dropout=shape.mlp_dropout,
        )
    )
    mlp.set_statistics(torch.from_numpy(x.mean(axis=0)), torch.from_numpy(x.std(axis=0)))
    module = torch.nn.Sequential(
        mlp, torch.nn.GELU(), torch.nn.Linear(shape.mlp_features, n_classes)
    )
    _train(module, x, codes, n_classes, options, seed)
    with torch.inference_mode():
        logits = module.eval()(torch.from_numpy(np.asarray(test, np.float32))).numpy()
    logits[:, np.bincount(codes, minlength=n_classes) == 0] = -np.inf
    return logits.argmax(axis=1)


def _train(
    module: torch.nn.Module,
    x: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    options: FitOptions,
    seed: int,
) -> None:
    """Adam on cross entropy; with patience, the weights of the pass with the least held-out loss.

    The watched spots are drawn from all training spots at random: they decide when to stop, and
    are no part of any score.
    """
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng([seed, 0xADA])
    order = rng.permutation(len(x))
    n_held = round(len(x) * options.val_fraction) if options.patience is not None else 0
    held, learned = order[:n_held], order[n_held:]
    data = torch.from_numpy(np.asarray(x, np.float32))
    target = torch.from_numpy(np.asarray(codes, np.int64))
    weight = None
    if options.balanced:
        counts = np.bincount(codes[learned], minlength=n_classes)
        shares = len(learned) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weight = torch.from_numpy(np.where(counts > 0, shares, 0).astype(np.float32))
    adam = torch.optim.Adam(module.parameters(), lr=options.lr)
    best, kept, since = np.inf, None, 0
    for _ in range(options.epochs):
        module.train()
        turn = rng.permutation(learned)
        for start in range(0, len(turn), options.batch_size):
            rows = torch.from_numpy(turn[start : start + options.batch_size])
            adam.zero_grad()
            F.cross_entropy(module(data[rows]), target[rows], weight).backward()
            adam.step()
        if not n_held:
            continue
        module.eval()
        with torch.inference_mode():
            loss = float(F.cross_entropy(module(data[held]), target[held], weight))
        since += 1
        if loss < best:
            best, kept, since = loss, copy.deepcopy(module.state_dict()), 0
        elif options.patience is not None and since >= options.patience:
            break
    if kept is not None:
        module.load_state_dict(kept)
    module.eval()
