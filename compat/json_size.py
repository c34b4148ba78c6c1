"""How much a JSON text asks of its parser, which the length of the text does not say."""

from __future__ import annotations

__all__ = ["has_more_values"]


def has_more_values(text: str, most: int) -> bool:
    """Return True if a JSON text has more than about ``most`` values; it is not parsed.

    A list of a million bytes may take the parser half a second, and this a few milliseconds. A text that is
    no JSON has the values that come before its fault, or more.
    """
    if _marks(text) <= most:
        return False
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    if unescaped.count('"') > 4 * most + 2:  # behind each mark is a string at most, or a key and a string
        return True
    outside_of_strings = "".join(unescaped.split('"')[::2])
    return _marks(outside_of_strings) > most


def _marks(text: str) -> int:
    """Return how many characters there are that may begin another value, also within strings."""
    return sum(map(text.count, "[{,"))
