"""Refuse a handshake that ``connect()`` has neither accepted nor closed.

Channels documents that such a connection is rejected, but never answers the client. Some packages rely on
that: they accept later, from a task or when a worker has answered. So a handshake may stay undecided for
``CHANNEL_HANDSHAKE_SECONDS``, and is refused after that.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from compat.engine.reports import describe, surviving
from compat.settings import settings

__all__ = ["IN_A_TEST_S", "refuse_unless_decided", "undecided"]

log = logging.getLogger("compat.consumer")

IN_A_TEST_S = 0.5
"""The time limit in seconds without a server, because a communicator's ``connect()`` waits for one second.

If the project sets ``CHANNEL_HANDSHAKE_SECONDS``, this overrides it.
"""

_refusals: set[asyncio.Task[None]] = set()


def undecided(consumer: Any) -> bool:
    """Return True while the handshake of ``consumer`` has been neither accepted nor refused."""
    socket = consumer._compat_socket
    return bool(socket.websocket and not socket.opened and not socket.closed)


def refuse_unless_decided(consumer: Any) -> None:
    """Refuse the connection, and log it, if it is still undecided after ``CHANNEL_HANDSHAKE_SECONDS``.

    This function may be called in any thread.
    """
    if not undecided(consumer):
        return
    wait_s = settings.seconds("CHANNEL_HANDSHAKE_SECONDS")
    if not (consumer._compat_socket.served or settings.is_set("CHANNEL_HANDSHAKE_SECONDS")):
        wait_s = IN_A_TEST_S
    loop = consumer._compat_socket.loop
    loop.call_soon_threadsafe(loop.call_later, wait_s, _refuse, consumer, wait_s)


def _refuse(consumer: Any, waited_s: float) -> None:
    if not undecided(consumer) or consumer._compat_socket.ended:
        return
    socket = consumer._compat_socket
    refusal = socket.loop.create_task(socket.send({"type": "websocket.close"}))
    _refusals.add(refusal)
    refusal.add_done_callback(_refusals.discard)
    with surviving():
        log.warning(
            "%s: connect() called neither accept() nor close(), and nothing has within %g s; refused "
            "(CHANNEL_HANDSHAKE_SECONDS)",
            describe(consumer),
            waited_s,
        )
