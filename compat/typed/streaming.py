"""Text that grows, sent as what is new in it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeltaTracker"]


@dataclass
class DeltaTracker:
    """Turns snapshots of a growing text into the pieces to append.

    >>> tracker = DeltaTracker()
    >>> tracker.push("Hel"), tracker.push("Hello"), tracker.advance("Bye")
    ('Hel', 'lo', ('Bye', True))
    """

    text: str = ""

    def push(self, snapshot: str) -> str:
        """What ``snapshot`` has more than the last one; all of it where it does not begin with that one."""
        return self.advance(snapshot)[0]

    def advance(self, snapshot: str) -> tuple[str, bool]:
        """``(piece, rewritten)``: where ``rewritten``, the piece replaces all that was sent before."""
        before, self.text = self.text, snapshot
        if snapshot.startswith(before):
            return snapshot[len(before) :], False
        return snapshot, True

    def reset(self) -> None:
        """A new text begins."""
        self.text = ""
