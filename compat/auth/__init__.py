"""``scope["user"]``: the user of a connection.

Names and behaviour are those of ``channels.auth``. With Django, users are Django's; without it they come from
your own AUTHENTICATION_BACKENDS (``compat.auth.users``) or from ``AuthMiddleware(get_user=…)``. A connection
without a session is anonymous, and causes no query.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compat import integration, lazy
from compat.auth.users import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    AnonymousUser,
    SessionUsers,
    call,
)
from compat.engine.contracts import SESSION_USER_KEY
from compat.engine.outage import refuse_for_outage
from compat.exceptions import LayerUnavailable
from compat.middleware import BaseMiddleware
from compat.sessions import CookieMiddleware, SessionMiddleware
from compat.types import ASGIApp, Receive, Scope, Send, is_served

if TYPE_CHECKING:

    class UserLazyObject(lazy.LazyObject):
        """A stand-in for the user in ``scope["user"]``; AuthMiddleware puts the user into it."""


__all__ = [
    "BACKEND_SESSION_KEY",
    "HASH_SESSION_KEY",
    "SESSION_KEY",
    "AnonymousUser",
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "UserLazyObject",
    "get_user",
    "login",
    "logout",
]


GetUser = Callable[[Scope], Any]
"""A function, async or plain, that takes the scope and returns the user, or None for an anonymous one. A
plain one runs in a thread.
"""

_own_users = SessionUsers()


async def get_user(scope: Scope) -> Any:
    """Return the user of ``scope["session"]``, or an AnonymousUser.

    Raises ValueError if the scope has no session.
    """
    session = _session(scope)
    users = _users()
    if hasattr(session, "is_empty") and session.is_empty():
        return users.anonymous()  # without a cookie there is no need for a query, or a thread
    user = await users.get_user(scope)
    if getattr(user, "is_authenticated", True):
        scope[SESSION_USER_KEY] = user
    return user


async def login(scope: Scope, user: Any, backend: str | None = None) -> None:
    """Store ``user`` (for None, ``scope["user"]``) in the session, and put it into the scope.

    The session gets a new key, so that a key known before the login is worthless. After a websocket message,
    save the session: ``await scope["session"].asave()``. Raises ValueError if the scope has no session, if
    there is no user, or if several backends are configured and ``backend`` is None.
    """
    _session(scope)
    if user is None:
        user = scope.get("user")
    if user is None:
        raise ValueError("User must be passed as an argument or must be present in the scope.")
    await _users().login(scope, user, backend)


async def logout(scope: Scope) -> None:
    """Empty the session, and make ``scope["user"]``, if any, anonymous.

    Raises ValueError if the scope has no session.
    """
    if "session" not in scope:
        raise ValueError(
            "Login cannot find session in scope. You should wrap your consumer in SessionMiddleware."
        )
    await _users().logout(scope)


class AuthMiddleware(BaseMiddleware):
    """Middleware that puts the user into ``scope["user"]``.

    It needs SessionMiddleware around it, or ``get_user``: a function that takes the scope and returns the
    user or None. Subclasses may override ``populate_scope`` and ``resolve_scope``.
    """

    # Not named get_user: subclasses have methods of that name.
    _user_function: GetUser | None = None

    def __init__(self, inner: ASGIApp, get_user: GetUser | None = None) -> None:
        super().__init__(inner)
        self._user_function = get_user

    def populate_scope(self, scope: Scope) -> None:
        """Put a stand-in for the user into the scope, unless it has a user."""
        if "session" not in scope and self._user_function is None:
            raise ValueError(
                "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it: use "
                "AuthMiddlewareStack, or pass your own function: AuthMiddleware(inner, get_user=…)."
            )
        if "user" not in scope:
            scope["user"] = _lazy_user_class()()

    async def resolve_scope(self, scope: Scope) -> None:
        """Load the user and put it into the stand-in."""
        stand_in = scope["user"]
        if not issubclass(type(stand_in), (lazy.LazyObject, lazy.base())):
            return  # outer middleware has set a user
        if self._user_function is None:
            lazy.fill(stand_in, await get_user(scope))
        else:
            user = await call(self._user_function, scope)
            lazy.fill(stand_in, _users().anonymous() if user is None else user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        self.populate_scope(scope)
        try:
            await self.resolve_scope(scope)
        except LayerUnavailable as error:  # the sessions are in its Redis
            if not is_served(scope) or scope.get("type") not in ("http", "websocket"):
                raise
            return await refuse_for_outage(scope, receive, send, error)
        return await super().__call__(scope, receive, send)


def AuthMiddlewareStack(inner: ASGIApp, get_user: GetUser | None = None) -> CookieMiddleware:
    """Return ``inner`` wrapped in cookies, a session and a user."""
    return CookieMiddleware(SessionMiddleware(AuthMiddleware(inner, get_user)))


def _users() -> integration.Users:
    return integration.users() or _own_users


def _session(scope: Scope) -> Any:
    if "session" not in scope:
        raise ValueError("Cannot find session in scope. You should wrap your consumer in SessionMiddleware.")
    return scope["session"]


def _get_user_session_key(session: Any) -> Any:
    """Return the user's id. The name is upstream's; packages that load users themselves import it."""
    return _users().user_id(session)


def _lazy_user_class() -> Any:
    base: Any = lazy.base()
    return _derive(base)


@functools.cache
def _derive(base: Any) -> Any:
    """Return ``UserLazyObject`` as a subclass of ``base``: Django's class if Django is loaded, else ours."""

    def _setup(self: Any) -> None:
        raise ValueError(
            "Accessing scope user before it is ready. AuthMiddleware resolves it before it calls the "
            "application inside of it; middleware of your own can await its resolve_scope(scope)."
        )

    doc = 'A stand-in for the user in scope["user"]; AuthMiddleware puts the user into it.'
    return type("UserLazyObject", (base,), {"__doc__": doc, "__module__": __name__, "_setup": _setup})


def __getattr__(name: str) -> Any:
    if name == "UserLazyObject":
        return _lazy_user_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
