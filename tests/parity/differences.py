"""Reads docs/differences.md: the one list of what is meant to differ from Channels.

The page's tables with the header `| case | Channels | here |` are the list. A row says: in this case (of
tests/parity/cases.py), where real Channels gives these lines, we give those. Several lines are joined by
" / ", and no line at all is "-".
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

from tests.support.paths import REPO

__all__ = ["PAGE", "Difference", "compare", "listed"]

PAGE = REPO / "docs" / "differences.md"
HEADER = ("case", "Channels", "here")


class Difference(NamedTuple):
    """One row: `upstream` and `ours` are the transcripts' lines, joined."""

    case: str
    upstream: str
    ours: str

    def row(self) -> str:
        """The row as the page has it."""
        return f"| `{self.case}` | {self.upstream} | {self.ours} |"


def listed() -> set[Difference]:
    """Every row of the page's tables of differences."""
    rows: set[Difference] = set()
    in_table = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            in_table = False
            continue
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split(" | "))
        if cells == HEADER:
            in_table = True
        elif in_table and not set(line) <= set("|- "):
            assert len(cells) == 3, f"{PAGE.name}: {line!r} has {len(cells)} cells"
            rows.add(Difference(cells[0].strip("`"), cells[1], cells[2]))
    return rows


def compare(case: str, upstream: list[str], ours: list[str]) -> list[Difference]:
    """What differs between two transcripts, one Difference for each run of lines."""
    matcher = SequenceMatcher(None, upstream, ours, autojunk=False)
    return [
        Difference(case, " / ".join(upstream[a:b]) or "-", " / ".join(ours[c:d]) or "-")
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]
