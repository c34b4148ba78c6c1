"""``status_router``: a FastAPI router with the manager's status, behind a dependency."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from compat.engine.redaction import hide_parameter
from compat.engine.refusal import shown
from compat.manager.connections.manager import ConnectionManager
from compat.manager.current import get_manager
from compat.manager.exceptions import BackendError
from compat.manager.status.prometheus import CONTENT_TYPE, prometheus_text
from compat.manager.status.tickets import TICKET_S, check_ticket, make_ticket
from compat.settings import settings

__all__ = ["status_router"]

log = logging.getLogger("compat.manager")

POLICY_VIOLATION = 1008
EVERY_S = 1.0
PAGE = Path(__file__).parent / "live.html"


def status_router(
    dependency: Any = None,
    *,
    manager: ConnectionManager | None = None,
    prefix: str = "/status",
    every: float = EVERY_S,
) -> Any:
    """Return a FastAPI router: ``app.include_router(status_router(Depends(is_admin)))``.

    ``GET /status`` is JSON, ``/status/metrics`` is Prometheus text (only of this server), and
    ``/status/live`` is a page that updates ``every`` so many seconds over the websocket ``/status/socket``.
    ``dependency``, a function or ``Depends(…)``, decides who may see them, and raises an HTTPException for
    everybody else. Without it they are shown only in debug mode (of the app, or the setting DEBUG), and
    refused with 403 otherwise. ``manager``: by default ``get_manager()``, called at each request. Raises
    ImportError without FastAPI.
    """
    try:
        from fastapi import APIRouter, Depends
    except ImportError as error:
        raise ImportError(
            "status_router() makes a FastAPI router, and FastAPI is not installed; install it with: "
            "pip install 'channels-compat[fastapi]'"
        ) from error

    hide_parameter("ticket")
    guard = Depends(only_in_debug) if dependency is None else _depends(dependency, Depends)
    guarded = APIRouter(prefix=prefix, dependencies=[guard], tags=["status"])
    open_to_tickets = APIRouter(prefix=prefix)

    def the_manager() -> ConnectionManager:
        return manager if manager is not None else get_manager()

    @guarded.get("", summary="Connections, users and groups on all servers")
    async def status() -> dict[str, Any]:
        return await the_manager().status()

    @guarded.get("/metrics", summary="This server's numbers for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(prometheus_text(local_status(the_manager())), media_type=CONTENT_TYPE)

    @guarded.get("/live", response_class=HTMLResponse, include_in_schema=False)
    def live() -> HTMLResponse:  # in a thread, since it reads a file
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers={"Cache-Control": "no-store"})

    @guarded.get("/ticket", include_in_schema=False)
    async def ticket() -> dict[str, str]:
        return {"ticket": make_ticket(await the_manager().backend.shared_secret(), time.time())}

    @open_to_tickets.websocket("/socket")
    async def socket(websocket: WebSocket, ticket: str = "") -> None:
        problem = await _problem(websocket, ticket, the_manager())
        if problem is not None:
            log.warning("refused a websocket of the status page: %s", problem)
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        await _feed(websocket, the_manager().status, every)

    both = APIRouter()
    both.include_router(guarded)
    both.include_router(open_to_tickets)
    return both


async def _problem(websocket: WebSocket, ticket: str, manager: ConnectionManager) -> str | None:
    """Return why the live page's websocket is refused; None if it is admitted, which uses up its ticket."""
    origin = websocket.headers.get("origin")
    if origin is not None and not _is_own(origin, websocket):
        if not manager.allows_origin_of(websocket.scope):
            return f"its Origin {shown(origin)} is that of another site"
    if not check_ticket(await manager.backend.shared_secret(), ticket, time.time()):
        return "it has no ticket, or an old one"
    if not await manager.backend.claim(f"ticket:{ticket}", 2 * TICKET_S):
        return "its ticket has been used already"
    return None


def _is_own(origin: str, websocket: WebSocket) -> bool:
    """Return True if the page and its websocket have the same host."""
    try:
        return urlsplit(origin).netloc.lower() == websocket.headers.get("host", "").lower()
    except ValueError:
        return False


async def _feed(websocket: WebSocket, ask: Callable[[], Awaitable[dict[str, Any]]], every: float) -> None:
    """Send the status ``every`` so many seconds, until the page is closed."""
    reading = asyncio.ensure_future(_until_closed(websocket))
    try:
        while not reading.done():
            try:
                content = {"at": time.time(), **await ask()}
            except BackendError as error:
                content = {"at": time.time(), "problem": error.message}
            await websocket.send_json(content)
            await asyncio.wait((reading,), timeout=every)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        reading.cancel()


async def _until_closed(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def local_status(manager: ConnectionManager) -> dict[str, Any]:
    """Return the status of this process, without asking the backend."""
    connections = manager.registry.get_all()
    return {
        "server_instance_id": manager.server_instance_id,
        "connections": len(connections),
        "users": len({one.user_id for one in connections if one.user_id}),
        "groups": len({group for one in connections for group in one.groups}),
        "statistics": manager.counters(),
    }


async def only_in_debug(connection: HTTPConnection) -> None:
    """Refuse with 403 unless in debug mode; the default dependency."""
    from fastapi import HTTPException

    if connection.app.debug or settings.get("DEBUG"):
        return
    raise HTTPException(
        403,
        "The status pages are shown in debug mode only, unless they are given a dependency that decides who "
        "may see them: status_router(Depends(is_admin))",
    )


def _depends(dependency: Any, depends: Any) -> Any:
    """Return a dependency for FastAPI's list: ``Depends(…)`` as it is, a function wrapped in it."""
    if hasattr(dependency, "dependency"):
        return dependency
    if callable(dependency):
        return depends(dependency)
    raise TypeError(
        f"status_router() takes a dependency, such as Depends(is_admin), not {dependency!r}; it is what "
        "decides who may see the pages"
    )
