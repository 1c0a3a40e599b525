from __future__ import annotations

import pandas as pd
import pytest

from napari_umpire.inference.genes.table import GeneTable
from napari_umpire.plugin.widgets.maps.gene_search import GeneSearch


@pytest.mark.parametrize(
    ("ids", "typed", "said"),
    [
        (["", ""], "ENSG00000141736", "no Ensembl ids here"),
        (["", ""], "NOTAGENE", "0 genes found"),
        (["ENSG00000141736", ""], "ENSG00000000001", "0 genes found"),
    ],
)
def test_an_id_is_not_searched_where_there_are_none(qtbot, ids, typed, said):
    genes = pd.DataFrame({"id": ids, "symbol": ["ERBB2", "KRT8"]}, index=["ERBB2", "KRT8"])
    search = GeneSearch()
    qtbot.addWidget(search)
    search.set_table(GeneTable.build(genes, None))
    search.line.setText(typed)
    search.line.textEdited.emit(typed)
    assert search.count.text() == said
