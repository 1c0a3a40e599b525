from __future__ import annotations

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.genes.tokens import FIRST_GENE_ID, MASK_ID, PAD_ID
from napari_umpire.models.masking import mask_tokens

N_TOKENS = 20340


@pytest.fixture(scope="module")
def tokens():
    """64 x 1500 as in the measurement of the original; a third of it padding."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(FIRST_GENE_ID, N_TOKENS, (64, 1500), generator=generator)
    tokens[:, 1000:] = PAD_ID
    return tokens


# Measured on the original: 15.16 % selected, of them 81 / 10 / 9.
@pytest.mark.parametrize(
    ("scheme", "shares", "lowest"),
    [("exact", (0.80, 0.10, 0.10), 30), ("published", (0.81, 0.10, 0.09), 10)],
)
def test_shares(tokens, scheme, shares, lowest):
    masked = mask_tokens(
        tokens, N_TOKENS, scheme=scheme, generator=torch.Generator().manual_seed(1)
    )
    selected, seen = masked.selected, masked.tokens
    assert selected[:, :1000].float().mean().item() == pytest.approx(0.15, abs=0.005)
    hidden = seen[selected] == MASK_ID
    kept = seen[selected] == tokens[selected]
    random = ~hidden & ~kept
    found = [x.float().mean().item() for x in (hidden, random, kept)]
    assert found == pytest.approx(shares, abs=0.012)
    ids = seen[selected][random]
    assert lowest <= ids.min() < lowest + 200
    assert N_TOKENS - 200 < ids.max() < N_TOKENS


@pytest.mark.parametrize("scheme", ["exact", "published"])
def test_padding_is_neither_selected_nor_written(tokens, scheme):
    masked = mask_tokens(tokens, N_TOKENS, p=1.0, scheme=scheme)
    assert torch.equal(masked.selected, tokens != PAD_ID)
    assert torch.equal(masked.tokens == PAD_ID, tokens == PAD_ID)


def test_labels_are_the_original_tokens_and_the_rest_stays(tokens):
    masked = mask_tokens(tokens.to(torch.uint16), N_TOKENS)
    assert torch.equal(masked.labels, tokens[masked.selected])
    assert torch.equal(masked.tokens[~masked.selected], tokens[~masked.selected])


def test_a_generator_repeats(tokens):
    first, again = (
        mask_tokens(tokens, N_TOKENS, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first.tokens, again.tokens)
    other = mask_tokens(tokens, N_TOKENS, generator=torch.Generator().manual_seed(6))
    assert not torch.equal(first.selected, other.selected)


def test_zero_probability_changes_nothing(tokens):
    masked = mask_tokens(tokens, N_TOKENS, p=0.0)
    assert torch.equal(masked.tokens, tokens)
    assert masked.labels.numel() == 0


def test_wrong_settings(tokens):
    with pytest.raises(InputError, match="probability"):
        mask_tokens(tokens, N_TOKENS, p=1.5)
    with pytest.raises(InputError, match="scheme"):
        mask_tokens(tokens, N_TOKENS, scheme="bert")
