"""Reads docs/differences.md: the one list of what is meant to differ from Channels.

The page's tables with the header `| case | Channels | here |` are the list. A row says: in this case (of
tests/parity), where real Channels gives this line, we give that one. Where one line stands for several, they
are joined by " / ", and no line at all is "-".
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

from tests.support.paths import REPO

__all__ = ["Difference", "check", "compare", "rows"]

PAGE = REPO / "docs" / "differences.md"
HEADER = ("case", "Channels", "here")


class Difference(NamedTuple):
    """One row: a line of real Channels' transcript, and what is in its place in ours."""

    case: str
    upstream: str
    ours: str

    def row(self) -> str:
        """The row as the page has it."""
        return f"| `{self.case}` | {self.upstream} | {self.ours} |"


def rows() -> set[Difference]:
    """The rows of the page's tables of differences."""
    found: set[Difference] = set()
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
            found.add(Difference(cells[0].strip("`"), cells[1], cells[2]))
    return found


def compare(case: str, upstream: list[str], ours: list[str]) -> set[Difference]:
    """What differs between two transcripts: line by line where as many lines differ, else all in one."""
    found: set[Difference] = set()
    matcher = SequenceMatcher(None, upstream, ours, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        theirs, mine = upstream[a:b], ours[c:d]
        if tag == "equal":
            continue
        if len(theirs) != len(mine):
            theirs, mine = [" / ".join(theirs) or "-"], [" / ".join(mine) or "-"]
        found.update(Difference(case, *pair) for pair in zip(theirs, mine, strict=True))
    return found


def check(case: str, found: set[Difference]) -> None:
    """AssertionError, with rows to paste or to remove, unless the page lists exactly these for the case."""
    expected = {row for row in rows() if row.case == case}
    missing = "\n".join(sorted(row.row() for row in found - expected))
    assert not missing, f"differs from Channels, and {PAGE.name} does not say so:\n{missing}"
    stale = "\n".join(sorted(row.row() for row in expected - found))
    assert not stale, f"{PAGE.name} says that this differs, and it does not:\n{stale}"
