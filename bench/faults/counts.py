"""What a trial has shown, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Counts", "Way", "way"]


class Way(NamedTuple):
    """The messages of one direction."""

    sent: int
    missing: int
    twice: int
    disorder: int
    returned: int
    """How many the sender was handed back, or could not send."""
    needlessly: int
    """How many of these had arrived."""


class Counts(NamedTuple):
    """One trial."""

    down: Way
    """From the server to the client."""
    up: Way
    """From the client to the server."""
    unfinished: bool
    """The handler of a client's message has begun and not ended."""
    told: bool
    """The client was told that something may be missing: at its return, or by frames handed back."""
    why: str
    """The reason that it was told, if there is one."""
    back: bool
    """Messages go both ways again."""
    opens: int
    connects: int
    disconnects: int
    """How often the client was told of an open connection, and both handlers of the server ran; the client's
    goodbye at the end included."""
    seconds: float

    @property
    def complete(self) -> bool:
        """Nothing is missing, twice, out of order or unfinished."""
        return (
            self.back
            and not self.unfinished
            and not any(
                one.missing or one.twice or one.disorder or one.returned for one in (self.down, self.up)
            )
        )

    @property
    def silent(self) -> bool:
        """Something went wrong, and the client does not know."""
        return not self.complete and self.back and not self.told


def way(sent: Iterable[int], came: Sequence[int], returned: Iterable[int] = (), *, probe: int) -> Way:
    """Compare what was sent with what came, both in order; numbers from ``probe`` on are not looked at."""
    wanted = {number for number in sent if number < probe}
    handed_back = {number for number in returned if number < probe}
    arrived = [number for number in came if number < probe]
    times = Counter(arrived)
    first = list(dict.fromkeys(arrived))
    return Way(
        sent=len(wanted),
        missing=len(wanted - times.keys() - handed_back),
        twice=sum(1 for count in times.values() if count > 1),
        disorder=sum(1 for before, after in pairwise(first) if after < before),
        returned=len(handed_back),
        needlessly=len(handed_back & times.keys()),
    )
