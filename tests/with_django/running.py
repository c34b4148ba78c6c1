"""Runs one function of a module of scenarios, in a process of its own that has Django: ``main(__name__)``.

A scenario is a function without parameters whose name begins with ``scenario_``. What its name says next
decides what it finds: ``unconfigured`` no settings, ``unready`` no ``django.setup()``, ``unmigrated`` no
tables; any other finds Django's own tables in a database of its own. The module's SETTINGS, if it has any,
are added to those here.
"""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings

__all__ = ["main", "make_user", "nothing", "scope_inside", "visit"]

SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["example.org"],
    "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "channels",
    ],
    "SECRET_KEY": "first",
}

Handler = Callable[[Any], Awaitable[Any]]


def main(module: str) -> None:
    """Run the scenario that the command line names."""
    name = sys.argv[1]
    scenarios = sys.modules[module]
    scenario = getattr(scenarios, name)
    _prepare(
        name.removeprefix("scenario_").partition("_")[0], {**SETTINGS, **getattr(scenarios, "SETTINGS", {})}
    )
    if inspect.iscoroutinefunction(scenario):
        asyncio.run(scenario())
    else:
        scenario()
    print("ok")


def _prepare(state: str, values: dict[str, Any]) -> None:
    if state == "unconfigured":
        return
    settings.configure(**values)
    if state == "unready":
        return
    django.setup()
    if state == "unmigrated":
        return
    from django import db
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    db.connections.close_all()


async def scope_inside(stack: Any, headers: list[tuple[bytes, bytes]]) -> Any:
    from compat.testing import ApplicationCommunicator

    async def report(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "scope", "scope": scope})

    scope = {"type": "websocket", "headers": headers}
    communicator = ApplicationCommunicator(stack(report), scope)
    return (await communicator.receive_output(timeout=10))["scope"]


async def visit(handler: Handler, cookie: str = "", status: int = 200) -> tuple[str, Any]:
    """The session cookie that an HTTP consumer sends back ("" for none), and the scope that it had."""
    from compat.auth import AuthMiddlewareStack
    from compat.consumer import AsyncConsumer
    from compat.testing import HttpCommunicator

    scopes: list[Any] = []

    class Page(AsyncConsumer):
        async def http_request(self, message: Any) -> None:
            scopes.append(self.scope)
            await handler(self.scope)
            await self.send({"type": "http.response.start", "status": status, "headers": []})
            await self.send({"type": "http.response.body", "body": b""})

    headers = [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode())] if cookie else []
    communicator = HttpCommunicator(AuthMiddlewareStack(Page.as_asgi()), "GET", "/", headers=headers)
    response = await communicator.get_response(timeout=10)
    sent = [value.decode().partition(";")[0].partition("=")[2] for _, value in response["headers"]]
    return (sent[0] if sent else ""), scopes[0]


async def nothing(scope: Any) -> None: ...


async def make_user(name: str = "eva") -> Any:
    from django.contrib.auth.models import User

    return await sync_to_async(User.objects.create_user)(name, password="secret")
