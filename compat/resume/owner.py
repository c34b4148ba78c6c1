"""What a link needs of its connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from compat.resume.journal import Journal
from compat.types import Message

if TYPE_CHECKING:
    from compat.engine.socket import Socket
    from compat.resume.link import Link

__all__ = ["Owner"]


class Owner(Protocol):
    """The connection of a link."""

    journal: Journal
    where: str
    """The path of its URL, for the log."""
    over: bool
    """Nothing more is sent."""
    socket: Socket | None
    """The socket of the consumer, if it may write frames by itself."""

    def came(self, link: Link, message: Message, size: int) -> asyncio.Future[None] | None:
        """Take a data frame of the client; return a future to wait for before the next one."""

    def space(self) -> asyncio.Future[None] | None:
        """Return a future to wait for before the first data frame, or None: others may wait already."""

    def acknowledged(self, link: Link, count: int) -> None:
        """The client has so many frames."""

    def pinged(self, link: Link) -> None:
        """The client asks for a sign of life."""

    def watch_people(self, link: Link, members: dict[str, Any]) -> None:
        """The client's page asks who is in a group; raise Malformed."""

    def may_pause(self) -> bool:
        """Return False if the link ends soon for good, because the server stops."""
        ...

    def ended(self, link: Link, code: int, *, goodbye: bool) -> None:
        """The link is no more."""
