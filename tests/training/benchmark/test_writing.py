from __future__ import annotations

import pandas as pd
import pytest

from umpire_training.benchmark.writing import write_csv, write_lines


class Killed:
    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_tables_are_as_given(tmp_path):
    frame = pd.DataFrame({"row": ["a", "b"], "score": [0.5, 0.25]}, index=[7, 8])
    write_csv(tmp_path / "table.csv", frame)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), frame.reset_index(drop=True))
    assert write_lines(tmp_path / "table.md", ["# ±", ""]) == "# ±\n"
    assert (tmp_path / "table.md").read_bytes() == "# ±\n".encode()


def test_a_killed_run_leaves_the_old_table_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("row\nold\n")
    with pytest.raises(KeyboardInterrupt):
        write_csv(path, pd.DataFrame({"row": ["new", Killed()]}))
    assert path.read_text() == "row\nold\n"
    assert list(tmp_path.iterdir()) == [path]
