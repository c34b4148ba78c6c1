"""Results of the recorded runs, by case and peer."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["RESULTS", "Figures", "Ratio", "read"]

RESULTS = Path(__file__).resolve().parent.parent / ".cache" / "bench" / "results.jsonl"

Runs = dict[str, list[dict[str, Any]]]


class Ratio(NamedTuple):
    """The ratio of two peers' figures in the same turn."""

    median: float
    low: float
    high: float


class Figures:
    """The runs of one case, by peer; ``errors`` has the failures."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.runs: Runs = defaultdict(list)
        self.errors: dict[str, str] = {}
        for row in rows:
            if "error" in row:
                self.errors[row["peer"]] = row["error"]
            else:
                self.runs[row["peer"]].append(row)

    def values(self, peer: str, metric: str) -> list[float]:
        """Return every value of ``metric``."""
        return [row[metric] for row in self.runs.get(peer, ()) if row.get(metric) is not None]

    def median(self, peer: str, metric: str) -> float | None:
        """Return the median, or None without values."""
        values = self.values(peer, metric)
        return statistics.median(values) if values else None

    def by_turn(self, peer: str, metric: str) -> dict[tuple[str, int], float]:
        """Return ``metric`` of ``peer`` by turn: when its run began, and the number of the turn in it."""
        rows = self.runs.get(peer, ())
        return {(row["at"], row["turn"]): row[metric] for row in rows if row.get(metric) is not None}

    def turns(self, above: str, below: str, metric: str, of: str | None = None) -> list[float]:
        """Return ``metric`` of ``above`` over ``of`` (default: the same) of ``below``, turn by turn."""
        over, under = self.by_turn(above, metric), self.by_turn(below, of or metric)
        return [value / under[turn] for turn, value in over.items() if under.get(turn)]

    def interval(self, above: str, below: str, metric: str) -> Ratio | None:
        """Return the median of the ratio with its interval of 95 % confidence; None of fewer than six turns.

        The interval is that of the ordered turns: with ten of them it is from the second to the ninth.
        """
        turns = sorted(self.turns(above, below, metric))
        count = len(turns)
        outside, beyond = 0, 0.0  # turns to leave out at each end, and the chance that the median is there
        while (beyond := beyond + math.comb(count, outside) / 2**count) <= 0.025:
            outside += 1
        return Ratio(statistics.median(turns), turns[outside - 1], turns[-outside]) if outside else None

    def ratio(self, above: str, below: str, metric: str, of: str | None = None) -> Ratio | None:
        """Return ``metric`` of ``above`` over ``of`` of ``below``, from the lowest turn to the highest."""
        turns = self.turns(above, below, metric, of)
        return Ratio(statistics.median(turns), min(turns), max(turns)) if turns else None


def read(
    file: Path, keep: Callable[[dict[str, Any]], bool] = lambda row: not row["options"]
) -> dict[str, Figures]:
    """Return the figures of each case in ``file``; by default of runs with the server's default options."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in file.read_text().splitlines():
        row = json.loads(line)
        if keep(row):
            rows[row["case"]].append(row)
    return {case: Figures(found) for case, found in rows.items()}
