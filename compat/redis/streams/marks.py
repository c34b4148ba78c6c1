"""The marks of the last messages of a history, to know later which of them are still there."""

from __future__ import annotations

from array import array

__all__ = ["KNOWN", "Marks"]

KNOWN = 100
"""How many messages are known again."""


class Marks:
    """The marks of the last ``KNOWN`` messages, by their offsets: 8 bytes for each."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: array[int] | None = None
        """Each at its offset modulo KNOWN; 0: not known."""

    def note(self, offset: int, mark: str) -> None:
        """Remember the mark of the message at ``offset``, and forget that at ``offset - KNOWN``."""
        if self._hashes is None:
            self._hashes = array("q", bytes(8 * KNOWN))
        self._hashes[offset % KNOWN] = hash(mark)

    def clear(self) -> None:
        """Forget all."""
        self._hashes = None

    def has(self, offset: int, mark: str) -> bool:
        """Return True if the message at ``offset`` is known, and has this mark."""
        return self._hashes is not None and self._hashes[offset % KNOWN] == hash(mark) != 0

    def has_another(self, offset: int, mark: str) -> bool:
        """Return True if the message at ``offset``, one of the last ``KNOWN``, is known with another mark."""
        return self._hashes is not None and self._hashes[offset % KNOWN] not in (0, hash(mark))
