"""Choose between the plain parts of the engine and their replacements in ``engine.fast``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from compat.engine import loop as plain
from compat.engine.connection import Connection
from compat.engine.contracts import SyncHandlers
from compat.engine.fast import bridge, conversation, in_use, reading
from compat.engine.fast.framing import behind_starlette, framing_of
from compat.engine.fast.scheduling import Rounds
from compat.engine.fast.write_batching import Bursts
from compat.engine.inbox import Inbox
from compat.engine.scheduler import Scheduler, made_for
from compat.engine.socket import Socket
from compat.types import Send

__all__ = ["bridge_of", "bursts_of", "converse", "framed_by", "inbox_of", "scheduler_of"]

_schedulers: dict[asyncio.AbstractEventLoop, Scheduler] = {}


def scheduler_of(loop: asyncio.AbstractEventLoop) -> Scheduler:
    """Return the scheduler of ``loop``, which is made at the first call."""
    found = _schedulers.get(loop)
    return found or made_for(loop, _schedulers, _scheduler)


def _scheduler(loop: asyncio.AbstractEventLoop) -> Scheduler:
    parts = in_use()
    return Rounds(loop, parts) if "scheduling" in parts else Scheduler(loop)


def bursts_of(loop: asyncio.AbstractEventLoop) -> Bursts | None:
    """Return the bursts of ``loop``, or None if frames are not batched."""
    scheduler = scheduler_of(loop)
    return scheduler.bursts if isinstance(scheduler, Rounds) and scheduler.bursts.used else None


def framed_by(loop: asyncio.AbstractEventLoop, send: Send) -> Any:
    """Return the server's protocol behind ``send`` if "framing" makes text frames for it, else None."""
    scheduler = scheduler_of(loop)
    used = isinstance(scheduler, Rounds) and "framing" in scheduler.parts
    return framing_of(behind_starlette(send)) if used else None


def inbox_of(loop: asyncio.AbstractEventLoop) -> Inbox:
    """Return a new inbox for a consumer whose handlers run on ``loop``."""
    scheduler = scheduler_of(loop)
    if isinstance(scheduler, Rounds) and "reading" in scheduler.parts:
        return reading.FastInbox(loop, scheduler)
    return Inbox(loop, scheduler)


def converse(connection: Connection) -> Awaitable[None]:
    """Return an awaitable that runs ``connection`` until it has ended."""
    if isinstance(connection.inbox, reading.FastInbox):
        return conversation.converse(connection)
    return plain.converse(connection)


def bridge_of(consumer: SyncHandlers, socket: Socket) -> bridge.Bridge | None:
    """Return a new bridge to the thread pool for a sync consumer; None if the part "bridge" is not in use."""
    scheduler = scheduler_of(socket.loop)
    if isinstance(scheduler, Rounds) and "bridge" in scheduler.parts:
        return bridge.Bridge(consumer, socket, scheduler)
    return None
