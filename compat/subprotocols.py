"""The subprotocols that the client of a websocket offers: a list in its scope, and a header.

What is not for the application, such as a token, has to be taken out of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from compat.types import Scope

__all__ = ["offered_in", "offering"]

_HEADER = b"sec-websocket-protocol"


def offered_in(scope: Scope) -> list[str]:
    """Return what the client of a scope offers, one by one."""
    # uvicorn 0.35 with websockets-sansio gives the lines of the header as they are.
    return [item.strip() for line in scope.get("subprotocols") or () for item in line.split(",")]


def offering(headers: Iterable[Any], subprotocols: Sequence[str]) -> list[Any]:
    """Return ``headers`` with these ``subprotocols``, on one line, in place of those that they offer."""
    line = [(_HEADER, ", ".join(subprotocols).encode())] if subprotocols else []
    changed: list[Any] = []
    for header in headers:
        if header[0] == _HEADER:
            changed += line
            line = []
        else:
            changed.append(header)
    return changed
