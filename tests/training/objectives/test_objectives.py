from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from napari_umpire.errors import InputError
from umpire_training.engine.installed import ready_lightning
from umpire_training.objectives.augment import augment, dihedral, stain_jitter
from umpire_training.objectives.chunks import in_chunks
from umpire_training.objectives.contrastive import contrastive_loss, margin_loss, soft_targets
from umpire_training.objectives.optimizer import learning_rate, make_optimizer
from umpire_training.options import (
    AlignSettings,
    AugmentOptions,
    ContrastOptions,
    OptimOptions,
    RecOptions,
    TargetOptions,
)


def unit(n, d, seed):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("soft", [False, True], ids=["one-hot", "soft"])
def test_contrastive_loss_against_numpy(soft):
    image, gene, space = unit(7, 5, 0), unit(7, 5, 1), np.random.default_rng(2).normal(size=(7, 9))
    scale = 14.3
    logits = scale * image @ gene.T
    if soft:
        normed = space / np.linalg.norm(space, axis=1, keepdims=True)
        target = softmax(5.0 * normed @ normed.T, axis=1)
    else:
        target = np.eye(7)
    wanted = -0.5 * (
        np.mean(np.sum(target * log_softmax(logits, axis=1), axis=1))
        + np.mean(np.sum(target * log_softmax(logits.T, axis=1), axis=1))
    )
    t = torch.from_numpy
    found = contrastive_loss(
        t(image), t(gene), torch.tensor(math.log(scale)),
        soft_targets(t(space), 5.0).double() if soft else None,
    )  # fmt: skip
    assert float(found) == pytest.approx(wanted, rel=1e-6)


def test_one_side_of_the_contrast_against_numpy():
    image, gene = unit(7, 5, 0), unit(7, 5, 1)
    wanted = -np.mean(np.diag(log_softmax(3.0 * image @ gene.T, axis=1)))
    t = torch.from_numpy
    scale = torch.tensor(math.log(3.0))
    found = contrastive_loss(t(image), t(gene), scale, symmetric=False)
    assert float(found) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("margin", [0.8, 1.3])
def test_margin_loss_against_numpy(margin):
    image, gene = unit(6, 4, 0), unit(6, 4, 1)
    pairs, others = [], []
    for i in range(6):
        for j in range(6):
            d = float(np.linalg.norm(image[i] - gene[j]))
            if i == j:
                pairs.append(d**2 / 2)
            else:
                others.append(max(0.0, margin - d) ** 2 / 2)
    found = margin_loss(torch.from_numpy(image), torch.from_numpy(gene), margin)
    assert float(found) == pytest.approx(np.mean(pairs) + np.mean(others), rel=1e-6)


def test_margin_loss_of_equal_embeddings_has_a_slope():
    x = torch.nn.functional.normalize(torch.randn(3, 4), dim=1).requires_grad_()
    margin_loss(x, x.detach().clone(), 1.0).backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("size", [1, 3, 8, None])
def test_chunks_give_the_gradient_of_the_whole_batch_and_hold_less(size):
    """Gradients as without chunks, dropout included; what is saved is that of one chunk."""
    from torch import nn

    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(5, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU())
    head, gene = nn.Linear(64, 6), torch.nn.functional.normalize(torch.randn(8, 6), dim=1)
    inputs = torch.randn(8, 5)

    def step(chunk):
        saved = []
        encoder.zero_grad()

        def keep(tensor):
            saved.append(tensor.nelement())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            features = in_chunks(encoder, inputs, chunk)
        image = torch.nn.functional.normalize(head(features), dim=1)
        loss = contrastive_loss(image, gene, torch.tensor(2.0))
        loss.backward()
        return float(loss.detach()), [p.grad.clone() for p in encoder.parameters()], sum(saved)

    loss, wanted, whole = step(None)
    again, found, held = step(size)
    assert again == pytest.approx(loss, rel=1e-6)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    if size in (1, 3):
        assert held < 0.3 * whole


def test_chunks_draw_dropout_alike_both_times():
    from torch import nn

    encoder = nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5))
    inputs = torch.randn(6, 5)
    torch.manual_seed(3)
    features = in_chunks(encoder, inputs, 2)
    features.sum().backward()
    # The gradient of the bias counts the units that were kept, each doubled.
    kept = (features.detach() != 0).sum(0).float() * 2
    torch.testing.assert_close(encoder[0].bias.grad, kept)


def test_soft_targets_carry_no_gradient():
    space = torch.randn(4, 3, requires_grad=True)
    assert not soft_targets(space, 5.0).requires_grad


# Values of A6: the authors' schedule, with the floor from step 0 and the cosine not shifted.
@pytest.mark.parametrize(
    ("step", "total", "warmup", "lr"),
    [
        (0, 1_000_000, 20_000, 1e-5),
        (1_000, 1_000_000, 20_000, 1e-5),
        (20_000, 1_000_000, 20_000, 9.990134e-5),
        (500_000, 1_000_000, 20_000, 5e-5),
        (1_000_000, 1_000_000, 20_000, 1e-5),
        (1_200_000, 1_000_000, 20_000, 1e-5),
        (5_000, 13_606, 5_000, 7.0237e-5),
    ],
)
def test_published_schedule(step, total, warmup, lr):
    options = OptimOptions(lr=1e-4, min_lr=1e-5, warmup_steps=warmup)
    assert learning_rate(step, total, options) == pytest.approx(lr, rel=1e-3)


@pytest.mark.parametrize(
    ("schedule", "step", "lr"),
    [("shifted", 5, 0.5), ("shifted", 10, 1.0), ("shifted", 60, 0.5), ("shifted", 110, 0.01),
     ("constant", 5, 0.5), ("constant", 10, 1.0), ("constant", 100, 1.0)],
)  # fmt: skip
def test_other_schedules(schedule, step, lr):
    options = OptimOptions(lr=1.0, min_lr=0.01, warmup_steps=10, schedule=schedule)
    assert learning_rate(step, 110, options) == pytest.approx(lr)


def test_another_schedule_is_refused():
    with pytest.raises(InputError, match="published, shifted or constant"):
        learning_rate(3, 10, OptimOptions(schedule="linear"))


@pytest.fixture
def pair():
    """A small aligned pair with a decoder."""
    from napari_umpire.models import (
        DecoderConfig,
        GeneConfig,
        GeneMLPConfig,
        Umpire,
        UmpireConfig,
        VisionConfig,
    )

    torch.manual_seed(0)
    model = Umpire(
        UmpireConfig(
            gene=GeneConfig(kind="mlp", mlp=GeneMLPConfig(n_genes=6, hidden=(4,), dim=4)),
            vision=VisionConfig("umpire-small", 32, kwargs={"widths": (4, 8)}),
            dim=8,
            decoder=DecoderConfig(("a", "b", "c"), 4),
        )
    )
    model.decoder.set_statistics(10 + torch.rand(3), 1 + torch.rand(3))  # none is cut at 0
    return model


def loss_of(pair, settings):
    """The loss of one batch, and what the batch was."""
    ready_lightning()
    from umpire_training.objectives.alignment import Alignment

    torch.manual_seed(1)
    batch = {
        "image_features": torch.randn(6, pair.image_dim),
        "gene_features": torch.randn(6, pair.gene_dim),
        "rec": torch.randn(6, 3),
    }
    module = Alignment(pair, settings, OptimOptions(), 10).eval()
    with torch.no_grad():
        return float(module.training_step(batch, 0)), batch


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("kind", ["symmetric", "one-sided", "margin", "triplet"])
def test_only_known_contrasts_are_computed(pair, kind):
    contrast = ContrastOptions(kind=kind, across_ranks=False)
    settings = AlignSettings(contrast=contrast, target=TargetOptions())
    if kind == "triplet":
        with pytest.raises(InputError, match="symmetric, one-sided or margin"):
            loss_of(pair, settings)
        return
    found, batch = loss_of(pair, settings)
    with torch.no_grad():
        image = pair.project_image(batch["image_features"]).double().numpy()
        gene = pair.project_gene(batch["gene_features"]).double().numpy()
    similar = image @ gene.T
    if kind == "margin":
        wanted = float(margin_loss(torch.tensor(image), torch.tensor(gene), contrast.margin))
    else:
        logits = float(pair.scale.detach()) * similar
        sides = [logits, logits.T][: 2 if kind == "symmetric" else 1]
        wanted = -np.mean([np.diag(log_softmax(side, axis=1)).mean() for side in sides])
    assert found == pytest.approx(wanted, rel=1e-4)


def test_the_scheduler_follows_the_formula():
    options = OptimOptions(lr=1e-2, min_lr=1e-4, warmup_steps=4)
    made = make_optimizer([torch.nn.Parameter(torch.zeros(1))], 20, options)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(20):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx([learning_rate(s, 20, options) for s in range(20)])


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize(("kind", "power"), [("mse", 2), ("l1", 1), ("huber", None)])
def test_only_known_errors_are_computed(pair, kind, power):
    """Both sides z-scored: what is predicted is so already, and the batch holds it so."""
    settings = AlignSettings(
        contrast=ContrastOptions(weight=0), rec=RecOptions(weight=2.5, error=kind)
    )
    if power is None:
        with pytest.raises(InputError, match="mse or l1"):
            loss_of(pair, settings)
        return
    found, batch = loss_of(pair, settings)
    with torch.no_grad():
        plain = pair.decoder(batch["image_features"]).numpy()
    zscored = (plain - pair.decoder.mean.numpy()) / pair.decoder.std.numpy()
    by_hand = np.mean(np.abs(zscored - batch["rec"].numpy()) ** power)
    assert found == pytest.approx(2.5 * by_hand, rel=1e-4)


def test_dihedral_gives_the_eight_symmetries():
    patch = np.random.default_rng(0).integers(0, 255, (3, 6, 6), dtype=np.uint8)
    turns = [np.rot90(patch, k, axes=(1, 2)) for k in range(4)]
    wanted = {t.tobytes() for t in turns} | {t[:, :, ::-1].tobytes() for t in turns}
    torch.manual_seed(0)
    found = dihedral(torch.from_numpy(patch).repeat(200, 1, 1, 1))
    assert {np.ascontiguousarray(f).tobytes() for f in found.numpy()} == wanted


def test_stain_jitter_knows_the_stains_and_is_gentle():
    from skimage.color import rgb_from_hed

    from napari_umpire.models.stain import STAINS

    np.testing.assert_allclose(STAINS, rgb_from_hed, atol=0.01)
    pixels = torch.randint(30, 255, (16, 3, 8, 8), dtype=torch.uint8)
    assert (stain_jitter(pixels, 1e-6).int() - pixels.int()).abs().max() <= 1
    torch.manual_seed(0)
    changed = stain_jitter(pixels, 0.1)
    assert changed.dtype == torch.uint8
    shift = (changed.float() - pixels.float()).mean(dim=(2, 3))
    assert shift.std(dim=0).min() > 0.5  # patches differ from each other
    assert (changed.float() - pixels.float()).abs().mean() < 25


def test_no_augmentation_by_default():
    pixels = torch.randint(0, 255, (4, 3, 8, 8), dtype=torch.uint8)
    assert augment(pixels, AugmentOptions()) is pixels
