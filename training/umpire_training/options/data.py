"""What goes in: quality of spots, vocabulary, tokens, patches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ChoiceOptions", "PatchOptions", "QcOptions", "TokenOptions", "VocabularyOptions"]


@dataclass(kw_only=True)
class QcOptions:
    """Which spots are good enough to learn from.

    Parameters
    ----------
    min_genes
        A spot needs at least this many detected genes (the paper's 100).
    min_counts
        A spot needs at least this many counts in all.
    """

    min_genes: int = 100
    min_counts: int = 0


@dataclass(kw_only=True)
class ChoiceOptions:
    """Which sections of the sources are taken.

    Parameters
    ----------
    exclude
        Sections that must not be learned from: slides, count files or collections, found again by
        their content whatever they are called; or text files with a name, a content digest, or
        both, on each line.
    renamed
        What to do with a section that is an excluded one under another name: "fail" stops with
        both names before anything is made, "leave_out" leaves it out and says so.
    species
        "human" leaves out every section of another species; "any" takes all, for a vocabulary of
        your own.
    technologies
        Take only these, where a collection says what a section was measured with; empty: all.
    """

    exclude: list[str] = field(default_factory=list)
    renamed: Literal["fail", "leave_out"] = "fail"
    species: Literal["human", "any"] = "human"
    technologies: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class VocabularyOptions:
    """Where the gene vocabulary comes from.

    Parameters
    ----------
    path
        A genes.csv, a folder that holds one (a corpus, a model) or the folder of the published
        files. Without it the vocabulary is built from the counts of the sources.
    min_spots
        A gene enters a vocabulary built from data when it is detected in at least so many spots.
    max_genes
        Keep so many genes of a vocabulary built from data, those of the highest variance of log
        expression; null: all. For data too small to learn a token per gene: other genes are still
        predicted, they only do not become tokens.
    """

    path: str | None = None
    min_spots: int = 1
    max_genes: int | None = None


@dataclass(kw_only=True)
class TokenOptions:
    """Rank tokens (Algorithm 1 of the paper).

    Parameters
    ----------
    length
        Tokens kept per spot.
    rounding
        "published" rounds the gene means as the published data files need.
    """

    length: int = 1500
    rounding: Literal["none", "published"] = "none"


@dataclass(kw_only=True)
class PatchOptions:
    """The image around a spot.

    Parameters
    ----------
    field_um
        Side of the square field, um.
    size_px
        Side of the patch after resampling, px.
    max_upsampling
        A slide whose pixels would have to be enlarged more than this is refused.
    white_balance
        Divide each slide by the colour of its own glass.
    """

    field_um: float = 112.0
    size_px: int = 224
    max_upsampling: float = 2.0
    white_balance: bool = False
