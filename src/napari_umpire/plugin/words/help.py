"""The short guide of the Help widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.doctor.checkup import Check

__all__ = ["HOW_TO", "all_mends"]

_GRAVEST_FIRST = ("FAIL", "WARN", "PASS")


def all_mends(checks: Sequence[Check]) -> str:
    """What to do about everything that can be mended, a paragraph each, numbered."""
    found = [check for check in checks if check.mend]
    found.sort(key=lambda check: _GRAVEST_FIRST.index(check.status))
    return "\n".join(
        f"{number}. {check.name} ({check.status}): {check.mend}"
        for number, check in enumerate(found, start=1)
    )


HOW_TO = """
### From a slide to a map
1. **Open a slide**: drop it into the window, or use *Open…* in **Predict**. The card says its
   size and its µm per px; where the file does not tell, it asks you.
2. **Choose a model**: a folder with config.json, model.safetensors, genes.csv and reference/.
   The card says which tissue field it looks at, and whether this slide fits.
3. **Run.** Cancel leaves nothing behind; the next Run goes on where it stopped.
4. **Gene maps**: type a symbol, an alias or an Ensembl id; arrow keys step through the hits.
   Values are log1p(CP10k): log(1 + counts scaled to 10,000 per spot).

### How far to trust it
- **Evidence**: click a spot in the canvas (pan/zoom mode) to see its K reference spots.
- **Compare**, where counts were measured: the correlation of each gene, with its n.
- Predictions rest on the reference: tissue that it lacks cannot be predicted well.

### Keep it
- **Results**: a table in the slide's store, figures, and the command that makes the table again.
- The run record (.yaml beside the store) fills the form again: drop it on Predict or Results.

### Without a mouse
- A dock opens from *Plugins > Umpire* with the keyboard on its first control; Tab goes on, a ring
  shows where it is.
- In **Evidence** and **Retrieve**, Alt and an arrow key ask about the spot beside the last one.
- In a table the menu key (or the right button) sorts by a column; Enter goes to a row.
- **Regions** takes the spots of a class too, such as of a table's column read in **Classes**.

### Settings
*Preferences > Umpire*: device, batch size, K, folders, range and colours. A widget reads them when
it is opened.

### Weights
Predicting needs the model folder only. To train with a published encoder its weights are needed;
**Check** lists which are here, where to ask for the gated ones, and where to put the file.

### More
In the program's folder: README.md, docs/model-format.md, docs/evaluation.md, docs/benchmarks.md.
In a shell: `umpire-train --help`, `umpire-train doctor`.
"""
