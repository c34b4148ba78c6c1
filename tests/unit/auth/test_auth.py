"""Who is at the other end: anonymous, found through the session, or by a function of one's own."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from compat import auth, integration
from compat.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    AnonymousUser,
    AuthMiddleware,
    AuthMiddlewareStack,
    UserLazyObject,
    get_user,
    login,
    logout,
)
from compat.db import database_sync_to_async
from compat.exceptions import ImproperlyConfigured
from compat.lazy import empty
from compat.sessions.memory import MemorySession
from compat.settings import override
from compat.testing import ApplicationCommunicator
from compat.types import ASGIApp, Receive, Scope, Send

COOKIES = {b"none": [], b"unknown": [(b"cookie", b"sessionid=some-unknown-session-key")]}


class Account:
    """A user of a project without Django."""

    is_authenticated = True
    is_anonymous = False

    def __init__(self, id: int, name: str, password: str = "secret") -> None:
        self.id = id
        self.name = name
        self.password = password

    def get_session_auth_hash(self) -> str:
        return f"hash of {self.password}"


PEOPLE = {"1": Account(1, "eva"), "2": Account(2, "max")}


class People:
    """An authentication backend as Django's are."""

    def get_user(self, user_id: str) -> Account | None:
        return PEOPLE.get(user_id)


class WaitingPeople:
    async def get_user(self, user_id: str) -> Account | None:
        return PEOPLE.get(user_id)


@pytest.fixture(autouse=True)
def sessions_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(MemorySession, "_kept", {})
    with override(SESSION_ENGINE="compat.session_memory", AUTHENTICATION_BACKENDS=[f"{__name__}.People"]):
        yield


@pytest.fixture
def scope() -> dict[str, Any]:
    return {"type": "websocket", "session": MemorySession()}


async def report_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "scope", "scope": scope})


async def scope_inside(application: ASGIApp, scope: Scope | None = None) -> Any:
    scope = {"type": "websocket", "headers": []} if scope is None else scope
    return (await ApplicationCommunicator(application, scope).receive_output())["scope"]


# Anonymous


@pytest.mark.parametrize("headers", COOKIES.values(), ids=["no cookie", "unknown cookie"])
async def test_nobody_in_particular(headers: list[tuple[bytes, bytes]]) -> None:
    user = (await scope_inside(AuthMiddlewareStack(report_scope), {"type": "websocket", "headers": headers}))[
        "user"
    ]
    assert type(user) is UserLazyObject
    assert isinstance(user, AnonymousUser) and user.__class__ is AnonymousUser
    assert user.is_anonymous and not user.is_authenticated
    assert (user.id, user.pk, user.username, user.get_username(), str(user)) == (
        None,
        None,
        "",
        "",
        "AnonymousUser",
    )
    assert not (user.is_active or user.is_staff or user.is_superuser)
    assert not (user.has_perm("x") or user.has_perms(["x"]) or user.has_module_perms("x"))
    assert user.get_all_permissions() == set()
    assert user == AnonymousUser() and hash(user) == hash(AnonymousUser()) and user != Account(1, "eva")


async def test_without_a_cookie_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: MemorySession, key: str) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(MemorySession, "read", read)
    assert (await scope_inside(AuthMiddlewareStack(report_scope)))["user"].is_anonymous


# The middleware


async def test_the_user_is_there_before_the_application_is_called() -> None:
    session = MemorySession()
    await login({"session": session}, PEOPLE["1"])
    await session.asave()
    headers = [(b"cookie", f"sessionid={session.session_key}".encode())]
    scope = await scope_inside(AuthMiddlewareStack(report_scope), {"type": "http", "headers": headers})
    assert scope["user"]._wrapped is PEOPLE["1"]
    assert scope["user"].name == "eva"


async def test_a_session_is_needed() -> None:
    with pytest.raises(ValueError, match="AuthMiddleware cannot find session in scope"):
        await scope_inside(AuthMiddleware(report_scope))


async def test_a_user_that_is_there_already_stays() -> None:
    theirs = Account(7, "from elsewhere")
    scope = {"type": "websocket", "headers": [], "user": theirs}
    assert (await scope_inside(AuthMiddlewareStack(report_scope), scope))["user"] is theirs


async def test_faults_tests_a_user_from_further_out_is_neither_looked_up_again_nor_changed() -> None:
    """Else a token's user would get the name of the session's, wherever the object takes attributes."""

    async def looked_up(scope: Scope) -> Account:
        raise AssertionError("the user was looked up")

    session = MemorySession()
    await login({"session": session}, PEOPLE["1"])
    await session.asave()
    headers = [(b"cookie", f"sessionid={session.session_key}".encode())]
    theirs = Account(7, "from elsewhere")
    for get_user_function in (None, looked_up):
        scope = {"type": "websocket", "headers": headers, "user": theirs}
        inside = await scope_inside(AuthMiddlewareStack(report_scope, get_user_function), scope)
        assert inside["user"] is theirs and set(vars(theirs)) == {"id", "name", "password"}


async def test_the_scope_outside_is_not_changed() -> None:
    outside: Scope = {"type": "websocket", "headers": []}
    await scope_inside(AuthMiddlewareStack(report_scope), outside)
    assert set(outside) == {"type", "headers"}


def test_before_it_is_resolved_the_user_says_so() -> None:
    scope: dict[str, Any] = {"session": MemorySession()}
    AuthMiddleware(report_scope).populate_scope(scope)
    assert scope["user"]._wrapped is empty
    with pytest.raises(ValueError, match=r"Accessing scope user before it is ready\."):
        _ = scope["user"].is_anonymous


async def test_both_hooks_may_be_replaced() -> None:
    """As token middlewares of third parties do."""

    class Token(AuthMiddleware):
        def populate_scope(self, scope: Scope) -> None:
            if "user" not in scope:
                scope["user"] = UserLazyObject()

        async def resolve_scope(self, scope: Scope) -> None:
            assert scope["user"]._wrapped is empty
            scope["user"]._wrapped = await self.get_user(scope)

        async def get_user(self, scope: Scope) -> Account:
            return PEOPLE[scope["query_string"].decode()]

    scope = await scope_inside(Token(report_scope), {"type": "websocket", "query_string": b"2"})
    assert scope["user"].name == "max"


# A function of one's own


async def find(scope: Scope) -> Account | None:
    return PEOPLE.get(scope["path"])


async def find_among(people: dict[str, Account], scope: Scope) -> Account | None:
    return people.get(scope["path"])


def find_by_blocking(scope: Scope) -> Account | None:
    assert threading.current_thread() is not threading.main_thread()
    return PEOPLE.get(scope["path"])


class Finder:
    async def __call__(self, scope: Scope) -> Account | None:
        return PEOPLE.get(scope["path"])


@pytest.mark.parametrize(
    "function",
    [
        find,
        find_by_blocking,
        lambda scope: find(scope),
        functools.partial(find_among, PEOPLE),
        Finder(),
        database_sync_to_async(find_by_blocking),
    ],
    ids=["async", "plain", "lambda", "partial", "object", "database_sync_to_async"],
)
async def test_get_user_is_any_callable(function: Any) -> None:
    app = AuthMiddleware(report_scope, get_user=function)
    user = (await scope_inside(app, {"type": "websocket", "path": "1"}))["user"]
    assert type(user) is UserLazyObject and user.name == "eva"
    assert (await scope_inside(app, {"type": "websocket", "path": "nobody"}))["user"].is_anonymous


async def test_get_user_in_the_whole_stack() -> None:
    async def by_cookie(scope: Scope) -> Account | None:
        return PEOPLE.get(scope["cookies"]["id"])

    app = AuthMiddlewareStack(report_scope, get_user=by_cookie)
    scope = await scope_inside(app, {"type": "websocket", "headers": [(b"cookie", b"id=2")]})
    assert scope["user"].name == "max" and scope["session"].is_empty()


# Logging in and out


@pytest.mark.parametrize("backend", ["People", "WaitingPeople"])
async def test_who_has_logged_in_is_found(backend: str, scope: dict[str, Any]) -> None:
    with override(AUTHENTICATION_BACKENDS=[f"{__name__}.{backend}"]):
        assert isinstance(await get_user(scope), AnonymousUser)
        await login(scope, PEOPLE["1"])
        assert scope["user"] is PEOPLE["1"]
        assert await get_user(scope) is PEOPLE["1"]
    session = scope["session"]
    assert session[SESSION_KEY] == "1" and session[BACKEND_SESSION_KEY] == f"{__name__}.{backend}"
    assert session[HASH_SESSION_KEY] == "hash of secret"


async def test_logging_in_keeps_the_data_and_changes_the_key(scope: dict[str, Any]) -> None:
    session = scope["session"]
    session["basket"] = ["bread"]
    session.save()
    before = session.session_key
    await login(scope, PEOPLE["1"])
    assert session.session_key != before and session["basket"] == ["bread"]
    assert not session.exists(before)


async def test_logging_in_again_keeps_the_key(scope: dict[str, Any]) -> None:
    await login(scope, PEOPLE["1"])
    key = scope["session"].session_key
    await login(scope, PEOPLE["1"])
    assert scope["session"].session_key == key


async def test_somebody_elses_session_is_not_taken_over(scope: dict[str, Any]) -> None:
    await login(scope, PEOPLE["1"])
    scope["session"]["basket"] = ["bread"]
    await login(scope, PEOPLE["2"])
    assert "basket" not in scope["session"]
    assert await get_user(scope) is PEOPLE["2"]


async def test_the_user_may_come_from_the_scope(scope: dict[str, Any]) -> None:
    scope["user"] = PEOPLE["1"]
    await login(scope, None)
    assert await get_user(scope) is PEOPLE["1"]


async def test_a_changed_password_ends_the_session(
    scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await login(scope, PEOPLE["1"])
    monkeypatch.setattr(PEOPLE["1"], "password", "another")
    assert isinstance(await get_user(scope), AnonymousUser)
    assert scope["session"].is_empty()


async def test_a_user_that_is_gone_is_anonymous(
    scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await login(scope, PEOPLE["1"])
    monkeypatch.delitem(PEOPLE, "1")
    assert isinstance(await get_user(scope), AnonymousUser)


async def test_a_backend_that_is_no_longer_configured_knows_nobody(scope: dict[str, Any]) -> None:
    await login(scope, PEOPLE["1"])
    with override(AUTHENTICATION_BACKENDS=[]):
        assert isinstance(await get_user(scope), AnonymousUser)


async def test_logging_out(scope: dict[str, Any]) -> None:
    await login(scope, PEOPLE["1"])
    await logout(scope)
    assert isinstance(scope["user"], AnonymousUser)
    assert scope["session"].is_empty()
    assert isinstance(await get_user(scope), AnonymousUser)


async def test_logging_out_puts_no_user_where_none_was(scope: dict[str, Any]) -> None:
    await logout(scope)
    assert "user" not in scope


async def test_a_plain_dict_is_a_session_too() -> None:
    """Starlette's SessionMiddleware puts one into the scope."""
    scope: dict[str, Any] = {"session": {}}
    assert isinstance(await get_user(scope), AnonymousUser)
    await login(scope, PEOPLE["1"])
    assert await get_user(scope) is PEOPLE["1"]
    await logout(scope)
    assert scope["session"] == {}


# Errors


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: get_user({}), "Cannot find session in scope"),
        (lambda: login({}, None), "Cannot find session in scope"),
        (lambda: logout({}), "Login cannot find session in scope"),
    ],
)
async def test_without_a_session(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=f"{text}. You should wrap your consumer in SessionMiddleware."):
        await call()


async def test_login_needs_a_user(scope: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match="User must be passed as an argument or must be present in the scope"
    ):
        await login(scope, None)


@pytest.mark.parametrize("backends", [[], ["a.A", "b.B"]])
async def test_login_needs_to_know_the_backend(scope: dict[str, Any], backends: list[str]) -> None:
    with override(AUTHENTICATION_BACKENDS=backends):
        with pytest.raises(ValueError, match=r"login\(scope, user, backend='dotted\.path'\)"):
            await login(scope, PEOPLE["1"])
        await login(scope, PEOPLE["1"], backend="b.B")
    assert scope["session"][BACKEND_SESSION_KEY] == "b.B"


async def test_login_takes_the_backend_of_the_user(scope: dict[str, Any]) -> None:
    await login(scope, SimpleNamespace(id=9, backend="c.C"))
    assert scope["session"][BACKEND_SESSION_KEY] == "c.C" and scope["session"][HASH_SESSION_KEY] == ""


async def test_login_needs_a_user_with_an_id(scope: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="id or pk"):
        await login(scope, SimpleNamespace(name="nobody"))


@pytest.mark.parametrize("path", ["no.such.Backend", "compat.auth.NoSuchBackend", "NoModule"])
async def test_a_backend_that_cannot_be_imported_is_named(scope: dict[str, Any], path: str) -> None:
    with override(AUTHENTICATION_BACKENDS=[path]):
        await login(scope, PEOPLE["1"])
        with pytest.raises(ImproperlyConfigured, match=f"'{path}' cannot be imported"):
            await get_user(scope)


def test_another_name_is_an_attribute_error() -> None:
    assert not hasattr(auth, "no_such_name")


# A framework beside


class TheirUsers:
    def anonymous(self) -> str:
        return "their anonymous"

    def user_id(self, session: Any) -> str:
        return "their id"

    async def get_user(self, scope: Scope) -> str:
        return "their user"

    async def login(self, scope: Scope, user: Any, backend: str | None) -> None:
        scope["user"] = ("logged in", user, backend)

    async def logout(self, scope: Scope) -> None:
        scope["user"] = "logged out"


class Framework:
    database = None
    users = TheirUsers()


@pytest.fixture
def framework() -> Iterator[None]:
    registered = Framework()
    integration.register(registered)
    yield
    integration.unregister(registered)


@pytest.mark.usefixtures("framework")
async def test_the_users_of_a_framework_take_the_place_of_ours(scope: dict[str, Any]) -> None:
    assert await get_user(scope) == "their anonymous"
    scope["session"].save()
    assert await get_user(scope) == "their user"
    await login(scope, "x", backend="y")
    assert scope["user"] == ("logged in", "x", "y")
    await logout(scope)
    assert scope["user"] == "logged out"
    assert auth._get_user_session_key(scope["session"]) == "their id"
