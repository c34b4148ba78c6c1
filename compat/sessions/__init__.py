"""``scope["cookies"]`` and ``scope["session"]``, and the session cookie of responses.

Names and behaviour are those of ``channels.sessions``. The session is an object of the module that
``SESSION_ENGINE`` names: Django's with Django, else ours (``compat.session_cookies`` stores sessions in
signed cookies, ``compat.session_layer`` in the Redis of a channel layer, ``compat.session_memory`` in this
process).

A session is saved, and its cookie sent, at the start of an HTTP response. In a websocket consumer, save it
yourself: ``await self.scope["session"].asave()``.
"""

from __future__ import annotations

import math
import time
from datetime import datetime, timezone
from email.utils import formatdate
from http.cookies import SimpleCookie
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, overload

from compat import lazy
from compat.advice.endpoint import connection_of
from compat.advice.familiar import catchable, familiar
from compat.advice.handlers import require_application
from compat.cookies import parse_cookie
from compat.db import database_sync_to_async
from compat.exceptions import ImproperlyConfigured
from compat.sessions.base import UpdateError
from compat.sessions.cookies import CookieSession
from compat.sessions.memory import DefaultSession
from compat.settings import settings
from compat.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = [
    "CookieMiddleware",
    "InstanceSessionWrapper",
    "SessionMiddleware",
    "SessionMiddlewareStack",
    "SuspiciousOperation",
]

SAMESITE = ("strict", "lax", "none")
DJANGO_ENGINES = frozenset(
    f"django.contrib.sessions.backends.{name}" for name in ("cache", "cached_db", "db", "file")
)
SIGNED_COOKIES = "django.contrib.sessions.backends.signed_cookies"
HTTP_EPOCH = "Thu, 01-Jan-1970 00:00:00 GMT"
"""The date that deletes a cookie."""


class SuspiciousOperation(Exception):
    """A request that only a race or an attack causes; also Django's class of that name if Django is
    loaded.
    """


class CookieMiddleware:
    """Middleware that parses the cookies into ``scope["cookies"]``, a dict of strings, for HTTP and
    websockets.
    """

    def __init__(self, inner: ASGIApp) -> None:
        require_application(inner, type(self).__name__)
        self.inner = inner

    @overload
    async def __call__(self, websocket: WebSocket, /) -> None: ...

    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def __call__(self, scope: Any, receive: Any = None, send: Any = None) -> None:
        scope, receive, send = connection_of(scope, receive, send)
        if "headers" not in scope:
            raise ValueError(
                f"CookieMiddleware got a scope of type {scope.get('type')!r} without headers: only HTTP and "
                "websocket connections have cookies. Put it below the ProtocolTypeRouter."
            )
        return await self.inner({**scope, "cookies": self._cookies(scope)}, receive, send)

    @staticmethod
    def _cookies(scope: Scope) -> dict[str, str]:
        # HTTP/2 lets a client split the header (RFC 9113, 8.2.3), and some servers do not join the parts.
        headers = [value.decode("latin1") for name, value in scope["headers"] if name == b"cookie"]
        return parse_cookie("; ".join(headers)) if headers else {}

    @classmethod
    def set_cookie(
        cls,
        message: Message,
        key: str,
        value: str | bytes = "",
        max_age: float | None = None,
        expires: str | datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool | None = False,
        httponly: bool | None = False,
        samesite: str | None = "lax",
    ) -> None:
        """Add a Set-Cookie header to ``message["headers"]``.

        ``max_age``: in seconds. ``expires``: an HTTP date, or a datetime (a naive one is in UTC), from which
        ``max_age`` is computed. Raises AssertionError, as upstream does, unless ``samesite`` is strict, lax
        or none in any case.
        """
        if samesite is not None and samesite.lower() not in SAMESITE:
            raise AssertionError(f"samesite is one of 'strict', 'lax', 'none', not {samesite!r}")
        if isinstance(expires, datetime):
            max_age, expires = cls._seconds_until(expires), None
        if max_age is not None and not expires:
            expires = formatdate(time.time() + max_age, usegmt=True)  # for browsers without Max-Age
        cookie: SimpleCookie = SimpleCookie()
        cookie[key] = value.decode() if isinstance(value, bytes) else str(value)
        attributes: dict[str, Any] = {
            "expires": expires,
            "max-age": max_age,
            "path": path,
            "domain": domain,
            "secure": secure or None,
            "httponly": httponly or None,
            "samesite": samesite,
        }
        cookie[key].update({name: given for name, given in attributes.items() if given is not None})
        header = (b"Set-Cookie", cookie[key].OutputString().encode())
        message["headers"] = [*message.get("headers", ()), header]

    @classmethod
    def delete_cookie(
        cls, message: Message, key: str, path: str | None = "/", domain: str | None = None
    ) -> None:
        """Add a Set-Cookie header that deletes the cookie ``key``, which was set with the same path and
        domain.
        """
        cls.set_cookie(message, key, max_age=0, path=path, domain=domain, expires=HTTP_EPOCH)

    @staticmethod
    def _seconds_until(moment: datetime) -> int:
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return max(0, math.ceil((moment - datetime.now(timezone.utc)).total_seconds()))


class InstanceSessionWrapper:
    """The session of one connection: ``scope`` contains it, ``send`` saves it.

    If outer middleware has put a session into the scope, it is not changed, and ``activated`` is False.
    """

    save_message_types: ClassVar[list[str]] = ["http.response.start"]
    """Types of messages to the client before which a changed session is saved."""

    cookie_response_message_types: ClassVar[list[str]] = ["http.response.start"]
    """Those of these types that have headers for a cookie."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.cookie_name: str = settings.SESSION_COOKIE_NAME
        self.session_store = session_store()
        self.scope: dict[str, Any] = dict(scope)
        self.activated = "session" not in self.scope
        if self.activated:
            if "cookies" not in self.scope:
                raise ValueError(
                    "No cookies in scope - SessionMiddleware needs to run inside of CookieMiddleware."
                )
            self.scope["session"] = lazy.base()()
        self.real_send = send

    async def resolve_session(self) -> None:
        """Create the session, and put it into its stand-in; its data is read when it is first used."""
        if self.activated:
            store = self.session_store(self.scope["cookies"].get(self.cookie_name))
            lazy.fill(self.scope["session"], store)

    async def send(self, message: Message) -> None:
        """Send ``message``; before one of ``save_message_types``, save the session and add its cookie."""
        if (
            self.activated
            and message["type"] in self.save_message_types
            and message.get("status", 200) != 500
        ):
            await self._save_before(message)
        return await self.real_send(message)

    async def save_session(self) -> None:
        """Save the session; raise SuspiciousOperation if it was deleted after it was read."""
        session = self.scope["session"]
        try:
            if hasattr(session, "asave"):
                await session.asave()
            else:  # Django before 5.1
                await database_sync_to_async(session.save)()
        except catchable(UpdateError, "django.contrib.sessions.backends.base") as error:
            raise familiar(SuspiciousOperation, "django.core.exceptions")(
                "The session was deleted while its request was being answered; the user may have logged out "
                "in another tab."
            ) from error

    async def _save_before(self, message: Message) -> None:
        session = self.scope["session"]
        if not (session.modified or settings.SESSION_SAVE_EVERY_REQUEST):
            return
        empty = session.is_empty()
        if not empty:
            await self.save_session()
        if message["type"] not in self.cookie_response_message_types:
            return
        if not empty:
            self._send_cookie(message, session)
        elif self.cookie_name in self.scope["cookies"]:
            CookieMiddleware.delete_cookie(
                message,
                self.cookie_name,
                path=settings.SESSION_COOKIE_PATH,
                domain=settings.SESSION_COOKIE_DOMAIN,
            )

    def _send_cookie(self, message: Message, session: Any) -> None:
        until_browser_closes = session.get_expire_at_browser_close()
        CookieMiddleware.set_cookie(
            message,
            self.cookie_name,
            session.session_key,
            max_age=None if until_browser_closes else session.get_expiry_age(),
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=settings.SESSION_COOKIE_HTTPONLY,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )


class SessionMiddleware:
    """Middleware that puts the client's session into ``scope["session"]``; it needs CookieMiddleware around
    it.
    """

    def __init__(self, inner: ASGIApp) -> None:
        require_application(inner, type(self).__name__)
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wrapper = InstanceSessionWrapper(scope, send)
        await wrapper.resolve_session()
        return await self.inner(wrapper.scope, receive, wrapper.send)


def SessionMiddlewareStack(inner: ASGIApp) -> CookieMiddleware:
    """Return ``inner`` wrapped in cookies and a session."""
    return CookieMiddleware(SessionMiddleware(inner))


def session_store() -> Any:
    """Return the session class of ``SESSION_ENGINE``, which takes the value of the cookie or None."""
    if not settings.is_set("SESSION_ENGINE"):
        return DefaultSession
    engine = settings.SESSION_ENGINE
    try:
        module = import_module(engine)
    except ModuleNotFoundError as error:
        # The settings are Django's, and Django is not installed.
        if engine in DJANGO_ENGINES:
            return DefaultSession
        if engine == SIGNED_COOKIES:
            return CookieSession
        raise ImproperlyConfigured(f"SESSION_ENGINE = {engine!r} cannot be imported: {error}") from error
    store = getattr(module, "SessionStore", None)
    if store is None:
        raise ImproperlyConfigured(
            f"SESSION_ENGINE = {engine!r} has no class SessionStore, as 'compat.session_memory' has."
        )
    return store
