"""The clients of a soak that read slowly, late or never."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import time
from collections.abc import Sequence

from bench.clients import stuck_socket
from bench.soak_rooms import Ledger, Listener, Room

__all__ = ["SLOW", "SlowClients"]

SLOW, SILENT = 5, 2
"""How many clients read late, and how many never."""
HELD_S = 30.0
"""How long a slow client lives before it reads everything: uvicorn closes one that is silent for 40 s."""
SIP_EVERY_S, SIP_BYTES = 5.0, 64 * 1024
"""Every other slow client reads so much, so often."""
DRAIN_S = 8.0
"""Seconds for a slow client to read what waits for it."""
EVERY_S = 40.0
"""From one client to the next in its place: ``HELD_S``, ``DRAIN_S``, and time for the handshake.

What waits in all inboxes depends on how these overlap; on a timetable they do not drift, and the most that
waits is the same in each turn. By chance the most comes late, and memory that is flat seems to grow.
"""
CAUGHT_UP = 3
"""A client that is no more messages behind has an empty inbox: its losses are known."""
SILENT_S = 60.0
AGAIN_S = 1.0
NUMBER = re.compile(rb"#(\d{8})")


class SlowClients:
    """Clients of ``room`` whose inbox overflows, and others that never read, in ``others``.

    A slow client reads everything before it leaves, so that what it has lost is known: ``ledger`` gets it.
    One that never reads is in a room with few messages, where nothing overflows; the server closes it after
    40 s without a pong.
    """

    def __init__(self, room: Room, others: Sequence[Room], ledger: Ledger) -> None:
        self.room = room
        self.others = others
        self.ledger = ledger
        self.unfinished = 0
        """Slow clients that had not read everything in time, or were closed by the server."""
        self.ending = asyncio.Event()
        """Set it to let every slow client finish."""

    async def slow(self, index: int) -> None:
        """Be one slow client after the other until ``ending``."""
        comes = time.monotonic() + EVERY_S * index / SLOW  # not all at once
        while True:
            await self._wait(comes - time.monotonic())
            if self.ending.is_set():
                return
            sock = await self._stuck(self.room)
            if sock is not None:
                with contextlib.closing(sock):
                    await self._read_late(sock, leaves=comes + HELD_S, sips=bool(index % 2))
                comes += EVERY_S

    async def silent(self) -> None:
        """Be one client after the other that never reads, until ``ending``."""
        while not self.ending.is_set():
            sock = await self._stuck(random.choice(self.others))
            if sock is not None:
                await self._wait(SILENT_S)
                sock.close()

    async def _stuck(self, room: Room) -> socket.socket | None:
        """Return a connection that has joined ``room``; None, after a second, if the server refuses it."""
        try:
            return await asyncio.to_thread(stuck_socket, room.url)
        except (OSError, RuntimeError):
            await self._wait(AGAIN_S)
            return None

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)

    async def _read_late(self, sock: socket.socket, *, leaves: float, sips: bool) -> None:
        sock.setblocking(False)
        reading = _Reading(sock, Listener(self.room))
        try:
            while not self.ending.is_set() and (left_s := leaves - time.monotonic()) > 0:
                await self._wait(min(SIP_EVERY_S, left_s))
                if sips:
                    await reading.read(SIP_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            await asyncio.wait_for(reading.catch_up(), DRAIN_S)
        except (OSError, EOFError, asyncio.TimeoutError):
            self.unfinished += 1
        reading.listener.leave()
        self.ledger.add(reading.listener)


class _Reading:
    """The numbers in what comes over ``sock``."""

    def __init__(self, sock: socket.socket, listener: Listener) -> None:
        self.listener = listener
        self._sock = sock
        self._tail = b""
        """The end of what was read: a number may have been cut there."""

    async def read(self, most: int) -> None:
        """Read what has come, up to ``most`` bytes; wait for the first. Raises EOFError at the end."""
        data = await asyncio.get_running_loop().sock_recv(self._sock, most)
        if not data:
            raise EOFError
        data = self._tail + data
        for found in NUMBER.finditer(data):
            self.listener.came(int(found[1]))
        self._tail = data[-8:]

    async def catch_up(self) -> None:
        """Read until no message waits."""
        while self.listener.next < len(self.listener.room.sent_at) - CAUGHT_UP:
            await self.read(1 << 16)
