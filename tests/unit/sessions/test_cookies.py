"""Sessions in signed cookies: what goes out comes back, and what was changed on the way does not."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from compat.auth import AuthMiddlewareStack, login
from compat.exceptions import ImproperlyConfigured
from compat.sessions import SIGNED_COOKIES, SessionMiddlewareStack, session_store
from compat.sessions.cookies import LARGEST_COOKIE, CookieSession
from compat.settings import override
from compat.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from compat.types import Receive, Scope, Send


@pytest.fixture(autouse=True)
def signed_cookies() -> Iterator[None]:
    with override(SESSION_ENGINE="compat.session_cookies", SECRET_KEY="first"):
        yield


def saved(**data: Any) -> str:
    session = CookieSession()
    session.update(data)
    session.save()
    assert session.session_key is not None
    return session.session_key


def test_what_is_saved_is_read_by_any_process() -> None:
    key = saved(name="eva", visits=[1, 2])
    assert dict(CookieSession(key).items()) == {"name": "eva", "visits": [1, 2]}


def test_a_cookie_that_was_changed_or_invented_is_an_empty_session() -> None:
    key = saved(name="eva")
    for other in (
        key[:-5] + ("A" if key[-5] != "A" else "B") + key[-4:],  # the last letter has bits that mean nothing
        f"x{key}",
        "nobody's cookie at all",
        key.swapcase(),
    ):
        session = CookieSession(other)
        assert not list(session.keys()) and session.session_key is None


@pytest.mark.parametrize("salt", [b"itsdangerous", "cookie-session", "compat.session_cookies.other"])
def test_faults_tests_what_the_same_secret_signed_for_another_use_is_no_session(salt: Any) -> None:
    """Such as the link in a mail, whose content a stranger chooses."""
    data = [3600, {"_auth_user_id": "1"}]
    elsewhere = str(URLSafeTimedSerializer("first", salt=salt).dumps(data))
    session = CookieSession(elsewhere)
    assert not list(session.keys()) and session.session_key is None
    ours = str(URLSafeTimedSerializer("first", salt="compat.session_cookies").dumps(data))
    assert dict(CookieSession(ours).items()) == data[1]  # so it is the salt that keeps it out


@pytest.mark.parametrize(
    "content",
    [7, None, "ab", [1], [1, {}, 3], [3600, ["a", "list"]], ["soon", {}], [None, {}], {"a": 1, "b": 2}],
)
def test_faults_tests_a_signed_cookie_of_another_shape_is_an_empty_session(content: Any) -> None:
    signed = str(URLSafeTimedSerializer("first", salt="compat.session_cookies").dumps(content))
    session = CookieSession(signed)
    assert not list(session.keys()) and session.session_key is None


def test_a_session_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    session = CookieSession()
    session["name"] = "eva"
    session.set_expiry(60)
    session.save()
    now = CookieSession.clock()
    monkeypatch.setattr(CookieSession, "clock", staticmethod(lambda: now + 58))
    assert CookieSession(session.session_key)["name"] == "eva"
    monkeypatch.setattr(CookieSession, "clock", staticmethod(lambda: now + 61))
    assert "name" not in CookieSession(session.session_key)


def test_secrets_are_rotated() -> None:
    key = saved(name="eva")
    with override(SECRET_KEY="second", SECRET_KEY_FALLBACKS=["first"]):
        assert CookieSession(key)["name"] == "eva"
        newer = saved(name="max")
    with override(SECRET_KEY="second", SECRET_KEY_FALLBACKS=[]):
        assert "name" not in CookieSession(key) and CookieSession(newer)["name"] == "max"


def test_a_text_is_no_list_of_secrets() -> None:
    """Was: each of its characters was a key, so anybody could sign a session."""
    with override(SECRET_KEY="e"):
        forged = saved(name="eva")
    with override(SECRET_KEY="second", SECRET_KEY_FALLBACKS="the first"):
        with pytest.raises(
            ImproperlyConfigured, match="SECRET_KEY_FALLBACKS must be a list of keys"
        ) as error:
            CookieSession(forged).load()
        assert "the first" not in str(error.value)
    with override(SECRET_KEY="second", SECRET_KEY_FALLBACKS=[""]):
        assert "name" not in CookieSession(forged)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="too large for a cookie"):
        saved(noise=random.Random(1).randbytes(LARGEST_COOKIE).hex())
    with pytest.raises(ValueError, match="JSON"):
        saved(thing=object())


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with override(SECRET_KEY=""), pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        saved(name="eva")
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    with pytest.raises(ImproperlyConfigured, match=r"channels-compat\[sessions\]"):
        saved(name="eva")


def test_an_error_names_the_engine_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    for engine in ("compat.session_cookies", SIGNED_COOKIES):
        said = f"SESSION_ENGINE = '{engine}' needs the package"
        with override(SESSION_ENGINE=engine), pytest.raises(ImproperlyConfigured, match=said):
            saved(name="eva")


def test_djangos_engine_of_that_name_is_this_one_where_django_is_not() -> None:
    with override(SESSION_ENGINE=SIGNED_COOKIES):
        assert session_store() is CookieSession


class Users:
    """An AUTHENTICATION_BACKENDS entry: users by id."""

    def get_user(self, user_id: str) -> Any:
        return User(user_id)


class User:
    is_authenticated = True

    def __init__(self, pk: str) -> None:
        self.pk = pk


async def test_who_logs_in_over_http_is_known_on_the_websocket() -> None:
    backend = f"{__name__}.Users"

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await login(scope, User("7"), backend)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "user", "pk": getattr(scope["user"], "pk", None)})

    with override(AUTHENTICATION_BACKENDS=[backend]):
        response = await HttpCommunicator(AuthMiddlewareStack(page), "GET", "/").get_response()
        ((_, header),) = response["headers"]
        assert b"HttpOnly" in header
        cookie = header.partition(b";")[0]
        communicator = WebsocketCommunicator(AuthMiddlewareStack(socket), "/", [(b"cookie", cookie)])
        assert (await communicator.receive_output())["pk"] == "7"


async def test_a_session_that_is_only_read_sends_no_cookie() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["session"].aget("name")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    cookie = [(b"cookie", f"sessionid={saved(name='eva')}".encode())]
    response = await HttpCommunicator(SessionMiddlewareStack(page), "GET", "/", headers=cookie).get_response()
    assert response["headers"] == []


async def test_an_unknown_cookie_is_nobodys_session() -> None:
    async def report(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "name", "name": await scope["session"].aget("name")})

    scope = {"type": "websocket", "headers": [(b"cookie", b"sessionid=forged.by.me")]}
    assert (await ApplicationCommunicator(SessionMiddlewareStack(report), scope).receive_output())[
        "name"
    ] is None
