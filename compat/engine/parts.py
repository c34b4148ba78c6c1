"""Which parts of the engine a process uses: the plain ones, or those in ``engine.fast`` where they can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from compat.engine import loop as plain
from compat.engine.connection import Connection
from compat.engine.fast import bridge, conversation, in_use, reading
from compat.engine.fast.scheduling import Rounds
from compat.engine.inbox import Inbox
from compat.engine.scheduler import Scheduler, made_for
from compat.engine.socket import Socket

__all__ = ["bridge_of", "converse", "inbox_of", "scheduler_of"]

_schedulers: dict[asyncio.AbstractEventLoop, Scheduler] = {}


def scheduler_of(loop: asyncio.AbstractEventLoop) -> Scheduler:
    """Return the scheduler of ``loop``; those of closed loops are forgotten when a new one is made."""
    found = _schedulers.get(loop)
    return found or made_for(loop, _schedulers, _scheduler)


def _scheduler(loop: asyncio.AbstractEventLoop) -> Scheduler:
    parts = in_use()
    return Rounds(loop, parts) if "scheduling" in parts else Scheduler(loop)


def inbox_of(loop: asyncio.AbstractEventLoop) -> Inbox:
    """Return a new inbox for a consumer whose handlers run on ``loop``."""
    scheduler = scheduler_of(loop)
    if isinstance(scheduler, Rounds) and "reading" in scheduler.parts:
        return reading.FastInbox(loop, scheduler)
    return Inbox(loop, scheduler)


def converse(connection: Connection) -> Awaitable[None]:
    """Return what runs ``connection`` when it is awaited."""
    if isinstance(connection.inbox, reading.FastInbox):
        return conversation.converse(connection)
    return plain.converse(connection)


def bridge_of(consumer: bridge.SyncHandlers, socket: Socket) -> bridge.Bridge | None:
    """Return what runs the handlers of a sync consumer in a pool of threads; None where that is not used."""
    scheduler = scheduler_of(socket.loop)
    if isinstance(scheduler, Rounds) and "bridge" in scheduler.parts:
        return bridge.Bridge(consumer, socket, scheduler)
    return None
