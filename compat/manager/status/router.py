"""``status_router``: a FastAPI router with the manager's status, behind a dependency."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from compat.manager.connections.manager import ConnectionManager
from compat.manager.current import get_manager
from compat.manager.status.prometheus import CONTENT_TYPE, prometheus_text
from compat.security.dependencies import refuses_makers, require_dependency
from compat.settings import settings

__all__ = ["status_router"]


def status_router(
    dependency: Any = None, *, manager: ConnectionManager | None = None, prefix: str = "/status"
) -> Any:
    """Return a FastAPI router: ``app.include_router(status_router(Depends(is_admin)))``.

    ``GET /status`` is JSON, ``/status/metrics`` is Prometheus text (only of this server), and
    ``/status/live/`` is the page of ``compat.live``. ``dependency``, a function or ``Depends(…)``, decides
    who may see them, and raises an HTTPException for everybody else. Without it they are shown only in debug
    mode (of the app, or the setting DEBUG), and refused with 403 otherwise. ``manager``: by default
    ``get_manager()``, called at each request. Raises ImportError without FastAPI.
    """
    try:
        from fastapi import APIRouter, Depends
    except ImportError as error:
        raise ImportError(
            "status_router() makes a FastAPI router, and FastAPI is not installed; install it with: "
            "pip install 'channels-compat[fastapi]'"
        ) from error
    from compat.live import page  # a process that imports it reports and answers to others

    require_dependency(dependency, "status_router()")
    guard = Depends(only_in_debug) if dependency is None else _depends(dependency, Depends)
    guarded = APIRouter(prefix=prefix, dependencies=[refuses_makers(guard, Depends)], tags=["status"])
    looked = page(authenticate=_name)

    def the_manager() -> ConnectionManager:
        return manager if manager is not None else get_manager()

    @guarded.get("", summary="Connections, users and groups on all servers")
    async def status() -> dict[str, Any]:
        return await the_manager().status()

    @guarded.get("/metrics", summary="This server's numbers for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(prometheus_text(local_status(the_manager())), media_type=CONTENT_TYPE)

    @guarded.get("/live", include_in_schema=False)
    async def to_the_page() -> Response:
        return RedirectResponse("live/")

    @guarded.api_route("/live/{name:path}", methods=["GET", "POST"], include_in_schema=False)
    async def live(request: Request) -> Response:
        return await looked.response(request)

    return guarded


async def _name(request: Request) -> str:
    """Return the key of the user in the scope, for the audit log; the dependency has admitted them."""
    user = request.scope.get("user")
    return str(getattr(user, "pk", None) or getattr(user, "username", None) or "an administrator")


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
