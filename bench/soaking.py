"""What the clients of one channel layer do in a soak.

Of 20 members of a room one is the speaker, two are witnesses, and the others come and go:

- The speaker sends a message every two seconds, and waits for its own before the next one. After an error of
  the layer the server closes it; then it connects again.
- A witness stays and never sends, so it is known which messages it should get.
- The others stay for a random time, 34 s on average. Half of them close properly, the others are cut.

So of 2,000 clients, 50 leave and 50 come each second, and 100 speakers send 50 messages. One more room has
larger messages, 50 a second, for slow clients (``soak_slow``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from array import array
from collections.abc import Coroutine
from typing import Any

from picows import WSError

from bench.clients import AT_ONCE, Client, OnSeq, connect, connect_many, disconnect
from bench.load import settle
from bench.servers import Server
from bench.soak_rooms import Gaps, Ledger, Listener, Room
from bench.soak_slow import SILENT, SLOW, SlowClients

__all__ = ["ROOM_SIZE", "Drive"]

ROOM_SIZE, WITNESSES = 20, 2
STAY_S = 34.0
SPEAK_EVERY_S = 2.0
SLOW_EVERY_S, SLOW_SIZE = 0.02, 16 * 1024
PATIENCE_S = 2.0
"""How long a speaker waits for its own message, which may be lost, before it sends the next."""
AGAIN_S = 0.5
CLOSE_S = 10.0
QUIET_S = 5.0
"""The end is when no message has come for so long."""


class Drive:
    """The clients of one server; ``excuse``: its layer may lose messages in an outage without a count."""

    def __init__(self, server: Server, clients: int, *, excuse: bool) -> None:
        count = max(1, clients // ROOM_SIZE)
        self.rooms = [Room(server.url(f"/ws/chat/r{index}/")) for index in range(count)]
        self.slow_room = Room(server.url("/ws/chat/slow/"), SLOW_SIZE)
        self.gaps = Gaps()
        self.witnesses = Ledger(self.gaps, excuse=excuse)
        self.slow = Ledger(self.gaps, excuse=excuse)
        self.slow_clients = SlowClients(self.slow_room, self.rooms, self.slow)
        self.latencies = array("d")
        """Seconds of each delivery since the last sample, without those of the slow room."""
        self.came = 0
        """Clients that have come since the beginning."""
        self.turned_away = 0
        """Handshakes that the server refused, as it does while Redis is away; they were tried again."""
        self.cut = 0
        """Witnesses and others that the server has closed, without a reason of theirs."""
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._silence = asyncio.Event()
        self._speakers = [Speaker(self, self.slow_room, SLOW_EVERY_S, None)]
        self._speakers += [Speaker(self, room, SPEAK_EVERY_S, self.heard(room)) for room in self.rooms]
        self._tasks: dict[str, list[asyncio.Task[None]]] = {"crowd": [], "slow": [], "speakers": []}
        self._failure: BaseException | None = None

    async def begin(self) -> None:
        """Connect everybody, and start."""
        for speaker in self._speakers:
            await speaker.open()
        seats = [room for room in self.rooms for _ in range(ROOM_SIZE - 1)]
        clients = await connect_many([room.url for room in seats])
        self.came += len(clients)
        for index, (room, client) in enumerate(zip(seats, clients, strict=True)):
            live = self._witness if index % (ROOM_SIZE - 1) < WITNESSES else self._come_and_go
            self._start("crowd", live(room, client))
        for index in range(SLOW):
            self._start("slow", self.slow_clients.slow(index))
        for _ in range(SILENT):
            self._start("slow", self.slow_clients.silent())
        for speaker in self._speakers:
            self._start("speakers", speaker.run(self._silence))

    async def end(self) -> None:
        """Let slow clients finish, stop sending, and wait for the last messages; witnesses stay."""
        self.slow_clients.ending.set()
        await asyncio.gather(*self._tasks["slow"])
        self._silence.set()
        await asyncio.gather(*self._tasks["speakers"])
        await settle(lambda: len(self.latencies), sys.maxsize, idle_s=QUIET_S)
        for speaker in self._speakers:
            speaker.note_refused()

    async def leave(self) -> None:
        """Cut everybody who is still there."""
        left = set(self._tasks["crowd"])
        while left:  # a connect may take a cancellation for an error of its own
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1)
        for speaker in self._speakers:
            speaker.leave()

    def check(self) -> None:
        """Raise what has ended a client's task."""
        if self._failure is not None:
            raise self._failure

    def sent(self) -> int:
        """Return how many messages were sent, without those of the slow room."""
        return sum(len(room.sent_at) for room in self.rooms)

    def heard(self, room: Room) -> OnSeq:
        """Return a function that records the latency of each message of ``room``."""

        def on_seq(client: Client, number: int) -> None:
            self.latencies.append(time.time() - room.sent_at[number])

        return on_seq

    async def enter(self, url: str, on_seq: OnSeq | None) -> Client:
        """Return a new client, for which ``on_seq`` is called; try again until the server takes it."""
        while True:
            async with self._gate:
                try:
                    client = await connect(url)
                except (OSError, WSError, asyncio.TimeoutError):
                    self.turned_away += 1
                else:
                    client.on_seq = on_seq
                    self.came += 1
                    return client
            await asyncio.sleep(AGAIN_S)

    def _start(self, kind: str, living: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(living)
        task.add_done_callback(self._ended)
        self._tasks[kind].append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error

    async def _come_and_go(self, room: Room, client: Client) -> None:
        heard = client.on_seq = self.heard(room)
        try:
            while True:
                await asyncio.sleep(random.expovariate(1 / STAY_S))
                if client.closed:
                    self.cut += 1
                elif random.random() < 0.5:
                    disconnect([client])
                else:
                    await _close(client)
                client = await self.enter(room.url, heard)
        finally:
            disconnect([client])

    async def _witness(self, room: Room, client: Client) -> None:
        heard = self.heard(room)
        try:
            while True:
                listener = Listener(room)
                client.on_seq = _both(heard, listener)
                self.witnesses.add(listener)
                assert client.transport is not None
                await client.transport.wait_disconnected()
                self.cut += 1
                listener.leave()
                client = await self.enter(room.url, None)
        finally:
            disconnect([client])


class Speaker:
    """The member of a room that sends, one message every ``every_s`` seconds."""

    def __init__(self, drive: Drive, room: Room, every_s: float, heard: OnSeq | None) -> None:
        self._drive = drive
        self._room = room
        self._every_s = every_s
        self._heard = heard
        self._client: Client | None = None
        self._first = 0
        """The first message of this connection."""

    async def open(self) -> None:
        """Connect, if there is no connection."""
        if self._client is None or self._client.closed:
            self.note_refused()
            self._client = await self._drive.enter(self._room.url, self._heard)
            self._first = len(self._room.sent_at)

    async def run(self, silence: asyncio.Event) -> None:
        """Send until ``silence``."""
        await asyncio.sleep(random.random() * self._every_s)
        while not silence.is_set():
            await self.open()
            if not self.is_waiting() and self._client is not None:
                self._room.send(self._client)
            # Not at even times: after each pause of the load more of them would speak at the same moment.
            await asyncio.sleep(random.uniform(0.5, 1.5) * self._every_s)

    def is_waiting(self) -> bool:
        """Return True if the last message has not come back, and may still."""
        client, sent_at = self._client, self._room.sent_at
        if client is None or client.closed or not sent_at or client.last == len(sent_at) - 1:
            return False
        return len(sent_at) > self._first and time.time() - sent_at[-1] < PATIENCE_S

    def note_refused(self) -> None:
        """Note what the last connection has sent and not heard before it was closed."""
        if self._client is not None and self._client.closed:
            unheard = max(self._first, self._client.last + 1)
            self._room.refused.update(range(unheard, len(self._room.sent_at)))

    def leave(self) -> None:
        """Cut the connection."""
        if self._client is not None:
            disconnect([self._client])


def _both(heard: OnSeq, listener: Listener) -> OnSeq:
    def on_seq(client: Client, number: int) -> None:
        heard(client, number)
        listener.came(number)

    return on_seq


async def _close(client: Client) -> None:
    """Close properly; cut the connection if the server does not answer."""
    try:
        with contextlib.suppress(WSError):
            await asyncio.wait_for(client.close(), CLOSE_S)
    except asyncio.TimeoutError:
        disconnect([client])
