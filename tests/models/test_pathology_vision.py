from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_umpire.errors import InputError
from napari_umpire.models.config_json import from_data, to_data
from napari_umpire.models.vision import VisionConfig, create_vision_encoder

SHORT = {"embed_dim": 32, "depth": 2, "num_heads": 4}
CONCH = {"img_size": 64, "dim": 16, "pool_heads": 2, **SHORT}
VIRCHOW = {"img_size": 28, **SHORT}


def norm(x, weight, bias):
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    return x * weight + bias


def conch():
    config = VisionConfig("conch", 32, kwargs=CONCH)
    return shaken(create_vision_encoder(config, pretrained=False))


def shaken(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module.eval()


@pytest.mark.parametrize(
    ("name", "millions", "dim"),
    [("uni2-h", 681, 1536), ("virchow2", 631, 2560), ("h-optimus-0", 1135, 1536),
     ("h-optimus-1", 1135, 1536), ("conch", 88, 512)],
)  # fmt: skip
def test_size_of_the_published_encoders(name, millions, dim):
    """Millions of parameters, as the authors' cards round them (Virchow2: 631 M, UNI2-h: 681 M)."""
    with torch.device("meta"):
        encoder = create_vision_encoder(VisionConfig(name), pretrained=False)
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6) == millions
    assert encoder.dim == dim


def test_conch_reads_the_trunk_with_one_query():
    encoder = shaken(
        create_vision_encoder(VisionConfig("conch", 32, kwargs=CONCH), pretrained=False)
    )
    s = encoder.trunk.state_dict()
    pixels = torch.rand(3, 3, 32, 32)  # smaller than the positions are stored for
    tokens = encoder.trunk.trunk.forward_features(encoder.preprocess(pixels))
    assert tokens.shape == (3, 5, 32)
    pool = "attn_pool_contrast."
    keys = norm(tokens, s[pool + "ln_k.weight"], s[pool + "ln_k.bias"])
    query = norm(s[pool + "query"], s[pool + "ln_q.weight"], s[pool + "ln_q.bias"])
    bias_q, bias_k, bias_v = s[pool + "attn.in_proj_bias"].chunk(3)
    q = (query @ s[pool + "attn.q_proj_weight"].T + bias_q).view(1, 1, 2, 8).transpose(1, 2)
    k = (keys @ s[pool + "attn.k_proj_weight"].T + bias_k).view(3, 5, 2, 8).transpose(1, 2)
    v = (keys @ s[pool + "attn.v_proj_weight"].T + bias_v).view(3, 5, 2, 8).transpose(1, 2)
    read = (torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v).transpose(1, 2).flatten(1)
    read = F.linear(read, s[pool + "attn.out_proj.weight"], s[pool + "attn.out_proj.bias"])
    expected = norm(read, s["ln_contrast.weight"], s["ln_contrast.bias"])
    torch.testing.assert_close(encoder(pixels), expected, atol=2e-5, rtol=1e-4)
    # CLIP's constants, not ImageNet's
    assert encoder.config.mean == (0.48145466, 0.4578275, 0.40821073)


@pytest.mark.parametrize("whole", [True, False])
def test_conch_out_of_the_file_that_also_has_text(tmp_path, whole):
    first = conch()
    state = first.trunk.state_dict() | {
        "proj_contrast": torch.ones(16, 16),
        "attn_pool_caption.query": torch.ones(4, 24),
        "ln_caption.bias": torch.ones(24),
    }
    if whole:
        state = {f"visual.{k}": v for k, v in state.items()}
        state |= {"text.cls_emb": torch.ones(3), "logit_scale": torch.ones(())}
    torch.save(state, tmp_path / "conch.bin")
    config = VisionConfig("conch", 32, weights=str(tmp_path / "conch.bin"), kwargs=CONCH)
    second = create_vision_encoder(config).eval()
    pixels = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(second(pixels), first(pixels))
    # What was resolved builds the same again, from no file.
    again = from_data(VisionConfig, to_data(second.config), "vision")
    rebuilt = create_vision_encoder(again, pretrained=False).eval()
    rebuilt.trunk.load_state_dict(second.trunk.state_dict())
    torch.testing.assert_close(rebuilt(pixels), first(pixels))


def test_virchow2_is_the_class_token_beside_the_mean_of_the_patches(tmp_path):
    config = VisionConfig("virchow2", 28, kwargs=VIRCHOW)
    encoder = shaken(create_vision_encoder(config, pretrained=False))
    pixels = torch.rand(2, 3, 28, 28)
    tokens = encoder.trunk.trunk.forward_features(encoder.preprocess(pixels))
    assert tokens.shape == (2, 1 + 4 + 4, 32)  # class, registers, patches
    expected = torch.cat([tokens[:, 0], tokens[:, 5:].mean(1)], dim=1)
    torch.testing.assert_close(encoder(pixels), expected)
    # The published file is that of the ViT alone.
    torch.save(encoder.trunk.trunk.state_dict(), tmp_path / "virchow2.bin")
    loaded = create_vision_encoder(
        VisionConfig("virchow2", 28, weights=str(tmp_path / "virchow2.bin"), kwargs=VIRCHOW)
    )
    torch.testing.assert_close(loaded.eval()(pixels), expected)


def test_weights_of_another_encoder_are_refused(tmp_path):
    first = create_vision_encoder(VisionConfig("virchow2", 28, kwargs=VIRCHOW), pretrained=False)
    torch.save(first.trunk.trunk.state_dict(), tmp_path / "w.bin")
    with pytest.raises(InputError, match="do not fit the image encoder"):
        create_vision_encoder(
            VisionConfig("conch", 32, weights=str(tmp_path / "w.bin"), kwargs=CONCH)
        )
