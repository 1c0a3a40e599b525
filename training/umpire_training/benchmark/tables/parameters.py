"""Table S5: trained parameters of the paper's four UMPIRE rows, as it counts them and as built."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.verbs.benchmark import Options

__all__ = ["count_parameters", "prepare"]

_ROWS = {
    "UMPIRE-ADAPTER Visium. + Phikon": ("phikon", True),
    "UMPIRE-ADAPTER Visium. + UNI": ("uni", True),
    "UMPIRE-FINETUNE Visium. + Phikon": ("phikon", False),
    "UMPIRE-FINETUNE Visium. + UNI": ("uni", False),
}
_WORDS = (
    "Networks of the paper's sizes are built without storage and their trained parameters counted. "
    "The authors' gene encoder has parts that nothing uses (a template block, two heads), which "
    "the paper counts as trained; here they are not built, so both counts are given. The PCC that "
    "Table S5 prints under 'Top 50' are those of its Table S1, top 100. FLOPs are the paper's."
)


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`; rows of a recipe, and slides, do not matter here."""

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.paper import paper_cell
        from umpire_training.benchmark.report import grid, paper_rows
        from umpire_training.benchmark.writing import write_csv, write_lines

        frame = count_parameters()
        write_csv(folder / "table-s5.csv", frame)
        lines = [
            [
                row,
                f"{counted / 1e6:.2f}",
                paper_cell("Table S5", row, "", "trainable parameters"),
                f"{built / 1e6:.2f}",
            ]
            for row, counted, built in frame.to_numpy().tolist()
        ]
        head = ["row", "as the paper counts, millions", "paper", "built and trained here, millions"]
        parts = [
            "# Table S5: parameters",
            "",
            f"`{command}`",
            "",
            _WORDS,
            "",
            *grid(head, lines),
            "",
            *paper_rows("Table S5"),
        ]
        return write_lines(folder / "table-s5.md", parts)

    return work


def count_parameters() -> pd.DataFrame:
    """Columns: row of the paper, as_counted (with unused parts), built."""
    import torch

    from napari_umpire.models.umpire import Umpire, UmpireConfig
    from napari_umpire.models.vision_config import VisionConfig
    from napari_umpire.models.visiumformer import VisiumformerConfig, unused_shapes

    unused = sum(math.prod(shape) for shape in unused_shapes(VisiumformerConfig()).values())
    lines = []
    for row, (name, adapter) in _ROWS.items():
        with torch.device("meta"):
            config = UmpireConfig(vision=VisionConfig(name), adapter=adapter)
            model = Umpire(config, pretrained=False)
        trained = model.set_trainable("heads" if adapter else "all")
        built = sum(p.numel() for p in trained)
        # Frozen encoders are not counted, their unused parts neither.
        lines.append((row, built if adapter else built + unused, built))
    return pd.DataFrame(lines, columns=["row", "as_counted", "built"])
