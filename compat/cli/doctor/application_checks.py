"""Checks of the application: its routes, Origin checks, and the settings that protect it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.configured import faults, misspelt
from compat.consumer import AsyncConsumer, ConsumerApp
from compat.engine.refusal import listed
from compat.routing.hidden import hidden_inside
from compat.security.origin import CURE, serves_sockets
from compat.security.websocket import OriginValidator
from compat.sessions import SessionMiddleware
from compat.settings import settings

__all__ = ["CHECKS"]


def settings_wrong(subject: Subject) -> Iterator[Finding]:
    """Report settings with wrong values: the process does not start, or refuses every client."""
    for text in faults():
        if not any(text in problem.text for problem in subject.problems):
            yield error(text, "Correct it: a server does not start with it, or refuses its clients.")


def settings_misspelt(subject: Subject) -> Iterator[Finding]:
    """Report names in the settings that nothing reads, and that are nearly those of settings."""
    for name, near in misspelt():
        yield warning(f"there is no setting {name}, and nothing reads it", f"Write {near}, if you mean that.")


def no_consumers(subject: Subject) -> Iterator[Finding]:
    """Report an application in which no consumer was found."""
    if subject.app is None or subject.consumers:
        return
    if "channels" in sys.modules and not hasattr(sys.modules["channels"], "__mirror__"):
        yield error(
            f"{subject.name} runs on the real channels package, which the doctor does not examine",
            "Run it with the shim: django-shim channels-compat doctor",
        )
        return
    yield note(
        f"no consumer was found in {subject.name} ({type(subject.app).__name__}), so the checks of consumers "
        "did not run. The doctor searches routers, routes, mounts and middleware, but not functions",
        "Name the application that the server runs, as 'module:name'.",
    )


def consumer_without_as_asgi(subject: Subject) -> Iterator[Finding]:
    """Report routes to a consumer class, and HTTP routes to a consumer of websockets."""
    for part in subject.parts:
        for route in _routes(part.application):
            given, path = getattr(route, "endpoint", None), part.path + getattr(route, "path", "")
            if inspect.isclass(given) and issubclass(given, AsyncConsumer):
                name = given.__qualname__
                yield error(
                    f"the route {path!r} has the class {name} as its endpoint: every connection fails",
                    f"Use {name}.as_asgi() as the endpoint.",
                    path,
                )
            elif isinstance(given, ConsumerApp) and serves_sockets(given) and hasattr(route, "methods"):
                name = f"{given.consumer_class.__qualname__}.as_asgi()"
                yield error(
                    f"the route {path!r} is for HTTP requests, but {name} serves websockets: no client can "
                    "reach it",
                    f"app.router.add_websocket_route({path!r}, {name})",
                    path,
                )


def _routes(application: Any) -> list[Any]:
    if hasattr(application, "path"):  # the application of a Mount is a part of its own, with the full path
        return []
    routes = getattr(application, "routes", None)
    return list(routes) if isinstance(routes, list | tuple) else []


def route_hidden(subject: Subject) -> Iterator[Finding]:
    """Report routes that never run, because one with the same path stands before them."""
    for _, path in hidden_inside(subject.app) if subject.app is not None else ():
        yield error(
            f"two routes have the path {path!r}: the second never runs",
            "Remove one of them, or give it another path.",
            path,
        )


def origin_not_checked(subject: Subject) -> Iterator[Finding]:
    """Report websocket consumers that pages of any site can connect to."""
    if not settings.get("CHANNEL_ORIGIN_CHECK") or _checks_everything():
        return
    sockets = (part for part in subject.parts if serves_sockets(part.application))
    paths = [part.path or "/" for part in sockets if not part.checked]
    if paths:
        yield warning(f"the websocket consumers at {listed(paths)} have no Origin check", CURE)


def _checks_everything() -> bool:
    return settings.chosen("ALLOWED_HOSTS") and bool(settings.get("ALLOWED_HOSTS"))


def origin_check_admits_everybody(subject: Subject) -> Iterator[Finding]:
    """Report an Origin check whose list contains "*" or is empty."""
    checks = [part for part in subject.parts if isinstance(part.application, OriginValidator)]
    everybody = [part for part in checks if "*" in part.application.allowed_origins]
    everywhere = _checks_everything() and "*" in settings.get("ALLOWED_HOSTS")
    if everybody or everywhere:
        paths = listed(part.path or "/" for part in everybody) if everybody else "every consumer"
        yield warning(
            f"the Origin check of {paths} allows '*': pages of any site can open sockets there with your "
            "visitors' cookies",
            'Name your hosts: ALLOWED_HOSTS = ["example.com", ".example.com"]',
        )
    refuses_all = [part for part in checks if not part.application.allowed_origins]
    if refuses_all and not settings.get("DEBUG"):
        yield error(
            f"the Origin check of {listed(part.path or '/' for part in refuses_all)} refuses every client: "
            "its list is empty",
            'Name your hosts: ALLOWED_HOSTS = ["example.com"]',
        )


def debug_is_on(subject: Subject) -> Iterator[Finding]:
    """Report settings or an application in debug mode."""
    if settings.get("DEBUG") or getattr(subject.app, "debug", False) is True:
        yield warning(
            "debug mode is on: error pages show source code and settings to every visitor, and an empty "
            "ALLOWED_HOSTS allows localhost",
            "Set DEBUG = False in production, and remove debug=True from FastAPI or Starlette.",
        )


def sessions_in_memory(subject: Subject) -> Iterator[Finding]:
    """Report sessions in memory with several processes."""
    uses = any(isinstance(part.application, SessionMiddleware) for part in subject.parts)
    if uses and subject.workers > 1 and settings.get("SESSION_ENGINE") == "compat.session_memory":
        yield error(
            f"each of {subject.workers} processes ({subject.workers_source}) keeps its sessions in its own "
            "memory: a user who logs in at one is not logged in at the others",
            'Set SESSION_ENGINE = "compat.session_layer" (the Redis of a channel layer) or '
            '"compat.session_cookies" (signed cookies).',
        )


CHECKS = (
    settings_wrong,
    settings_misspelt,
    no_consumers,
    consumer_without_as_asgi,
    route_hidden,
    origin_not_checked,
    origin_check_admits_everybody,
    debug_is_on,
    sessions_in_memory,
)
