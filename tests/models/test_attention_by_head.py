"""Attention in plain products against torch's fused one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_umpire.models import attention_by_head as module
from napari_umpire.models.attention_by_head import attend_by_head, is_faster_by_head
from napari_umpire.models.encoder_block import SelfAttention


@pytest.fixture
def one_thread(monkeypatch):
    """On a processor for which this was made."""
    monkeypatch.setattr(module, "_multiplies_bf16_without_amx", lambda: True)
    torch.set_num_threads(1)


@pytest.mark.parametrize("padded", [True, False])
def test_it_is_scaled_dot_product_attention(monkeypatch, padded):
    monkeypatch.setattr(module, "_QUERIES", 16)  # the last part is shorter
    q, k, v = torch.randn(3, 2, 4, 41, 8)
    attend = None
    if padded:
        attend = torch.arange(41)[None, None, None] < torch.tensor([41, 5])[:, None, None, None]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
    torch.testing.assert_close(attend_by_head(q, k, v, attend), expected)


@pytest.mark.parametrize(("spread", "worst", "mean"), [(1, 0.9999, 0.99995), (4, 0.999, 0.9999)])
def test_rounded_scores_change_little(spread, worst, mean):
    """Of each query's result, where keys weigh alike and where a few have all the weight."""
    q, k, v = torch.randn(3, 1, 4, 300, 32)
    half = [x.bfloat16() for x in (q * spread, k, v)]
    exact = F.scaled_dot_product_attention(*(x.double() for x in half))
    cosine = F.cosine_similarity(attend_by_head(*half).double(), exact, dim=-1)
    assert cosine.min() > worst
    assert cosine.mean() > mean


def test_a_block_takes_it_in_bf16_without_gradients_only(one_thread, monkeypatch):
    calls = []

    def counted(*given):
        calls.append(1)
        return attend_by_head(*given)

    monkeypatch.setattr("napari_umpire.models.encoder_block.attend_by_head", counted)
    attention = SelfAttention(32, 4).eval()
    x = torch.randn(2, 300, 32)
    attend = torch.ones(2, 1, 1, 300, dtype=torch.bool)
    attend[1, ..., 200:] = False
    with torch.inference_mode():
        expected = attention(x, attend)
        assert not calls
        with torch.autocast("cpu", torch.bfloat16):
            got = attention(x, attend)
            attention(x[:, :200])
    assert len(calls) == 1
    torch.testing.assert_close(got.float(), expected, atol=0.02, rtol=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        attention(x, attend).sum().backward()
    assert len(calls) == 1
    assert attention.in_proj_weight.grad is not None


def test_several_threads_or_another_processor_take_the_fused_kernel(one_thread, monkeypatch):
    q = torch.zeros(1, 2, 300, 8, dtype=torch.bfloat16)
    assert is_faster_by_head(q)
    torch.set_num_threads(2)
    assert not is_faster_by_head(q)
    torch.set_num_threads(1)
    monkeypatch.setattr(module, "_multiplies_bf16_without_amx", lambda: False)
    assert not is_faster_by_head(q)


@pytest.mark.parametrize(
    ("found", "suits"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": True, "amx_bf16": True}, False),
        ({"avx512_bf16": False}, False),
        ({}, False),
    ],
    ids=["bf16", "amx", "neither", "arm"],
)
def test_which_processors(monkeypatch, found, suits):
    ask = module._multiplies_bf16_without_amx.__wrapped__
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert ask() is suits
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert ask() is False
