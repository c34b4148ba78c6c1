"""Calls of applications that go on when the socket for which the server has made them is no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from compat.codes import INTERNAL_ERROR, NORMAL, SERVICE_RESTART
from compat.engine.shielding import is_a_handlers_own
from compat.exceptions import ClientDisconnected
from compat.resume.connection import ResumableConnection
from compat.resume.registry import registry
from compat.types import Receive, Scope, Send

__all__ = ["App", "Ending", "ResponseOver", "outlive", "run_on"]

log = logging.getLogger("compat.resume")

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ResponseOver(ClientDisconnected):
    """A frame was sent by a response that is over, as servers raise it of a socket whose client has left."""


class Ending:
    """Ends a connection as the call of its application has ended: ``async with Ending(made):``."""

    __slots__ = ("made",)

    def __init__(self, made: ResumableConnection) -> None:
        self.made = made

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        made, code = self.made, NORMAL if error is None else INTERNAL_ERROR
        if isinstance(error, asyncio.CancelledError):
            made.give_up("stopped")  # the server ends: nobody will come back to hear of it
            if not is_a_handlers_own(error):
                code = SERVICE_RESTART  # hypercorn cancels calls before it closes their sockets
        has_left = isinstance(error, ClientDisconnected) and made.told
        await made.finish(code)
        return has_left


async def _run(app: App, scope: Scope, made: ResumableConnection) -> None:
    async with Ending(made):
        await app(scope, made.receive, made.send)


async def run_on(app: App, scope: Scope, made: ResumableConnection) -> None:
    """Run ``app``, which goes on when the server cancels its own call because the first link has ended."""
    first = made.link
    task = asyncio.ensure_future(_run(app, scope, made))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if first is None or not first.gone or made.told or registry.stopping:
            task.cancel()
            await task
            raise
        outlive(task)


def outlive(task: asyncio.Future[None]) -> None:
    """Let a call of an application go on by itself, and log its failure, which no server sees.

    That its client has left is none: servers pass over that too.
    """
    _outliving.add(task)
    task.add_done_callback(_outlived)


def _outlived(task: asyncio.Future[None]) -> None:
    _outliving.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ResponseOver):
        log.error("an application has failed", exc_info=error)


_outliving: set[asyncio.Future[None]] = set()
