"""The names of the in-memory layer's new channels, in the form that Channels uses."""

from __future__ import annotations

import random
import string

__all__ = ["NewNames"]

_random = random.Random()
"""An own one: an application may seed that of the module."""
_AS_LETTERS = bytes(ord(string.ascii_letters[byte % 52]) for byte in range(256))
"""Maps a random byte to a letter."""
AT_ONCE = 64


def _letters(count: int) -> list[str]:
    """Return random texts of twelve letters; many at once take a quarter of the time for each."""
    letters = _random.getrandbits(96 * count).to_bytes(12 * count, "little").translate(_AS_LETTERS).decode()
    return [letters[at : at + 12] for at in range(0, len(letters), 12)]


class NewNames:
    """Makes names such as ``specific..inmemory!QhZkWbDcYeRt``, for any thread."""

    def __init__(self) -> None:
        self._made: list[str] = []
        """Random letters, made in advance."""

    def next(self, prefix: str) -> str:
        """Return a name that no other channel has."""
        try:
            letters = self._made.pop()
        except IndexError:
            self._made += _letters(AT_ONCE)
            letters = self._made.pop()
        return f"{prefix}.inmemory!{letters}"
