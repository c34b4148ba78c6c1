"""channels.middleware, channels.sessions, channels.auth, channels.db."""

from unittest import mock

from channels import auth, db, sessions
from channels.auth import AuthMiddleware, AuthMiddlewareStack, get_user, login, logout
from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from channels.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack
from channels.testing import ApplicationCommunicator, HttpCommunicator
from django.contrib.auth.models import AnonymousUser
from django.utils.functional import LazyObject, empty


async def report(scope, receive, send):
    await send({"type": "scope", "scope": scope})


async def scope_in(stack, scope, timeout=5):
    return (await ApplicationCommunicator(stack(report), scope).receive_output(timeout))["scope"]


def ws(*headers, **keys):
    return {"type": "websocket", "path": "/", "headers": list(headers), **keys}


async def cookies(tell):
    for header in (b"a=1; b=2", b"a=1; bad; c=", b'a="q\\"x"', b"a=1; a=2", b"a=%20; ;", b"", b"=x"):
        scope = await scope_in(CookieMiddleware, ws((b"cookie", header)))
        tell(f"cookies of {header!r}", sorted(scope["cookies"].items()))
    tell("no cookies", (await scope_in(CookieMiddleware, ws()))["cookies"])
    await tell.awaits("no headers", scope_in(CookieMiddleware, {"type": "x"}, 1))
    for arguments in (
        {},
        {"max_age": None},
        {"path": "/x", "domain": "example.com", "secure": True, "httponly": True},
        {"samesite": "none"},
        {"samesite": "Strict"},
        {"samesite": "other"},
    ):
        message = {"headers": []}
        tell.calls(
            f"set_cookie {arguments}", CookieMiddleware.set_cookie, message, "key", "value", **arguments
        )
        tell("header", message["headers"])
    message = {}
    CookieMiddleware.delete_cookie(message, "key")
    tell("delete_cookie", message["headers"])


async def session(tell):
    await tell.awaits("session without cookies", scope_in(SessionMiddleware, ws(), 1))
    kept = (await scope_in(SessionMiddlewareStack, ws()))["session"]
    tell("session kept", (await scope_in(SessionMiddlewareStack, ws(session=kept)))["session"] is kept)
    scope = await scope_in(SessionMiddlewareStack, ws())
    tell("stand-in", [isinstance(scope["session"], LazyObject), scope["session"].session_key])
    for status, change in ((200, True), (200, False), (500, True)):

        async def app(scope, receive, send, status=status, change=change):
            if change:
                await scope["session"].aset("a", 1)
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        response = await HttpCommunicator(SessionMiddlewareStack(app), "GET", "/").get_response()
        names = [value.partition(b"=")[0] for _, value in response["headers"]]
        attributes = [
            sorted(p.partition(b"=")[0] for p in v.split(b"; ")[1:]) for _, v in response["headers"]
        ]
        tell(f"status {status}, changed {change}", [names, attributes])
    tell(
        "wrapper",
        [
            sessions.InstanceSessionWrapper.save_message_types,
            sessions.InstanceSessionWrapper.cookie_response_message_types,
        ],
    )


async def users(tell):
    await tell.awaits("auth without session", scope_in(AuthMiddleware, ws(), 1))
    user = (await scope_in(AuthMiddlewareStack, ws()))["user"]
    tell(
        "anonymous",
        [
            type(user).__name__,
            isinstance(user, AnonymousUser),
            user.is_anonymous,
            user.is_authenticated,
            user.id,
            user.pk,
            str(user),
            user.username,
            user == AnonymousUser(),
        ],
    )
    mine = object()
    populated = {"session": {}, "user": mine}
    AuthMiddleware(report).populate_scope(populated)
    tell("a user that is there stays", populated["user"] is mine)
    scope = {"session": {}}
    AuthMiddleware(report).populate_scope(scope)
    tell("not yet", [scope["user"]._wrapped is empty, type(scope["user"]) is auth.UserLazyObject])
    tell.calls("too early", lambda: scope["user"].is_anonymous)
    await tell.awaits("get_user without session", get_user({}))
    await tell.awaits("login without session", login({}, AnonymousUser()))
    await tell.awaits("logout without session", logout({}))
    await tell.awaits("login of nobody", login({"session": {}}, None))
    inner = AuthMiddlewareStack(report)
    tell("stack", [type(layer).__name__ for layer in (inner, inner.inner, inner.inner.inner)])
    tell("inside", inner.inner.inner.inner is report)


async def script(tell):
    class Adds(BaseMiddleware):
        async def __call__(self, scope, receive, send):
            scope["added"] = True
            return await super().__call__(scope, receive, send)

    outer = ws()
    scope = await scope_in(Adds, outer)
    tell("BaseMiddleware", [scope["added"], scope is outer])
    await cookies(tell)
    await session(tell)
    await users(tell)

    class Rows:
        @database_sync_to_async
        def count(self, add=0):
            return 2 + add

        @database_sync_to_async
        def fails(self):
            raise ZeroDivisionError

    await tell.awaits("a method", Rows().count(add=1))
    await tell.awaits("a method that raises", Rows().fails())
    await tell.awaits("a call", database_sync_to_async(max)(1, 2))
    await tell.awaits("elsewhere", database_sync_to_async(max, thread_sensitive=False)(1, 2))
    with mock.patch("channels.db.close_old_connections") as closing:
        await db.database_sync_to_async(max)(1, 2)
        tell("closed before and after", closing.call_count)
        await db.aclose_old_connections()
        tell("and by hand", closing.call_count)
    tell("its type", [db.database_sync_to_async is db.DatabaseSyncToAsync])
