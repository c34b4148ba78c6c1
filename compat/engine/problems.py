"""The errors of pydantic for answers and logs, cut to a number that costs little.

pydantic makes a dict for each error, on the event loop, and a client chooses how many there are. This module
does not import pydantic, which is not a dependency of the core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from compat.engine.refusal import shown

__all__ = ["MOST_COUNTED", "Invalid", "in_a_line", "problems"]

MOST_COUNTED = 1000
"""If there are more errors, none is listed."""
MOST_LOGGED = 3


class Invalid(Protocol):
    """A ValidationError of pydantic."""

    def error_count(self) -> int:
        """Return how many errors there are, at no cost."""
        ...

    def errors(self, *, include_url: bool, include_context: bool, include_input: bool) -> Sequence[Any]:
        """Return a dict for each error."""
        ...


def problems(error: Invalid) -> Sequence[Any]:
    """Return pydantic's errors without the input; an empty list if there are more than ``MOST_COUNTED``."""
    if error.error_count() > MOST_COUNTED:
        return ()
    return error.errors(include_url=False, include_context=False, include_input=False)


def in_a_line(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the first errors for a log line; names and texts in them may be a client's."""
    listed = [shown(f"{'.'.join(map(str, one['loc']))}: {one['msg']}") for one in found[:MOST_LOGGED]]
    more = f"; and {len(found) - MOST_LOGGED} more" if len(found) > MOST_LOGGED else ""
    return "; ".join(listed) + more
