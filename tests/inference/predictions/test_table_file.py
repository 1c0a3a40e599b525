"""CSV files that carry their protocol."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions.csv_file import write_csv

FRAME = pd.DataFrame({"symbol": ["A,B", 'C"', "µ"], "pcc": [0.1 + 0.2, float("nan"), -1.0]})


def test_a_table_and_its_protocol_come_back(tmp_path):
    path = write_csv(FRAME, tmp_path / "genes", "one protocol\nin two lines")
    assert path == tmp_path / "genes.csv"
    assert path.read_text(encoding="utf-8").splitlines()[:3] == [
        "# one protocol",
        "# in two lines",
        "symbol,pcc",
    ]
    pd.testing.assert_frame_equal(pd.read_csv(path, comment="#"), FRAME)


def test_what_nobody_was_asked_about_is_not_overwritten(tmp_path):
    path = write_csv(FRAME, tmp_path / "genes")
    with pytest.raises(InputError, match="there already"):
        write_csv(FRAME.iloc[:1], tmp_path / "genes")
    assert len(pd.read_csv(path)) == 3
    assert len(pd.read_csv(write_csv(FRAME.iloc[:1], path))) == 1, "the dialog asked about this"


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_csv(FRAME, tmp_path / "nowhere" / "genes.csv")
