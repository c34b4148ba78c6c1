"""Calls of applications that continue after the socket for which the server has made them has ended."""

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
    """Raised by a send to a response that is over, as a server's send raises after the client has left."""


class Ending:
    """Ends a connection when the call of its application ends: ``async with Ending(made):``."""

    __slots__ = ("made",)

    def __init__(self, made: ResumableConnection) -> None:
        self.made = made

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        made, code = self.made, NORMAL if error is None else INTERNAL_ERROR
        if isinstance(error, asyncio.CancelledError):
            made.give_up("stopped")  # the server stops, so its client cannot come back to it
            if not is_a_handlers_own(error):
                code = SERVICE_RESTART  # hypercorn cancels calls before it closes their sockets
        has_left = isinstance(error, ClientDisconnected) and made.told
        await made.finish(code)
        return has_left


async def _run(app: App, scope: Scope, made: ResumableConnection) -> None:
    async with Ending(made):
        await app(scope, made.receive, made.send)


async def run_on(app: App, scope: Scope, made: ResumableConnection) -> None:
    """Run ``app``; it continues if the server cancels the call because the first link has ended."""
    first = made.link
    task = asyncio.ensure_future(_run(app, scope, made))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if first is None or not first.gone or made.told or registry.stopping:
            task.cancel()
            await task
            raise
        outlive(task, scope.get("path", ""))


def outlive(task: asyncio.Future[None], path: str) -> None:
    """Let the call of an application continue in a task, and log its exception, which no server sees.

    ``path`` is that of its URL. The exception for a client that has left is not logged; servers do not log it
    either.
    """
    registry.note_outliving(task, path)
    task.add_done_callback(_outlived)


def _outlived(task: asyncio.Future[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ResponseOver):
        log.error("an application has failed", exc_info=error)
