"""A client for websockets that drop: ``Client``."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl as tls
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal

from compat.client.conversation import SILENT, Conversation
from compat.client.exchange import Exchange, Recovered
from compat.client.frames import Closed, Frame, Frames, QueueFull
from compat.client.links import Refused, World, check_url, origin_of
from compat.client.people import Presence
from compat.client.timing import Attempts, Patience
from compat.codes import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL_ERROR,
    NO_STATUS,
    NORMAL,
    NOT_THERE,
    OF_A_PAGE,
    SERVICE_RESTART,
    TAKEN_OVER,
    TRY_AGAIN_LATER,
)

__all__ = ["Client", "State"]

State = Literal["connecting", "open", "away", "closed"]

AFTER_CUTS = frozenset((GOING_AWAY, NO_STATUS, ABNORMAL, SERVICE_RESTART, TRY_AGAIN_LATER))
REPLACED = (TAKEN_OVER, "replaced")
"""How a link ends that another one has replaced, perhaps one of this client that had been given up before."""
UNANSWERED = (INTERNAL_ERROR, "keepalive ping timeout")
"""uvicorn's close of a link whose pings nobody has answered: it is lost."""

logger = logging.getLogger("compat.client")


class Client:
    """A websocket that comes back by itself, and goes on where it was.

        async with Client("wss://example.org/ws/chat/", headers={"Cookie": cookie}) as client:
            await client.send("hello")
            async for frame in client:
                print(frame)

    The block begins when the connection is open. The client tries again while the server cannot be reached;
    ``asyncio.timeout()`` limits that. A refusal raises Closed with a reason such as "HTTP 403", and so does a
    redirect, which is not followed.

    ``url``: it begins with ``ws://`` or ``wss://``. ``subprotocols``: those that the application may choose
    from. ``headers``: more of them for each handshake, such as the cookie. Without an Origin among them, the
    client sends that of the server's own pages.
    ``only``: end when the server has no such connection any more, and never go on with a new one.
    ``ticket``: of a page, from ``layer.ticket()``: the first connection gets what its groups have had since.
    ``ssl``: for ``wss:`` URLs; None verifies as usual.
    ``on_change``: called with the client whenever ``state`` or ``recovered`` has changed, in the event loop.

    At most 1 MiB is kept in each direction. If nobody calls ``receive()``, no more is read from the server.
    Raises ValueError for a URL of another kind, or a header with a line break; ``world`` is for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        only: bool = False,
        ticket: str = "",
        ssl: tls.SSLContext | None = None,
        on_change: Callable[[Client], object] | None = None,
        world: World | None = None,
    ) -> None:
        check_url(url)
        if isinstance(subprotocols, str):
            raise TypeError(f"subprotocols is a list, such as [{subprotocols!r}], not a str")
        for name, value in (headers or {}).items():
            if "\r" in value or "\n" in value:
                raise ValueError(f"the header {name!r} has a line break in its value")
        self.url = url
        self.state: State = "connecting"
        """``"away"``: the link is lost, and the client tries to come back."""
        self.end: Closed | None = None
        """How the connection, or while the client is away its last link, has ended."""
        self._subprotocols = tuple(subprotocols)
        self._headers = dict(headers or {})
        if "origin" not in map(str.lower, self._headers):
            self._headers["Origin"] = origin_of(url)
        self._only = only
        self._ssl = ssl
        self._on_change = on_change
        self._world = world or World()
        self._exchange = Exchange(subprotocols, only=only, ticket=ticket)
        self._attempts = Attempts(of_page=bool(ticket))
        self._patience = Patience()
        self._inbox = Frames()
        self._task: asyncio.Task[None] | None = None
        self._conversation: Conversation | None = None
        self._kept_until = 0.0
        """When the server has given up a connection that is away."""
        self._closing: Closed | None = None
        self._warned = ""
        """Why the server cannot be reached, as the log has it."""
        self._told: tuple[State, Recovered | None] = ("connecting", None)
        # Who waits looks again after each change: for a frame or another state, or for room in the queue.
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def subprotocol(self) -> str | None:
        """The one of ``subprotocols`` that the server has chosen, or None."""
        chosen = self._exchange.subprotocol
        return chosen if chosen in self._subprotocols else None

    @property
    def recovered(self) -> Recovered | None:
        """What the last return has recovered. None before the first, and while the server has yet to say.

        ``"all"``: nothing is missing. ``"groups"``: this is a new connection, whose consumer has sent again
        what its groups have missed; what was sent to this client alone may be missing. ``""``: this is a new
        connection, and anything may be missing. ``why`` says why.
        """
        return self._exchange.recovered

    @property
    def why(self) -> str:
        """The reason why not all was recovered."""
        return self._exchange.why

    @property
    def unsure(self) -> list[Frame]:
        """The frames that were sent over a connection which is gone, and may or may not have arrived.

        After the end also those behind them, which were kept and never sent.
        """
        return list(self._exchange.unsure)

    def take_unsure(self) -> list[Frame]:
        """Return the frames of ``unsure``, and forget them."""
        frames = self.unsure
        self._exchange.unsure.clear()
        return frames

    async def __aenter__(self) -> Client:
        if self._task is not None:
            raise RuntimeError("a Client connects once; make another one")
        self._task = asyncio.ensure_future(self._live())
        try:
            while self.state == "connecting" and not self._task.done():
                await _next(self._news)
        except asyncio.CancelledError:
            await self.close()
            raise
        if self.state == "closed":
            await self._task  # raises what nobody expected
            assert self.end is not None
            raise self.end
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def send(self, frame: str | bytes | bytearray | memoryview) -> None:
        """Send text or bytes, or keep them until the client is back.

        Waits while the server does not acknowledge. Raises QueueFull if the client is away and 1 MiB waits,
        and Closed.
        """
        if not isinstance(frame, str | bytes | bytearray | memoryview):
            raise TypeError(f"expected text or bytes, found {type(frame).__name__}")
        data = frame if isinstance(frame, str | bytes) else bytes(frame)
        away = self.state == "away"
        while not self._exchange.has_room_for(data):
            if away:
                raise QueueFull("the client is away, and the frames that wait for its return take 1 MiB")
            self._raise_if_closed()
            await _next(self._room)
        self._raise_if_closed()
        self._exchange.push(data)
        if self._conversation is not None:
            self._conversation.write()

    async def receive(self) -> Frame:
        """Return the next frame. Raises Closed when the connection has ended and all frames are read."""
        while not len(self._inbox):
            self._raise_if_closed()
            await _next(self._news)
        frame = self._inbox.popleft()
        if self._conversation is not None:
            self._conversation.read_on()
        return frame

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Yield frames until the connection ends; raises Closed if not with 1000."""
        while True:
            try:
                frame = await self.receive()
            except Closed as closed:
                if closed.code == NORMAL:
                    return
                raise
            yield frame

    def presence(self, group: str) -> Presence:
        """Watch who is in a group that the consumer has joined, where the option ``presence`` is ``public``.

        After a refusal the server is asked again: the consumer may have joined the group since.
        Call it in the event loop. A server that does not resume tells nothing.
        """
        presence = self._exchange.watch(group)
        if self.state == "closed":
            presence.finish()
        elif self._conversation is not None:
            self._conversation.write()
        return presence

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Write what waits, say goodbye, and end with ``code``: 1000, or 3000 to 4999.

        What has come before can still be received.
        """
        if code != NORMAL and code not in OF_A_PAGE:
            raise ValueError(f"expected 1000 or 3000 to 4999 as close code, found {code}")
        if len(reason.encode()) > 123:
            raise ValueError("expected a reason of at most 123 bytes")
        if self._task is None or self._task.done():
            return
        self._closing = self._closing or Closed(code, reason)
        if self._conversation is None:
            self._task.cancel()
        elif self._conversation.goodbye is None:
            self._conversation.say_goodbye(self._closing)
        await asyncio.wait((self._task,))

    def _raise_if_closed(self) -> None:
        if self._task is None:
            raise RuntimeError("the client is not connected: use it by `async with`")
        end = self.end if self.state == "closed" else self._closing
        if end is not None:
            raise Closed(end.code, end.reason)

    # The connection, over one link after the other

    async def _live(self) -> None:
        end = Closed(ABNORMAL)
        try:
            comes_back = True
            while comes_back:
                end, comes_back = await self._one_link()
                if comes_back:
                    self._lose(end)
                    await self._pause()
        except asyncio.CancelledError:  # by close()
            end = Closed(ABNORMAL)  # as a browser's: nobody has been told
        except Exception as error:
            if self.state == "connecting":
                raise
            logger.exception("the client for %s has ended", self.url)
            end = Closed(ABNORMAL, f"{type(error).__name__}: {error}")
        finally:
            self.end = (
                Closed(ABNORMAL, "the server has not kept the connection") if end.code == NOT_THERE else end
            )
            self._exchange.finish()
            self.state = "closed"
            self._look_again()

    def _lose(self, end: Closed) -> None:
        self.end = end
        if self.state == "open":
            self.state = "away"
            self._kept_until = self._world.time() + self._exchange.park
        elif self.state == "connecting" and end.reason != self._warned:  # it may never heal: a certificate
            self._warned = end.reason
            logger.warning("%s cannot be reached: %s. The client tries again", self.url, end.reason)
        self._look_again()

    async def _one_link(self) -> tuple[Closed, bool]:
        """Open a link and use it; return how it has ended, and whether there is another."""
        end, comes_back = await self._attempt()
        forgotten = self._only and self.state == "away" and self._world.time() >= self._kept_until
        return (Closed(NOT_THERE), False) if comes_back and forgotten else (end, comes_back)

    async def _attempt(self) -> tuple[Closed, bool]:
        offered = self._exchange.offer(plain=self._attempts.plain)
        kept = self._only and self.state == "away"
        within = self._attempts.patience(self._kept_until - self._world.time() if kept else math.inf)
        try:
            link = await self._world.open(self.url, offered, self._headers, self._ssl, within)
        except Closed as closed:
            return closed, self._attempts.failed(closed.status if isinstance(closed, Refused) else None)
        self._conversation = conversation = Conversation(
            link, self._exchange, self._inbox, self._world, self._patience, self._look_again
        )
        end = await conversation.run()
        self._conversation = None
        replaced = (end.code, end.reason) == REPLACED and self._exchange.ticket
        if replaced or (end.code, end.reason) == UNANSWERED:
            end = Closed(ABNORMAL, end.reason)
        if conversation.goodbye is not None or end.code not in AFTER_CUTS:
            return end, False
        if self.state == "open":
            ticket = bool(self._exchange.ticket)
            self._attempts.lost(self._world.time(), ticket=ticket)
            return end, not self._only or ticket
        return end, self._attempts.failed(mute=(end.code, end.reason) == SILENT)

    async def _pause(self) -> None:
        over = asyncio.Event()
        self._world.call_later(self._attempts.pause(self._world.random()), over.set)
        await over.wait()

    def _look_again(self) -> None:
        """Something may have changed: wake who waits for it, and tell ``on_change``."""
        if self._exchange.ready and self.state != "open":
            self.state = "open"
            self._attempts.opened(self._world.time(), returned=self.recovered == "all")
        self._news.set()
        self._room.set()
        now = (self.state, self.recovered)
        if now == self._told:
            return
        self._told = now
        if self._on_change is not None:
            try:
                self._on_change(self)
            except Exception:  # a mistake of the user's does not end the connection
                logger.exception("on_change of the client for %s has failed", self.url)


async def _next(event: asyncio.Event) -> None:
    event.clear()
    await event.wait()
