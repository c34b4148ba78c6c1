"""Who is in a group, for a client: what ``Client.presence()`` returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from compat.client.frames import MalformedControl

__all__ = ["Presence"]


class Presence:
    """The people of one group, kept up to date while the client is connected.

    ``async for people in presence`` yields them when they are known and after each change, until the
    connection has ended, for whatever reason. If they may not be seen, they are empty, and ``refused`` says
    why. Frames of the consumer have to be received meanwhile: when 1 MiB of them waits, nothing more is read.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.people: dict[str, dict[str, Any]] = {}
        """By key, as ``layer.presence()`` returns them. A change replaces the dict."""
        self.refused = ""
        """Why the client may not see them; empty if it may."""
        self._asked = False
        self._changes = 0
        self._ended = False
        self._news = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[dict[str, dict[str, Any]]]:
        shown = 0
        while True:
            while shown == self._changes:
                if self._ended:
                    return
                self._news.clear()
                await self._news.wait()
            shown = self._changes
            yield self.people

    def ask(self) -> bool:
        """Return True if the server has to be asked: at first, and once after each refusal."""
        asks = not self._asked or bool(self.refused)
        self._asked, self.refused = True, ""
        return asks

    def take(self, told: dict[str, Any]) -> None:
        """Take a control frame ``presence`` of the server. Raises MalformedControl."""
        people, joins, leaves = (told.get(name, {}) for name in ("people", "joins", "leaves"))
        if not all(isinstance(part, dict) for part in (people, joins, leaves)):
            raise MalformedControl(f"expected objects as people, joins and leaves, found {told!r:.80}")
        self.refused = str(told.get("refused", ""))
        known = people if "people" in told else {} if self.refused else {**self.people, **joins}
        self.people = {key: person for key, person in known.items() if key not in leaves}
        self._changes += 1
        self._news.set()

    def finish(self) -> None:
        """The connection has ended."""
        self._ended = True
        self._news.set()
