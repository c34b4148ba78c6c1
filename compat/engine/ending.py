"""How a connection ends, and the steps of its end.

They always have the same order, and each is taken even if the one before it failed: an error is logged, the
client is closed, the disconnect handler runs exactly once, and the channel leaves its groups. The engine
waits ``CLOSE_TIMEOUT_S`` at most for a client that does not read, and ``LAYER_TIMEOUT_S`` for a layer that
does not answer. Handlers, including the disconnect handler, have no time limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from compat.codes import ABNORMAL, GOING_AWAY, INTERNAL_ERROR, NORMAL, TRY_AGAIN_LATER
from compat.engine import register
from compat.engine.outage import is_outage
from compat.engine.overflow import Overflowed
from compat.engine.refusal import connection_lost
from compat.engine.reports import warn
from compat.engine.shielding import is_a_handlers_own, uncancel
from compat.engine.socket import says_gone
from compat.exceptions import StopConsumer
from compat.types import Message

if TYPE_CHECKING:
    from compat.engine.connection import Connection

__all__ = ["DISCONNECTS", "outcome_of", "take_steps"]

DISCONNECTS = ("websocket.disconnect", "websocket_disconnect")
"""The types of a message whose handler is the disconnect handler."""


class Outcome(NamedTuple):
    """How a connection ends."""

    code: int | None
    """The close code for the client; None if its disconnect has been handled."""
    failure: BaseException | None = None
    """The exception of a handler, which has been logged."""
    raised: BaseException | None = None
    """The exception that the consumer's task raises after the last step."""


def outcome_of(connection: Connection, error: BaseException | None, *, cancelled: bool) -> Outcome:
    """Return how ``connection`` ends because of ``error``; see ``Connection.end``.

    ``cancelled``: the task of the consumer has been cancelled.
    """
    inbox, socket = connection.inbox, connection.socket
    if error is None or isinstance(error, StopConsumer):
        return Outcome(None if error is None or inbox.ended else NORMAL)
    if socket.gone and says_gone(error) and not inbox.ended:
        return Outcome(ABNORMAL)
    if inbox.overflowed and not inbox.ended and (cancelled or isinstance(error, Overflowed)):
        raised = error if uncancel() else None  # the task was cancelled for another reason, too
        socket.shut_out()
        warn(connection, "closed with 1013, its inbox is full (on_overflow='close')")
        return Outcome(TRY_AGAIN_LATER, raised=raised)
    if cancelled:
        return Outcome(_code_of_client(connection, GOING_AWAY if socket.served else None), raised=error)
    if isinstance(error, (Exception, asyncio.CancelledError, GeneratorExit)):
        code = TRY_AGAIN_LATER if socket.served and is_outage(error) else INTERNAL_ERROR
        return Outcome(code, failure=connection.announced(error))
    return Outcome(INTERNAL_ERROR, raised=error)  # SystemExit and the like


def _code_of_client(connection: Connection, code: int | None) -> int | None:
    """Return the code of the client's disconnect if one waits for its handler, else ``code``."""
    reader = connection.reader
    last = reader.last if reader is not None and not connection.inbox.ended else None
    return code if last is None else int(last.get("code", ABNORMAL))


async def take_steps(
    connection: Connection, code: int | None, failure: BaseException | None
) -> BaseException | None:
    """End ``connection``; return the exception of the disconnect handler, or None.

    ``code`` and ``failure`` are those of ``Outcome``. A cancellation interrupts a single step, and is raised
    after the last one.
    """
    second: BaseException | None = None
    interrupted: asyncio.CancelledError | None = None
    socket = connection.socket
    connection.inbox.ending()
    refuses = code == TRY_AGAIN_LATER and socket.served and not connection.inbox.ended and socket.refusable()
    steps = (_tell, _idle, _disconnect) if code is not None or connection.work is not None else ()
    for step in steps:
        try:
            await step(connection, code)
        except asyncio.CancelledError as error:
            if is_a_handlers_own(error):
                second = error
            else:
                interrupted = error
        except Exception as error:  # noqa: BLE001 - the user's handler may raise anything
            second = error
    if second is not None and connection.is_logged():
        # A second error usually follows from the first, because connect() did not complete: hence INFO.
        level = logging.ERROR if failure is None else logging.INFO
        connection.report(second, "websocket.disconnect", level)
    turned_away = refuses and socket.closed and not socket.opened  # the handshake was answered with 503
    connection.let_go()
    for what, release in _releases(connection, turned_away):
        try:
            await release()
        except asyncio.CancelledError as error:
            interrupted = error
        except Exception as error:  # noqa: BLE001 - a layer that cannot be reached, a middleware's receive()
            warn(connection, f"could not {what}: {error}")
    connection.inbox.close()
    register.leave(connection.inbox.channel)
    if interrupted is not None:
        raise interrupted
    return second


def _releases(connection: Connection, turned_away: bool) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """Return the steps after the disconnect handler, which release the connection, each with its log text."""
    releases: list[tuple[str, Callable[[], Awaitable[None]]]] = []
    if connection.reader is not None:
        releases.append(("stop to read its socket", connection.reader.stop))
    if connection.subscription is not None:
        releases.append(("stop to read its channel", connection.subscription.stop))
        releases.append(("leave its groups", connection.subscription.end))
    if turned_away:
        releases.append(("wait for the end of its socket", partial(connection_lost, connection.receive)))
    return releases


async def _tell(connection: Connection, code: int | None) -> None:
    """Send the queued frames and the close, each within a time limit."""
    if connection.work is not None:
        await connection.work.flush()
    listens = connection.socket.served or code == TRY_AGAIN_LATER
    if code is not None and listens and not connection.inbox.ended:
        await connection.close(code)


async def _idle(connection: Connection, code: int | None) -> None:
    """Wait until no handler runs in a thread."""
    if connection.work is not None:
        await connection.work.idle()


async def _disconnect(connection: Connection, code: int | None) -> None:
    """Run the consumer's disconnect handler, unless it has run, or no message has been handled."""
    inbox = connection.inbox
    begun = connection.socket.websocket and inbox.current is not None
    due = begun and code is not None and not inbox.ended and not _has_disconnected(connection)
    if not due or not hasattr(connection.consumer, "websocket_disconnect"):
        return
    inbox.end()
    try:
        message: Message = {"type": "websocket.disconnect", "code": code}
        await connection.observed(connection.dispatch(message), message)
    except StopConsumer:
        pass


def _has_disconnected(connection: Connection) -> bool:
    """Return True if a message of the layer, or another handler, has called the disconnect handler."""
    if connection.socket.parted:
        return True
    current, reader = connection.inbox.current, connection.reader
    told = current is not None and current.get("type") in DISCONNECTS
    return told and (reader is None or current is not reader.last)
