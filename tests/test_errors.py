"""How the parts of a message become sentences."""

from __future__ import annotations

import pytest

from napari_umpire.errors import InputError


@pytest.mark.parametrize(
    ("fix", "end"),
    [
        ("Did you mean phikon?", "Did you mean phikon?"),
        ("Check the path", "Check the path."),
        ("Check the path.", "Check the path."),
    ],
)
def test_a_sentence_has_one_mark_at_its_end(fix, end):
    assert str(InputError("Unknown encoder", got="phykon", fix=fix)) == (
        f"Unknown encoder. Got: phykon. {end}"
    )
