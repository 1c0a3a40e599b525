from __future__ import annotations

import torch

from napari_umpire.models.lengths import buckets, trim


def test_trim_cuts_only_what_all_rows_share():
    tokens = torch.tensor([[31, 32, 1, 1], [31, 1, 33, 1]])
    assert trim(tokens).tolist() == [[31, 32, 1], [31, 1, 33]]
    assert trim(torch.ones(2, 5, dtype=torch.long)).shape == (2, 1)


def test_buckets_cover_every_row_once_with_little_padding():
    lengths = torch.randint(1, 1500, (1000,))
    batches = list(buckets(lengths, 32))
    assert sorted(torch.cat(batches).tolist()) == list(range(1000))
    cost = sum(len(b) * int(lengths[b].max()) for b in batches) / int(lengths.sum())
    assert cost < 1.05
    mixed = sum(len(b) * int(lengths[b].max()) for b in torch.arange(1000).split(32))
    assert mixed / int(lengths.sum()) > 1.7


def test_buckets_in_random_order_repeat_with_their_seed():
    lengths = torch.randint(1, 20, (100,))
    first, again, other = (
        list(buckets(lengths, 8, torch.Generator().manual_seed(s))) for s in (0, 0, 1)
    )
    assert [b.tolist() for b in first] == [b.tolist() for b in again]
    assert [b.tolist() for b in first] != [b.tolist() for b in other]
    assert sorted(torch.cat(first).tolist()) == list(range(100))
    assert [int(lengths[b].max()) for b in first] != sorted(int(lengths[b].max()) for b in first)
    cost = sum(len(b) * int(lengths[b].max()) for b in first) / int(lengths.sum())
    assert cost < 1.15
