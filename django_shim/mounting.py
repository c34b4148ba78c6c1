"""A Django-style project behind the routes of a FastAPI or Starlette app.

The app's router calls the project *if none of its routes match*. A ``Mount`` at "/" would hide every route
that is added after it, and ``app.mount("/", get_asgi_application())`` passes websockets to Django, which
cannot handle them.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import logging
import os
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PAGES_ONLY", "Fallback", "load_project", "mount_project", "no_websockets"]

logger = logging.getLogger("django_shim")

PAGES_ONLY = (
    "the project's pages alone are served here. Name the application that has the websockets in the "
    'settings: ASGI_APPLICATION = "mysite.asgi.application"'
)
VARIABLE = "DJANGO_SETTINGS_MODULE"


class Fallback:
    """Called by a router if no route matches: calls the project of the prefix, else the previous default."""

    def __init__(self, otherwise: ASGIApp) -> None:
        self._otherwise = otherwise
        self.projects: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_below(scope["path"], scope.get("root_path", ""))
        for prefix, project in sorted(self.projects.items(), key=lambda item: -len(item[0])):
            if prefix and path == prefix and scope["type"] == "http":
                query = scope["query_string"].decode("latin-1")
                target = f"{scope['path']}/{'?' if query else ''}{query}"
                return await RedirectResponse(target)(scope, receive, send)
            if path.startswith(f"{prefix}/"):
                # As Starlette's Mount: the path stays whole, root_path says how much of it is taken.
                inner = {**scope, "root_path": scope.get("root_path", "") + prefix}
                return await project(inner, receive, send)
        await self._otherwise(scope, receive, send)


def mount_project(app: Starlette, settings_module: str, path: str) -> None:
    """Add a project to ``app``; ``django_shim.mount`` describes it."""
    prefix = "/" + path.strip("/") if path.strip("/") else ""
    fallback = _fallback_of(app)
    if prefix in fallback.projects:
        raise RuntimeError(f"mount(path={path!r}): this app has a project there already")
    for route in app.router.routes:
        if _takes_everything(route, prefix):
            raise RuntimeError(
                f"mount(path={path!r}): nothing would reach the project, since the app has {route!r} there. "
                "Remove that route, or give mount() another path."
            )
    _choose_settings(settings_module)
    fallback.projects[prefix] = load_project(prefix)
    router: Router = app.router
    router.default = fallback


def load_project(prefix: str = "") -> ASGIApp:
    """Set up Django, import the module of ASGI_APPLICATION, and return the project as an application."""
    from django.core.asgi import get_asgi_application

    from compat.routing import ProtocolTypeRouter, get_default_application
    from compat.settings import settings

    pages: ASGIApp = get_asgi_application()
    application: Any = get_default_application() if settings.get("ASGI_APPLICATION") else pages
    branches = getattr(application, "application_mapping", None)
    http = pages if branches is not None and "http" not in branches else application
    # What startproject writes is Django's handler alone, which raises for a websocket.
    websocket = no_websockets if type(application) is type(pages) else application
    return ProtocolTypeRouter({"http": _with_static_files(http, prefix), "websocket": websocket})


async def no_websockets(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a websocket, and log the reason: the project is served without its ASGI_APPLICATION."""
    from compat.engine.refusal import refuse, shown, status_seen

    path, status = shown(scope.get("path", "")), status_seen(scope, 404)
    logger.warning("websocket %s refused with %s: %s", path, status, PAGES_ONLY)
    await refuse(scope, receive, send, 404, "Not Found")


def path_below(path: str, root_path: str) -> str:
    """Return ``path`` without ``root_path`` if that matches whole segments, else ``path`` itself.

    >>> path_below("/pre/chat/", "/pre"), path_below("/prefix/", "/pre"), path_below("/chat/", "")
    ('/chat/', '/prefix/', '/chat/')
    """
    rest = path.removeprefix(root_path)
    return rest if rest.startswith("/") else path


def _fallback_of(app: Starlette) -> Fallback:
    default = app.router.default
    return default if isinstance(default, Fallback) else Fallback(default)


def _takes_everything(route: BaseRoute, prefix: str) -> bool:
    """Return True for a route that matches any path below ``prefix``; it is tested with a random path."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": f"{prefix}/{uuid4().hex}/{uuid4().hex}/",
        "root_path": "",
        "headers": [],
    }
    return route.matches(scope)[0] is Match.FULL


def _choose_settings(settings_module: str) -> None:
    chosen = os.environ.setdefault(VARIABLE, settings_module)
    if chosen != settings_module:
        raise RuntimeError(
            f"mount(…, {settings_module!r}): {VARIABLE} is {chosen!r}, and a process has one Django project. "
            f"Mount that one, or unset the variable; to let the environment choose, write mount(app, "
            f"os.environ.get({VARIABLE!r}, {settings_module!r}))."
        )


def _with_static_files(pages: ASGIApp, prefix: str) -> ASGIApp:
    """Serve STATIC_URL with the real Django and DEBUG, as ``runserver`` does."""
    from django_shim.finder import serves_subset

    if serves_subset():
        return pages
    from django.apps import apps
    from django.conf import settings
    from django.urls import set_script_prefix

    if not (settings.DEBUG and apps.is_installed("django.contrib.staticfiles")):
        return pages
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    # STATIC_URL is read once, and is below the script prefix of that moment.
    set_script_prefix(f"{prefix}/")
    handler: ASGIApp = ASGIStaticFilesHandler(pages)
    return handler
