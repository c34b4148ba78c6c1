"""Who may look: the application's own function, or ``staff`` or ``basic``, and pages of this site alone."""

from __future__ import annotations

import base64
import hmac
import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from compat.engine.refusal import shown
from compat.security.bearer import secret_bytes
from compat.security.dependencies import makes_one, refuses_by_none, require_called

__all__ = ["Authenticate", "Guard", "basic", "staff"]

UNAUTHORIZED, FORBIDDEN = 401, 403
Authenticate = Callable[[Request], "str | Awaitable[str | None] | None"]
"""Returns the name of who asks if they may look, else None; it may raise an HTTPException."""


@refuses_by_none
async def staff(request: Request) -> str | None:
    """Admit users with ``is_staff`` (and ``is_active``), by their key.

    The user is that of the scope, which ``AuthMiddlewareStack`` or Starlette's AuthenticationMiddleware sets.
    """
    user = request.scope.get("user")
    if not getattr(user, "is_staff", False) or not getattr(user, "is_active", True):
        return None
    return str(getattr(user, "pk", user))


@makes_one
def basic(name: str, password: str) -> Authenticate:
    """Admit whoever sends this name and this password by HTTP Basic, which browsers ask for.

    Use it behind TLS alone. Raises ValueError for a name or password that is empty or not ASCII.
    """
    whose = secret_bytes("basic(name, …)", name)
    known = whose + b":" + secret_bytes("basic(…, password)", password)

    async def authenticate(request: Request) -> str | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            sent = base64.b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
        except ValueError:
            sent = b""
        if hmac.compare_digest(sent, known):
            return whose.decode()
        challenge = {"WWW-Authenticate": 'Basic realm="live", charset="UTF-8"'}
        raise HTTPException(UNAUTHORIZED, "The name or the password is missing, or another one", challenge)

    return authenticate


class Guard:
    """Decides about each request to the page."""

    def __init__(self, authenticate: Authenticate) -> None:
        require_called(authenticate, "page()")
        if not callable(authenticate):
            raise TypeError(
                f"page(authenticate={authenticate!r}): expected what decides who may look: staff, "
                "basic(name, password), or a function that takes the request and returns a name or None"
            )
        self._authenticate = authenticate

    async def who(self, request: Request, *, from_elsewhere: bool = False) -> str:
        """Return the name of who asks; raise HTTPException if they may not.

        ``from_elsewhere``: a link of another site may lead here.
        """
        if not from_elsewhere and (problem := _foreign(request)):
            raise HTTPException(FORBIDDEN, problem)
        name: Any
        if inspect.iscoroutinefunction(self._authenticate):
            name = await self._authenticate(request)
        else:
            name = await run_in_threadpool(self._authenticate, request)
            if inspect.isawaitable(name):
                name = await name
        if name is None or name == "" or name is False:
            raise HTTPException(FORBIDDEN, "Who asks may not look at this page")
        if not isinstance(name, str):
            raise TypeError(
                f"authenticate returned {name!r}: expected the name of who may look, for the log, or None"
            )
        return name


def _foreign(request: Request) -> str:
    """Return what is wrong if a page of another site asks, else nothing."""
    site = request.headers.get("sec-fetch-site", "none")
    if site == "same-origin":
        return ""  # a browser says so; a proxy may have changed the Host
    if site != "none":
        return f"Pages of other sites may not ask here (Sec-Fetch-Site: {shown(site, 40)})"
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is None or _host(origin) == host.lower():
        return ""
    return (
        f"The page's Origin is {shown(origin)} and the request's Host {shown(host)}. If they are one site, "
        "the proxy between does not pass the Host on"
    )


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
