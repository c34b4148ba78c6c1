"""A world for clients in which time stands still until the test moves it, and links are the test's own."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import ssl
from collections.abc import Callable, Mapping, Sequence

from compat.client.frames import Closed, Frame
from compat.client.links import Refused, World
from compat.client.timing import Unsent
from compat.clock import Timer

__all__ = ["FalseLink", "FalseWorld", "settle"]

TURNS = 40
"""More turns of the event loop than anything here takes."""


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class FalseTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FalseLink:
    """A handshake, and then a link. What the client does is in ``wire``."""

    def __init__(self, subprotocols: Sequence[str], wire: list[tuple[str, object]]) -> None:
        self.wire = wire
        self.wire.append(("link", list(subprotocols)))
        self.handshake: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.frames: asyncio.Queue[Frame | Closed] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.answers_pings = True
        self.unsent: Unsent = (0, 0)
        self.lets_through: asyncio.Semaphore | None = None
        """How many frames there is room for; None if that is no matter."""

    # What the test does

    def accept(self, subprotocol: str) -> None:
        self.handshake.set_result(subprotocol or None)

    def serve(self, frame: Frame) -> None:
        self.frames.put_nowait(frame)

    def end(self, code: int, reason: str = "") -> None:
        end = Closed(code, reason)
        if self.handshake.done():
            self.ended.set()
            self.frames.put_nowait(end)
        else:
            self.handshake.set_exception(end)

    def refuse(self, status: int) -> None:
        self.handshake.set_exception(Refused(status))

    # What the client does

    @property
    def subprotocol(self) -> str | None:
        return self.handshake.result()

    async def receive(self) -> Frame:
        got = await self.frames.get()
        if isinstance(got, Closed):
            self.frames.put_nowait(got)
            raise got
        return got

    async def send(self, frame: Frame) -> None:
        if self.lets_through is not None:
            await self.lets_through.acquire()
        if self.ended.is_set():
            raise Closed(1006)
        self.wire.append(("client", frame))

    async def ping(self) -> None:
        if not self.answers_pings:
            await asyncio.Event().wait()

    async def close(self, code: int, reason: str) -> None:
        if not self.ended.is_set():
            self.wire.append(("client_close", code))
            await self.ended.wait()

    def leave(self) -> None:
        if not self.ended.is_set():
            self.wire.append(("client_close", None))
            self.ended.set()
            self.frames.put_nowait(Closed(1006))


class FalseWorld(World):
    """``random()`` is 0.5; ``wait()`` moves the clock, and everything that is due happens in order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.links: list[FalseLink] = []
        self.wire: list[tuple[str, object]] = []
        self.patience: list[float] = []
        """For how many seconds each attempt may wait for an answer, which is for the test to end."""
        self._timers: list[tuple[float, int, FalseTimer]] = []
        self._numbers = itertools.count()

    @property
    def link(self) -> FalseLink:
        """The newest."""
        return self.links[-1]

    def time(self) -> float:
        return self.now

    def random(self) -> float:
        return 0.5

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = FalseTimer(callback)
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), timer))
        return timer

    async def open(
        self,
        url: str,
        subprotocols: Sequence[str],
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        within: float,
    ) -> FalseLink:
        link = FalseLink(subprotocols, self.wire)
        self.links.append(link)
        self.patience.append(within)
        await link.handshake
        return link

    async def wait(self, seconds: float) -> None:
        await settle()
        until = self.now + seconds + 1e-9
        while self._timers and self._timers[0][0] <= until:
            at, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if timer.callback is not None:
                timer.callback()
                await settle()
        self.now = until
