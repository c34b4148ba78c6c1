"""A client without websockets, as the page's socket is one: what a run needs of ``compat.client.Client``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx

from compat.client import Closed
from tests.support.fallback import Posting, Refusal
from tests.support.resuming import ACK_FRAMES, COME_BACK
from tests.support.servers import Address

__all__ = ["PostingClient"]

NO_SUCH, BEHIND = 410, 409
MOST_FRAMES = 20
"""How many frames it posts at once."""


class PostingClient:
    """It gets frames by event streams and polls, and posts its own; it tries again until it is closed."""

    def __init__(
        self,
        address: Address,
        path: str,
        *,
        origin: str,
        chance: random.Random,
        on_change: Callable[[PostingClient], object],
    ) -> None:
        self.state = "connecting"
        self.recovered: str | None = None
        self.why = ""
        self.end: Closed | None = None
        self._chance = chance
        self._on_change = on_change
        self._posting = _Posting(address, path, self._take, origin)
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._opened = asyncio.Event()
        self._news = asyncio.Event()
        self._queue: list[str] = []
        """What the server has not acknowledged."""
        self._first = 0
        """The number of the first of them."""
        self._posted = 0
        """How many of them were posted to this connection, perhaps in vain."""
        self._acknowledged = 0
        """How many frames of this connection the server knows to have arrived."""
        self._asked = False
        """The server wants to know it at once."""
        self._links = 0
        """How many times the server has said what it has."""
        self._unsure: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> PostingClient:
        self._tasks = [asyncio.ensure_future(self._live()), asyncio.ensure_future(self._post())]
        await self._opened.wait()
        return self

    async def send(self, text: str) -> None:
        if self.state == "closed":
            raise Closed(1006)
        self._queue.append(text)
        self._news.set()

    async def receive(self) -> Any:
        frame = await self._inbox.get()
        if isinstance(frame, Closed):
            self._inbox.put_nowait(frame)
            raise frame
        return frame

    def take_unsure(self) -> list[str]:
        unsure, self._unsure = self._unsure, []
        return unsure

    async def close(self) -> None:
        """Post what waits, say goodbye, and end."""
        live, post = self._tasks
        post.cancel()
        await asyncio.wait((post,))
        if self.state != "closed":
            try:
                await self._posting.post(*self._queue, {"type": "bye"}, first=self._first)
            except (Refusal, httpx.HTTPError):
                pass  # the server will wait for it
            live.cancel()
            await asyncio.wait((live,))
            self._finish(Closed(1000))
        await self._posting.__aexit__()

    async def _live(self) -> None:
        """Ask for frames again and again."""
        failures = 0
        while True:
            end: Any = None
            try:
                await self._posting.ask(self._chance.choice(("stream", "poll")))
                async for frame in self._posting.frames():
                    failures = 0
                    self._inbox.put_nowait(frame)
                    if self._posting.received - self._acknowledged >= ACK_FRAMES:
                        self._news.set()
                end = self._posting.end
            except (Refusal, httpx.HTTPError):
                failures += 1
            if end == "again":
                continue
            if isinstance(end, list) and end[0] not in COME_BACK:
                self._finish(Closed(*end))
                return
            if self.state == "open":
                self._change("away")
            # as the page's socket: a server that fails is not to be asked by all at once
            await asyncio.sleep(self._chance.random() * min(3.0, 0.3 * 2**failures))

    def _take(self, control: dict[str, Any], offered: bool) -> None:
        """Do what a control frame says; a ticket was ``offered`` for this link or not."""
        if control["type"] == "ack":
            self._has(control["n"])
            if control.get("ask"):
                self._asked = True
                self._news.set()
        elif control["type"] == "verdict":
            self.recovered, self.why = control["recovered"], control.get("why", "")
            self._change(self.state)
        elif control["type"] == "hello":
            self._begin(control, offered)

    def _begin(self, hello: dict[str, Any], offered: bool) -> None:
        self._links += 1
        self._acknowledged = self._posting.received
        resumed = offered and hello.get("recovered") == "all"
        if resumed:
            self._has(hello["have"])
        else:  # what was never posted goes to the new connection
            self._unsure += self._queue[: self._posted]
            del self._queue[: self._posted]
            self._first = self._posted = 0
        goes_on = resumed and self.state == "open"
        if offered and not goes_on:
            self.recovered, self.why = hello.get("recovered"), hello.get("why", "")
        if not goes_on:
            self._change("open")
        self._opened.set()
        self._news.set()

    def _has(self, count: int) -> None:
        known = max(0, min(count - self._first, len(self._queue)))
        del self._queue[:known]
        self._first += known
        self._posted = max(0, self._posted - known)

    async def _post(self) -> None:
        """Post frames from the first that the server may not have, and acknowledge what has come."""
        links, following = 0, 0
        while True:
            await self._news.wait()
            self._news.clear()
            while self.state == "open":
                if links != self._links:
                    links, following = self._links, self._first
                following = max(following, self._first)
                frames = self._queue[following - self._first :][:MOST_FRAMES]
                received = self._posting.received
                acknowledges = self._asked or received - self._acknowledged >= ACK_FRAMES
                if not frames and not acknowledges:
                    break
                self._posted = max(self._posted, following - self._first + len(frames))
                self._asked, self._acknowledged = False, received
                ack = [{"type": "ack", "n": received}] if acknowledges else []
                try:
                    await self._posting.post(*ack, *frames, first=following)
                except (Refusal, httpx.HTTPError) as error:
                    if isinstance(error, Refusal) and error.status in (NO_SUCH, BEHIND):
                        links = 0
                    await asyncio.sleep(self._chance.random() * 0.3)
                else:
                    if links == self._links:
                        following += len(frames)

    def _change(self, state: str) -> None:
        self.state = state
        self._on_change(self)

    def _finish(self, end: Closed) -> None:
        self._unsure += self._queue
        self._queue.clear()
        self.end = end
        self._opened.set()
        self._change("closed")
        self._inbox.put_nowait(end)


class _Posting(Posting):
    """Hands on the control frames that it gets."""

    def __init__(
        self, address: Address, path: str, take: Callable[[dict[str, Any], bool], None], origin: str
    ) -> None:
        super().__init__(address, path, headers={"Origin": origin})
        self._take = take

    def _control(self, control: dict[str, Any]) -> None:
        offered = bool(self.ticket)
        super()._control(control)
        self._take(control, offered)
