"""Attention pooling against numpy, and what must not matter to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.abmil import Abmil
from napari_umpire.models.status_config import AbmilConfig


def by_hand(x, module):
    """Eq. 9, eq. 7 and the classifier in numpy, tile by tile."""
    p = {k: v.detach().numpy().astype(np.float64) for k, v in module.state_dict().items()}
    x = (x - p["mean"]) / p["std"]
    if module.config.clip is not None:
        x = np.clip(x, -module.config.clip, module.config.clip)
    scores, hidden = [], []
    for row in x:
        h = row
        if "embed.0.weight" in p:
            h = np.maximum(p["embed.0.weight"] @ row + p["embed.0.bias"], 0)
        gate = 1 / (1 + np.exp(-(p["attention.U.weight"] @ h + p["attention.U.bias"])))
        value = np.tanh(p["attention.V.weight"] @ h + p["attention.V.bias"])
        scores.append(float((p["attention.w.weight"] @ (value * gate))[0]))
        hidden.append(h)
    weight = np.exp(np.array(scores) - max(scores))
    weight /= weight.sum()
    pooled = sum(w * h for w, h in zip(weight, hidden, strict=True))
    return p["classifier.weight"] @ pooled + p["classifier.bias"], weight


@pytest.mark.parametrize(("hidden", "clip"), [(0, None), (7, None), (0, 0.5)])
def test_it_is_the_formula_of_the_paper(hidden, clip):
    shape = AbmilConfig(dim=5, n_classes=3, hidden=hidden, attention=4, clip=clip)
    module = Abmil(shape).eval()
    module.set_statistics(torch.randn(5), torch.rand(5) + 0.5)
    x = torch.randn(9, 5)
    logits, attention = module(x)
    wanted_logits, wanted_attention = by_hand(x.numpy().astype(np.float64), module)
    np.testing.assert_allclose(logits.detach(), wanted_logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(attention.detach(), wanted_attention, rtol=1e-4, atol=1e-6)
    assert float(attention.detach().sum()) == pytest.approx(1)


def test_its_size_is_that_of_the_published_shape():
    # D = 128, gated, two classes, no hidden layer, on 768 and 1024 features: counted by hand from
    # 2 (dim D + D) + (D + 1) + (2 dim + 2).
    for dim, wanted in ((768, 198_531), (1024, 264_579)):
        module = Abmil(AbmilConfig(dim=dim, n_classes=2))
        assert sum(p.numel() for p in module.parameters()) == wanted


def test_the_order_of_tiles_does_not_matter():
    module = Abmil(AbmilConfig(dim=6, n_classes=2, hidden=8)).eval()
    x = torch.randn(40, 6)
    order = torch.randperm(40)
    logits, attention = module(x)
    shuffled, shares = module(x[order])
    torch.testing.assert_close(shuffled, logits)
    torch.testing.assert_close(shares, attention[order])


def test_padding_is_as_if_it_were_not_there():
    module = Abmil(AbmilConfig(dim=6, n_classes=2, hidden=8)).eval()
    bags = [torch.randn(n, 6) for n in (11, 3, 7)]
    batch = torch.full((3, 11, 6), float("nan"))
    mask = torch.zeros(3, 11, dtype=torch.bool)
    for i, bag in enumerate(bags):
        batch[i, : len(bag)], mask[i, : len(bag)] = bag, True
    logits, attention = module(batch, mask)
    for i, bag in enumerate(bags):
        alone, shares = module(bag)
        torch.testing.assert_close(logits[i], alone)
        torch.testing.assert_close(attention[i, : len(bag)], shares)
        assert not attention[i, len(bag) :].any()
    logits.sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in module.parameters())


def test_a_feature_that_never_varied_has_no_say():
    module = Abmil(AbmilConfig(dim=3, n_classes=2)).eval()
    module.set_statistics(torch.zeros(3), torch.tensor([1.0, 0.0, 1.0]))
    x = torch.randn(5, 3)
    other = x.clone()
    other[:, 1] += 100
    torch.testing.assert_close(module(x).logits, module(other).logits)
    assert module.distance(other) == pytest.approx(float(x[:, [0, 2]].square().mean()))


@pytest.mark.parametrize(
    "wrong",
    [{"dim": 0}, {"n_classes": 1}, {"attention": 0}, {"hidden": -1}, {"dropout": 1.0}, {"clip": 0}],
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(InputError):
        AbmilConfig(**{"dim": 4, "n_classes": 2, **wrong})
