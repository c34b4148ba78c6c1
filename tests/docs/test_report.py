"""The figures at the head of the documentation are those of the bench's last report."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS
from tests.support.paths import REPO

REPORT = (REPO / "bench" / "REPORT.md").read_text(encoding="utf-8")
CPU = "server CPU, µs"
ROWS = {
    "CPU per message and member, room of 100": ("A1", "", CPU),
    "CPU per message and member, room of 1,000": ("A2", "", CPU),
    "the same over Redis pub/sub, room of 100 on two servers": ("G", ", pub/sub", CPU),
    "CPU per echo": ("C", "", CPU),
    "CPU per connection that joins a group and leaves": ("D", "", CPU),
    "memory per idle connection": ("E", "", "KiB per client"),
    "20 sync handlers that block for 50 ms, together": ("F", ", sync", "seconds"),
}
"""The rows of the table in index.md: the case, what follows the names of the peers, and the column."""


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def number(text: str) -> float:
    """The first number of a cell: the median, before the range."""
    return float(text.split()[0].replace(",", ""))


def found(case: str, peer: str, column: str) -> float:
    _, _, part = REPORT.partition(f"\n## {case}: ")
    lines = [line for line in part.partition("\n## ")[0].splitlines() if line.startswith("|")]
    where = cells(lines[0]).index(column)
    return next(number(row[where]) for row in map(cells, lines) if row[0] == peer)


def test_the_table_of_the_first_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| cost to the server | channels-compat | Channels 4.3 |\n")
    shown = {row[0]: row[1:] for row in map(cells, table.partition("\n\n")[0].splitlines()[1:])}
    assert set(shown) == set(ROWS)
    for what, (case, kind, column) in ROWS.items():
        for cell, peer in zip(shown[what], ("channels-compat", "Django Channels"), strict=True):
            said = cell.split()[0]
            decimals = len(said.partition(".")[2])
            assert number(cell) == round(found(case, peer + kind, column), decimals), f"{what}: {cell}"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_fractions_at_the_head(page: str) -> None:
    text = " ".join((REPO / page).read_text(encoding="utf-8").split())
    said = re.search(
        r"A message to a room of 100 costs an? (\d+)\w\w of .*?, or an? (\d+)\w\w where a handler", text
    )
    assert said is not None
    theirs = found("A1", "Django Channels", CPU)
    ours = [found("A1", f"channels-compat{kind}", CPU) for kind in ("", ", a handler for each")]
    assert [int(part) for part in said.groups()] == [round(theirs / one) for one in ours]
