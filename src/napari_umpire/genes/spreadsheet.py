"""Gene names that a spreadsheet turned into dates: SEPT2 becomes 2-Sep, MARCH1 becomes 1-Mar."""

from __future__ import annotations

import re

__all__ = ["genes_of_date", "is_date"]

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar", "feb february februar", "mar march mrz märz", "apr april",
            "may mai", "jun june juni", "jul july juli", "aug august", "sep sept september",
            "oct october okt oktober", "nov november", "dec december dez dezember",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = f"({'|'.join(sorted(_MONTHS, key=len, reverse=True))})"
_YEAR = r"(\d{4}|\d{2})"
_DAY_FIRST = re.compile(rf"(\d{{1,2}})[-/. ]+{_MONTH}\.?(?:[-/., ]+{_YEAR})?", re.IGNORECASE)
_MONTH_FIRST = re.compile(rf"{_MONTH}\.?[-/. ]+(\d{{1,2}})(?:[-/., ]+{_YEAR})?", re.IGNORECASE)
_ISO = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?")
_NUMBERS = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
# JUN-1 and NOV-1 are the genes JUN and NOV again, numbered to be unique.
_CAPITALS = re.compile(r"(?:SEPT?|MAR|DEC)[-/. ]")

_GENES: dict[tuple[int, int], tuple[str, ...]] = {
    **{(9, n): (f"SEPTIN{n}",) for n in (*range(1, 13), 14)},
    (9, 13): ("SEPTIN7P2",),
    (9, 15): ("SELENOF",),
    **{(3, n): (f"MARCHF{n}",) for n in range(3, 12)},
    **{(3, n): (f"MARCHF{n}", f"MTARC{n}") for n in (1, 2)},
    (12, 1): ("DELEC1",),
}
"""The approved symbols of today, by month and number: SEPT1 to 14, SEP15, MARCH1 to 11, MARC1 and
2, DEC1 (Ziemann, Eren and El-Osta 2016, Genome Biology 17:177; Bruford et al. 2020, Nature Genetics
52:754)."""


def is_date(text: str) -> bool:
    """Whether `text` is a date such as a spreadsheet makes of a gene's name."""
    return _readings(text.strip()) is not None


def genes_of_date(text: str) -> tuple[str, ...]:
    """The human genes that the date `text` may have been; () where it is no date, or of none.

    1-Mar was MARCH1 or MARC1, and 2002-09-01 may have been SEPT1 or, as the month Sep-02, SEPT2.
    """
    readings = _readings(text.strip()) or []
    return tuple(dict.fromkeys(gene for at in readings for gene in _GENES.get(at, ())))


def _readings(text: str) -> list[tuple[int, int]] | None:
    """What may be (month, number) in a date; None where it is no date."""
    if (match := _DAY_FIRST.fullmatch(text)) is not None:
        return _checked(_MONTHS[match[2].lower()], match[1], match[3])
    if (match := _MONTH_FIRST.fullmatch(text)) is not None:
        if match[1].isupper() and not _CAPITALS.match(text):
            return None
        return _checked(_MONTHS[match[1].lower()], match[2], match[3])
    if (match := _ISO.fullmatch(text)) is not None:
        return _checked(int(match[2]), match[3], match[1])
    if (match := _NUMBERS.fullmatch(text)) is not None:
        if match[2] == "-" and len(match[4]) == 2:
            return None
        both = ((int(match[1]), match[3]), (int(match[3]), match[1]))
        found = [_checked(month, day, match[4]) for month, day in both]
        return [at for readings in found for at in readings or []] or None
    return None


def _checked(month: int, day: str, year: str | None) -> list[tuple[int, int]] | None:
    if not (1 <= month <= 12 and 1 <= int(day) <= 31):
        return None
    found = [(month, int(day))]
    if year is not None and int(day) == 1 and 1 < int(year) % 100 <= 15:
        found.append((month, int(year) % 100))
    return found
