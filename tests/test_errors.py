"""How the parts of a message become sentences."""

from __future__ import annotations

import pytest

from napari_umpire.errors import InputError
from napari_umpire.faults import reading


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


def raised(error):
    try:
        with reading("a.tif cannot be read"):
            raise error
    except (InputError, NameError) as caught:
        return caught


def test_a_package_that_is_missing_is_no_damage_to_the_file():
    said = raised(ModuleNotFoundError("No module named 'imagecodecs'"))
    assert isinstance(said, InputError)
    assert "No module named 'imagecodecs'" in str(said)
    assert "Install the package" in str(said)
    assert "Copy" not in str(said)


def test_a_name_that_the_program_lacks_stays_visible():
    assert isinstance(raised(NameError("name 'x' is not defined")), NameError)
    # A parser's own: it set the variable in a branch that the damaged file skips.
    assert isinstance(raised(UnboundLocalError("local variable 'x'")), InputError)


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (AttributeError("'NoneType' has no 'x'"), "Got: AttributeError: 'NoneType' has no 'x'."),
        (KeyError("spots"), "Got: KeyError: 'spots'."),
        (IndexError(), "Got: IndexError."),
        (ValueError("no number"), "Got: no number."),
        (OSError(5, "Input/output error"), "Got: Input/output error."),
    ],
)
def test_what_says_little_comes_with_its_kind(error, got):
    assert got in str(raised(error))
