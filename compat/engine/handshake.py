"""A handshake always gets an answer: also where ``connect()`` has given none when it returns.

Channels' documentation says that a connection which ``connect()`` neither accepts nor closes is rejected; its
code leaves the client waiting for ever. Packages rely on the code: they accept later, from a task or when a
worker has answered. So an undecided connection is left alone for ``CHANNEL_HANDSHAKE_SECONDS``, and then
refused.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from compat.engine.reports import describe
from compat.settings import settings

__all__ = ["IN_A_TEST_S", "refuse_unless_decided", "undecided"]

log = logging.getLogger("compat.consumer")

IN_A_TEST_S = 0.5
"""The longest time under a communicator, whose ``connect()`` waits for a second."""

_refusals: set[asyncio.Task[None]] = set()


def undecided(consumer: Any) -> bool:
    """True while the handshake of ``consumer`` has neither been accepted nor refused."""
    socket = consumer._socket
    return bool(socket.websocket and not socket.opened and not socket.closed)


def refuse_unless_decided(consumer: Any) -> None:
    """Refuse the connection, with a log line, when it is still undecided after the time for that.

    May be called in any thread.
    """
    if not undecided(consumer):
        return
    wait_s = float(settings.get("CHANNEL_HANDSHAKE_SECONDS"))
    wait_s = wait_s if consumer._socket.served else min(wait_s, IN_A_TEST_S)
    loop = consumer._socket.loop
    loop.call_soon_threadsafe(loop.call_later, wait_s, _refuse, consumer, wait_s)


def _refuse(consumer: Any, waited_s: float) -> None:
    if not undecided(consumer) or consumer._socket.ended:
        return
    log.warning(
        "%s: connect() called neither accept() nor close(), and nothing has within %g s; refused "
        "(CHANNEL_HANDSHAKE_SECONDS)",
        describe(consumer),
        waited_s,
    )
    refusal = consumer._socket.loop.create_task(consumer._socket.send({"type": "websocket.close"}))
    _refusals.add(refusal)
    refusal.add_done_callback(_refusals.discard)
