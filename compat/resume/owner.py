"""The interface of a resumable connection that its links use."""

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
    """True if nothing more is sent or taken."""
    socket: Socket | None
    """The consumer's socket, if it may write frames by itself."""

    def came(self, link: Link, message: Message, size: int) -> asyncio.Future[None] | None:
        """Take a data frame of the client; return a future to wait for before the next one."""

    def space(self) -> asyncio.Future[None] | None:
        """Return a future to wait for before the first data frame, if the queue is full, or None."""

    def acknowledged(self, link: Link, count: int) -> None:
        """Note that the client has the first ``count`` frames."""

    def pinged(self, link: Link) -> None:
        """Answer the client's ping."""

    def watch_people(self, link: Link, members: dict[str, Any]) -> None:
        """Handle a frame by which the client's page asks who is in a group; raise Malformed."""

    def may_pause(self) -> bool:
        """Return False if the link ends soon for good, because the server stops."""
        ...

    def ended(self, link: Link, code: int, *, goodbye: bool) -> None:
        """Handle the end of the link; ``goodbye``: the client does not come back."""
