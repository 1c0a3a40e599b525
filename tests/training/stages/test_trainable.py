from __future__ import annotations

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.vision import VisionConfig, create_vision_encoder
from umpire_training.stages.trainable import train_image_encoder

SHORT = {"embed_dim": 32, "depth": 3, "num_heads": 4, "img_size": 32}


def changed_by_a_step(config, **which):
    """Names of the parameters that one step of gradient descent changes."""
    torch.manual_seed(0)
    trunk = create_vision_encoder(config, pretrained=False).trunk
    train_image_encoder(trunk, **which)
    before = {name: p.detach().clone() for name, p in trunk.named_parameters()}
    trained = [p for p in trunk.parameters() if p.requires_grad]
    if trained:
        loss = (trunk(torch.randn(4, 3, 32, 32)) * torch.randn(4, 1)).square().sum()
        loss.backward()
        torch.optim.SGD(trained, lr=0.1).step()
    return {name for name, p in trunk.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize("name", ["vit_base_patch16_224", "conch"])
def test_the_last_blocks_of_a_vit_and_what_follows_them(name):
    config = VisionConfig(name, 32, kwargs=SHORT)
    prefix = "trunk." if name == "conch" else ""
    # (Softmax does not see the keys' bias.)
    changed = changed_by_a_step(config, train=True, last_blocks=1)
    blocks = {n.removeprefix(prefix).split(".")[1] for n in changed if ".blocks." in f".{n}"}
    assert blocks == {"2"}
    assert f"{prefix}norm.weight" in changed
    assert not {n for n in changed if n.removeprefix(prefix).startswith(("patch_embed", "pos_"))}
    assert ("attn_pool_contrast.query" in changed) == (name == "conch")


def test_all_or_nothing():
    config = VisionConfig("vit_base_patch16_224", 32, kwargs=SHORT)
    assert changed_by_a_step(config, train=False) == set()
    assert changed_by_a_step(config, train=False, last_blocks=1) == set()
    assert "patch_embed.proj.weight" in changed_by_a_step(config, train=True)


@pytest.mark.parametrize(
    ("name", "blocks", "words"),
    [
        ("vit_base_patch16_224", 4, "Got: 4.*1 to 3"),
        ("vit_base_patch16_224", 0, "vision.train to false"),
        ("resnet18", 1, "for a ViT.*ResNet"),
        ("umpire-small", 1, "for a ViT"),
    ],
)
def test_other_encoders_have_no_row_of_blocks(name, blocks, words):
    kwargs = SHORT if name.startswith("vit") else {}
    trunk = create_vision_encoder(VisionConfig(name, 32, kwargs=kwargs), pretrained=False).trunk
    with pytest.raises(InputError, match=words):
        train_image_encoder(trunk, train=True, last_blocks=blocks)
