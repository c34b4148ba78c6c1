"""Checks of the application as it was put together: routes, Origin, the settings that guard it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.consumer import AsyncConsumer, ConsumerApp
from compat.refusal import listed
from compat.security.coverage import CURE, serves_sockets
from compat.security.websocket import OriginValidator
from compat.sessions import SessionMiddleware
from compat.settings import settings

__all__ = ["CHECKS"]


def no_consumers(subject: Subject) -> Iterator[Finding]:
    """An application was found, and nothing in it that serves a websocket."""
    if subject.app is None or subject.consumers:
        return
    if "channels" in sys.modules and not hasattr(sys.modules["channels"], "__mirror__"):
        yield error(
            f"{subject.name} runs on the real channels package, so nothing of it could be looked at",
            "Run it with the shim: django-shim channels-compat doctor",
        )
        return
    yield note(
        f"no consumer was found in {subject.name} ({type(subject.app).__name__}): checks of consumers were "
        "left out. Routers, routes, mounts and middleware are looked into; a function's inside is not",
        "Name the application that the server is given, as 'module:name'.",
    )


def consumer_without_as_asgi(subject: Subject) -> Iterator[Finding]:
    """A route that was given the class, or a route for requests that was given a consumer of websockets."""
    for part in subject.parts:
        for route in _routes(part.application):
            given, path = getattr(route, "endpoint", None), part.path + getattr(route, "path", "")
            if inspect.isclass(given) and issubclass(given, AsyncConsumer):
                name = given.__qualname__
                yield error(
                    f"the route {path!r} has the class {name} for its application, and fails at every "
                    "connection",
                    f"Write {name}.as_asgi() there.",
                    path,
                )
            elif isinstance(given, ConsumerApp) and serves_sockets(given) and hasattr(route, "methods"):
                name = f"{given.consumer_class.__qualname__}.as_asgi()"
                yield error(
                    f"the route {path!r} is for requests, and {name} serves websockets: nobody reaches it",
                    f"app.router.add_websocket_route({path!r}, {name})",
                    path,
                )


def _routes(application: Any) -> list[Any]:
    if hasattr(application, "path"):  # a Mount: what it mounts comes by itself, with the whole path
        return []
    routes = getattr(application, "routes", None)
    return list(routes) if isinstance(routes, list | tuple) else []


def origin_not_checked(subject: Subject) -> Iterator[Finding]:
    """Consumers that pages of any site can open a socket to."""
    if not settings.get("CHANNEL_ORIGIN_CHECK") or _checks_everything():
        return
    sockets = (part for part in subject.parts if serves_sockets(part.application))
    paths = [part.path or "/" for part in sockets if not part.checked]
    if paths:
        yield warning(f"no Origin check stands in front of the websocket consumers at {listed(paths)}", CURE)


def _checks_everything() -> bool:
    return settings.chosen("ALLOWED_HOSTS") and bool(settings.get("ALLOWED_HOSTS"))


def origin_check_admits_everybody(subject: Subject) -> Iterator[Finding]:
    """An Origin check with a "*" in it, or an ALLOWED_HOSTS that is used for one."""
    checks = [part for part in subject.parts if isinstance(part.application, OriginValidator)]
    everybody = [part for part in checks if "*" in part.application.allowed_origins]
    everywhere = _checks_everything() and "*" in settings.get("ALLOWED_HOSTS")
    if everybody or everywhere:
        paths = listed(part.path or "/" for part in everybody) if everybody else "every consumer"
        yield warning(
            f"the Origin check of {paths} has a '*' in its list: pages of any site can open sockets there, "
            "with your visitors' cookies",
            'Name your hosts: ALLOWED_HOSTS = ["example.com", ".example.com"]',
        )
    refuses_all = [part for part in checks if not part.application.allowed_origins]
    if refuses_all and not settings.get("DEBUG"):
        yield error(
            f"the Origin check of {listed(part.path or '/' for part in refuses_all)} admits nobody: its list "
            "is empty",
            'Name your hosts: ALLOWED_HOSTS = ["example.com"]',
        )


def debug_is_on(subject: Subject) -> Iterator[Finding]:
    """Settings or an application in debug mode."""
    if settings.get("DEBUG") or getattr(subject.app, "debug", False) is True:
        yield warning(
            "debug mode is on: error pages show source and settings to whoever asks, and an empty "
            "ALLOWED_HOSTS admits localhost",
            "DEBUG = False in the settings of production (and no debug=True for FastAPI or Starlette).",
        )


def sessions_in_memory(subject: Subject) -> Iterator[Finding]:
    """Sessions that one process keeps, where there are several."""
    uses = any(isinstance(part.application, SessionMiddleware) for part in subject.parts)
    if uses and subject.workers > 1 and settings.get("SESSION_ENGINE") == "compat.session_memory":
        yield error(
            f"sessions are kept in the memory of each of {subject.workers} processes "
            f"({subject.workers_source}): who logs in at one is a stranger at the next",
            'SESSION_ENGINE = "compat.session_cookies" (signed cookies), or a backend of your own.',
        )


CHECKS = (
    no_consumers,
    consumer_without_as_asgi,
    origin_not_checked,
    origin_check_admits_everybody,
    debug_is_on,
    sessions_in_memory,
)
