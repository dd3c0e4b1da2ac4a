"""Figures as tables: percentiles, Markdown, and the place in `README.md` where they go.

Look next: `benchmarks.machine` for the lines above the tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True)
class Table:
    """One benchmark's figures, with what a reader must know to read them."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table with its title and notes."""
        lines = [f"### {self.title}", "", _row(self.header), _row(["---"] * len(self.header))]
        lines += [_row(row) for row in self.rows]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed. Raises ValueError for none."""
    if not values:
        message = "no values"
        raise ValueError(message)
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ms(values: Sequence[float], share: float) -> str:
    """A percentile of seconds, in milliseconds."""
    return f"{percentile(values, share) * 1000:.1f}"


def spread(values: Sequence[float]) -> str:
    """The median with the lowest and highest of some runs."""
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def write(text: str) -> None:
    """Put text between the markers of the README. Raises ValueError where they are missing."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{README.name} has lost its markers"
        raise ValueError(message)
    README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
