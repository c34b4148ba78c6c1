"""Growing texts, sent piece by piece."""

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
        """Return the text to append; the whole ``snapshot`` if it does not begin with the last one."""
        return self.advance(snapshot)[0]

    def advance(self, snapshot: str) -> tuple[str, bool]:
        """Return ``(piece, rewritten)``; if ``rewritten`` is True, the piece replaces the text so far."""
        before, self.text = self.text, snapshot
        if snapshot.startswith(before):
            return snapshot[len(before) :], False
        return snapshot, True

    def reset(self) -> None:
        """Begin a new text."""
        self.text = ""
