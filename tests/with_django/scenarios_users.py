"""Who it is: anonymous users, logging in and out, hashes, backends."""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async

from tests.with_django.running import main, make_user, nothing, scope_inside, visit


async def scenario_unmigrated_anonymous_users_need_no_database() -> None:
    from django.contrib.auth.models import AnonymousUser

    from compat.auth import AuthMiddlewareStack

    for headers in ([], [(b"cookie", b"theme=dark")]):
        user = (await scope_inside(AuthMiddlewareStack, headers))["user"]
        assert isinstance(user, AnonymousUser) and type(user._wrapped) is AnonymousUser
        assert (user.is_anonymous, user.is_authenticated, user.id, str(user)) == (
            True,
            False,
            None,
            "AnonymousUser",
        )


def scenario_stand_ins_are_djangos() -> None:
    from django.utils.functional import LazyObject, empty

    from compat.auth import AuthMiddleware, UserLazyObject

    scope: dict[str, Any] = {"session": {}}
    AuthMiddleware(mock.Mock()).populate_scope(scope)
    assert scope["user"]._wrapped is empty
    assert type(scope["user"]) is UserLazyObject and issubclass(UserLazyObject, LazyObject)
    try:
        _ = scope["user"].is_anonymous
    except ValueError as error:
        assert "Accessing scope user before it is ready." in str(error)
    else:
        raise AssertionError("an unresolved user answered")


async def scenario_who_logs_in_over_http_is_known_on_the_websocket() -> None:
    from django.contrib.auth import user_logged_in

    from compat.auth import AuthMiddlewareStack, login
    from compat.generic.websocket import AsyncJsonWebsocketConsumer
    from compat.testing import WebsocketCommunicator

    eva = await make_user()
    heard: list[Any] = []

    def receiver(**signal: Any) -> None:
        heard.append((signal["user"], signal["request"]))

    user_logged_in.connect(receiver)
    cookie, scope = await visit(lambda scope: login(scope, eva))
    assert scope["user"] == eva and heard == [(eva, None)] and cookie
    assert await sync_to_async(lambda: type(eva).objects.get().last_login)() is not None

    class Who(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.send_json([self.scope["user"].username, self.scope["user"].is_authenticated])

    headers = [(b"cookie", f"sessionid={cookie}".encode())]
    communicator = WebsocketCommunicator(AuthMiddlewareStack(Who.as_asgi()), "/", headers)
    assert (await communicator.connect(timeout=10))[0]
    assert await communicator.receive_json_from(timeout=10) == ["eva", True]
    await communicator.disconnect(timeout=10)


async def scenario_what_tests_patch_in_channels_auth_takes_effect() -> None:
    from channels.auth import get_user, login, logout

    eva = await make_user()
    other = await make_user("max")
    backend = mock.Mock(get_user=lambda user_id: other)
    _, scope = await visit(lambda scope: login(scope, eva))
    scope = {"session": scope["session"], "user": eva}
    with mock.patch("channels.auth.load_backend", return_value=backend) as load:
        with mock.patch("channels.auth.constant_time_compare", return_value=True) as compare:
            assert await get_user(scope) == other
        assert compare.called and (await get_user(scope)).is_anonymous  # not the hash of that user
    assert load.called
    _, scope = await visit(lambda scope: login(scope, eva))
    scope = {"session": scope["session"], "user": eva}
    with mock.patch("channels.auth.get_user_model") as model:
        model.return_value._meta.pk.to_python.return_value = other.pk
        with mock.patch("channels.auth.constant_time_compare", return_value=True):
            assert await get_user(scope) == other
    with mock.patch("channels.auth.user_logged_in") as logged_in:
        await login(scope, eva)
    with mock.patch("channels.auth.user_logged_out") as logged_out:
        await logout(scope)
    assert logged_in.send.called and logged_out.send.called


async def scenario_logging_out_tells_who_and_empties_the_session() -> None:
    from django.contrib.auth import user_logged_out
    from django.contrib.auth.models import AnonymousUser
    from django.contrib.sessions.models import Session

    from compat.auth import get_user, login, logout

    eva = await make_user()
    heard: list[Any] = []

    def receiver(**signal: Any) -> None:
        heard.append(signal["user"])

    user_logged_out.connect(receiver)
    cookie, _ = await visit(lambda scope: login(scope, eva))
    cookie, scope = await visit(logout, cookie)
    assert heard == [eva] and cookie == '""'
    assert isinstance(scope["user"], AnonymousUser) and isinstance(await get_user(scope), AnonymousUser)
    assert await Session.objects.acount() == 0
    await visit(logout)
    assert heard == [eva]


async def scenario_a_logout_ends_what_waits_for_its_user() -> None:
    """Django's own over HTTP, that of a websocket, and a changed password."""
    from django.contrib import auth
    from django.contrib.auth.models import AnonymousUser
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import RequestFactory

    from compat.auth import AuthMiddlewareStack, login, logout
    from compat.generic.websocket import AsyncWebsocketConsumer
    from compat.testing import WebsocketCommunicator

    eva = await make_user()
    ended: asyncio.Queue[str] = asyncio.Queue()
    kept = []  # a communicator that is dropped ends its application

    class Waits(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            await ended.put(self.scope["path"])

    async def away(path: str) -> str:
        """The cookie of a new session, in which a client has left without a goodbye."""
        cookie, _ = await visit(lambda scope: login(scope, eva))
        headers = [(b"cookie", f"sessionid={cookie}".encode())]
        stack = AuthMiddlewareStack(Waits.as_asgi())
        gone = WebsocketCommunicator(stack, path, headers, ["channels.resume.v1"])
        kept.append(gone)
        assert (await gone.connect(timeout=10))[0]
        await gone.send_input({"type": "websocket.disconnect", "code": 1006})
        return cookie

    def view(cookie: str, user: Any = eva) -> None:
        request = RequestFactory().get("/")
        request.session, request.user = SessionStore(cookie), user
        auth.logout(request)

    over_http, over_websocket, changed = await away("/http"), await away("/websocket"), await away("/changed")
    await away("/stays")
    await sync_to_async(view)(over_http)
    assert await asyncio.wait_for(ended.get(), 10) == "/http"
    await visit(logout, over_websocket)
    assert await asyncio.wait_for(ended.get(), 10) == "/websocket"
    eva.set_password("another")
    await eva.asave()
    await visit(nothing, changed)
    assert await asyncio.wait_for(ended.get(), 10) == "/changed"
    assert ended.empty()
    deactivated = await away("/deactivated")
    await type(eva).objects.aupdate(is_active=False)
    await sync_to_async(view)(deactivated, AnonymousUser())  # as Django sees who may not log in any more
    assert await asyncio.wait_for(ended.get(), 10) == "/deactivated"


def scenario_unready_each_app_watches_logouts() -> None:
    from django.apps import AppConfig
    from django.contrib.auth.signals import user_logged_out

    from django_shim.with_django import FORWARDER

    for app in ("channels", "daphne", "django_shim.with_django"):
        assert not user_logged_out.disconnect(dispatch_uid=FORWARDER), app
        AppConfig.create(app).ready()
        assert user_logged_out.disconnect(dispatch_uid=FORWARDER), app


async def scenario_a_logout_goes_on_whatever_its_session_is() -> None:
    """A signal's receiver that raises would end it before the session is emptied."""
    from django.contrib import auth
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import RequestFactory

    from compat.auth import login
    from django_shim import with_django

    class Unreadable(SessionStore):
        def load(self) -> Any:
            raise ValueError("it is of another version")

    with_django.watch_logouts()
    eva = await make_user()
    cookie, _ = await visit(lambda scope: login(scope, eva))

    def view() -> None:
        request = RequestFactory().get("/")
        request.user = eva
        for session in (Unreadable(cookie), mock.Mock()):
            request.session = session
            auth.logout(request)
        session.flush.assert_called_once_with()
        assert not SessionStore().exists(cookie)

    await sync_to_async(view)()


async def scenario_a_changed_password_ends_the_session() -> None:
    from compat.auth import login

    eva = await make_user()
    cookie, _ = await visit(lambda scope: login(scope, eva))
    eva.set_password("another")
    await eva.asave()
    _, scope = await visit(nothing, cookie)
    assert scope["user"].is_anonymous and scope["session"].is_empty()


async def scenario_a_rotated_secret_key_keeps_the_session_and_its_key() -> None:
    """The cookie cannot follow on a websocket, so the key must not change there."""
    from django.test import override_settings

    from compat.auth import login

    eva = await make_user()
    cookie, _ = await visit(lambda scope: login(scope, eva))
    with override_settings(SECRET_KEY="second", SECRET_KEY_FALLBACKS=["first"]):
        _, scope = await visit(nothing, cookie)
        assert scope["user"] == eva and scope["session"].session_key == cookie
    with override_settings(SECRET_KEY="third", SECRET_KEY_FALLBACKS=[]):
        _, scope = await visit(nothing, cookie)
        assert scope["user"].is_anonymous


async def scenario_several_backends_must_be_told_apart() -> None:
    from django.test import override_settings

    from compat.auth import login

    eva = await make_user()
    backends = [
        f"django.contrib.auth.backends.{name}" for name in ("ModelBackend", "AllowAllUsersModelBackend")
    ]
    with override_settings(AUTHENTICATION_BACKENDS=backends):
        try:
            await visit(lambda scope: login(scope, eva))
        except ValueError as error:
            assert "multiple authentication backends" in str(error) and backends[1] in str(error)
        else:
            raise AssertionError("login() guessed")
        cookie, _ = await visit(lambda scope: login(scope, eva, backend=backends[1]))
        assert (await visit(nothing, cookie))[1]["user"] == eva
    assert (await visit(nothing, cookie))[1]["user"].is_anonymous


async def scenario_somebody_elses_session_is_not_taken_over() -> None:
    from compat.auth import _get_user_session_key, login

    eva, max_ = await make_user(), await make_user("max")

    async def log_in(scope: Any) -> None:
        await scope["session"].aset("basket", ["bread"])
        await login(scope, eva)
        assert await scope["session"].aget("basket") == ["bread"]
        key = scope["session"].session_key
        await login(scope, eva)
        assert scope["session"].session_key == key
        await login(scope, max_)
        assert await scope["session"].aget("basket") is None and scope["session"].session_key != key
        assert _get_user_session_key(scope["session"]) == max_.pk

    await visit(log_in)


def scenario_unready_apps_are_named_with_the_cure() -> None:
    from django.core.exceptions import AppRegistryNotReady

    from compat.auth import AuthMiddlewareStack

    try:
        asyncio.run(scope_inside(AuthMiddlewareStack, []))
    except AppRegistryNotReady as error:
        assert "django.setup()" in str(error)
    else:
        raise AssertionError("apps were ready")


if __name__ == "__main__":
    main(__name__)
