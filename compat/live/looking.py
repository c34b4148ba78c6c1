"""What this process has: its largest groups, its slowest consumers, and the sockets of somebody or something.

Nothing is counted while nobody looks. To look takes turns of the event loop of some milliseconds.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Any

from compat.clock import steady
from compat.engine.roster import OpenSocket, open_sockets
from compat.redis.waiting import SharedAnswer

__all__ = ["KINDS", "MOST_FOUND", "MOST_NAME", "Overview", "close_found", "find"]

KINDS = ("user", "group", "channel")
"""By what sockets can be found."""
MOST_NAME = 200
"""The characters of what is asked for."""
MOST_GROUPS = MOST_SLOW = 20
MOST_FOUND = 50
"""How many of each are told."""
MOST_NAMED = 20
"""How many groups are told of one socket."""
AT_ONCE = 50
"""How many closes begin in one turn of the event loop."""
A_TURN = 1000
"""How many sockets and memberships are looked at in one turn of the event loop."""
EVERY_S, SHARE = 1.0, 0.02
"""How often it is counted again, and what part of the event loop's time this may take."""

Told = dict[str, Any]


async def _in_turns() -> AsyncIterator[OpenSocket]:
    """Yield the sockets, with a turn of the event loop after every ``A_TURN`` sockets and memberships."""
    looked = 0
    for socket in open_sockets():
        looked += 1 + len(socket.groups)
        yield socket
        if looked >= A_TURN:
            looked = 0
            await asyncio.sleep(0)


def _told(socket: OpenSocket) -> Told:
    return {
        "channel": socket.channel,
        "consumer": socket.consumer,
        "path": socket.path,
        "user": socket.user,
        "groups": sorted(islice(socket.groups, MOST_NAMED)),
        "in_groups": len(socket.groups),
        "waiting": socket.waiting,
        "parked": socket.parked,
    }


class Overview:
    """What this process has, counted again once a second at most."""

    def __init__(self) -> None:
        self._told: Told = {}
        self._next = float("-inf")
        self._counting = SharedAnswer(self._count)

    async def told(self) -> Told:
        """Return ``{"sockets", "parked", "users", "groups", "largest": [[group, members]], "slow": […]}``.

        ``slow``: the sockets with the most messages waiting, as ``find`` tells them.
        """
        return self._told if steady() < self._next else await self._counting.get()

    async def _count(self) -> Told:
        began = steady()
        sockets = parked = 0
        users: set[str] = set()
        groups: Counter[str] = Counter()
        slow: list[tuple[int, int, OpenSocket]] = []
        async for socket in _in_turns():
            sockets += 1
            parked += socket.parked
            if socket.user:
                users.add(socket.user)
            groups.update(socket.groups)
            if socket.waiting:
                slow.append((socket.waiting, sockets, socket))
        largest = await _largest(groups)
        now = steady()
        self._next = now + max(EVERY_S, (now - began) / SHARE)
        self._told = {
            "sockets": sockets,
            "parked": parked,
            "users": len(users),
            "groups": len(groups),
            "largest": [[name, groups[name]] for name in largest],
            "slow": [_told(socket) for _, _, socket in heapq.nlargest(MOST_SLOW, slow)],
        }
        return self._told


async def _largest(groups: Counter[str]) -> list[str]:
    """Return the names of the largest groups; a pair for each group would wake the garbage collector."""
    best: list[str] = []
    names = iter(groups)
    while some := list(islice(names, 5 * A_TURN)):
        best = heapq.nlargest(MOST_GROUPS, [*best, *some], key=groups.__getitem__)
        await asyncio.sleep(0)
    return best


async def find(kind: str, name: str) -> Told:
    """Return ``{"count", "sockets": […]}``: those of a user's key, in a group, or with a channel.

    ``MOST_FOUND`` of them are told, each ``{"channel", "consumer", "path", "user", "groups", "in_groups",
    "waiting", "parked"}``; ``kind`` is one of ``KINDS``.
    """
    found = await _found(kind, name)
    return {"count": len(found), "sockets": [_told(socket) for socket in found[:MOST_FOUND]]}


async def close_found(kind: str, name: str, code: int) -> Told:
    """Begin to close what ``find`` finds; return ``{"count"}``."""
    found = await _found(kind, name)
    closing = asyncio.get_running_loop().create_task(_close(found, code))
    _closing.add(closing)
    closing.add_done_callback(_closing.discard)
    return {"count": len(found)}


_closing: set[asyncio.Task[None]] = set()


async def _close(found: Sequence[OpenSocket], code: int) -> None:
    closing = []
    for number, socket in enumerate(found, start=1):
        closing.append(asyncio.ensure_future(socket.close(code)))
        if number % AT_ONCE == 0:  # nobody waits for a client that does not read
            await asyncio.sleep(0)
    await asyncio.gather(*closing, return_exceptions=True)


async def _found(kind: str, name: str) -> list[OpenSocket]:
    return [socket async for socket in _in_turns() if _is(socket, kind, name)]


def _is(socket: OpenSocket, kind: str, name: str) -> bool:
    if kind == "group":
        return name in socket.groups
    return bool(name) and name == (socket.user if kind == "user" else socket.channel)
