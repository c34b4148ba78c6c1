"""bench/faults/RESULTS.md, from the rows of a run."""

from __future__ import annotations

from typing import NamedTuple

from bench.faults.counts import Counts

__all__ = ["Row", "write"]


class Row(NamedTuple):
    """A trial, and what it has shown."""

    system: str
    fault: str
    moment: str
    counts: Counts

    def line(self) -> str:
        """Return it as a line for the terminal."""
        return f"{self.system:16}{self.fault:10}{self.moment:10}{self.counts}"


def write(rows: list[Row]) -> None:
    """Write the results."""
