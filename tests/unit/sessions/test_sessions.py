"""Cookies in, cookies out, and the session between them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat import session_memory
from compat.exceptions import ImproperlyConfigured
from compat.sessions import (
    CookieMiddleware,
    InstanceSessionWrapper,
    SessionMiddleware,
    SessionMiddlewareStack,
    SuspiciousOperation,
)
from compat.sessions.base import SessionBase
from compat.sessions.memory import DefaultSession, MemorySession
from compat.settings import override, settings
from compat.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from compat.types import ASGIApp, Message, Receive, Scope, Send

Handler = Callable[[Any], Awaitable[Any]]


@pytest.fixture(autouse=True)
def empty_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sessions of other tests, and no warning yet about where they are kept."""
    monkeypatch.setattr(MemorySession, "_kept", {})
    monkeypatch.setattr(MemorySession, "_next_sweep", 0.0)
    with override(SESSION_ENGINE="compat.session_memory"):
        yield


async def report_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "scope", "scope": scope})


async def scope_inside(stack: Callable[[ASGIApp], ASGIApp], scope: Scope) -> Any:
    """The scope that an application inside ``stack`` gets."""
    return (await ApplicationCommunicator(stack(report_scope), scope).receive_output())["scope"]


def with_cookies(*headers: str) -> Scope:
    return {"type": "websocket", "headers": [(b"cookie", text.encode()) for text in headers]}


def page(handler: Handler, status: int = 200) -> ASGIApp:
    """An HTTP application that lets ``handler`` work on the session."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await handler(scope["session"])
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": str(body).encode()})

    return SessionMiddlewareStack(app)


async def visit(app: ASGIApp, cookie: str | None = None) -> tuple[dict[str, str], str]:
    """The Set-Cookie header's attributes (empty when there is none; "" is the value) and the body."""
    headers = [(b"cookie", cookie.encode())] if cookie else []
    response = await HttpCommunicator(app, "GET", "/", headers=headers).get_response()
    found: dict[str, str] = {}
    for name, value in response["headers"]:
        assert name == b"Set-Cookie"
        jar: SimpleCookie = SimpleCookie(value.decode())
        ((_, morsel),) = jar.items()
        found = {"": morsel.value, **{key: text for key, text in morsel.items() if text}}
    return found, response["body"].decode()


# Cookies in


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        ('a="quoted; value"', {"a": '"quoted', "": 'value"'}),
        ('a="say \\"hi\\""', {"a": 'say "hi"'}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("flag", {"": "flag"}),
        ("a=1; a=2", {"a": "2"}),
        (" ; ;a=1", {"a": "1"}),
        ("unicode=caf\u00e9", {"unicode": "caf\u00e9"}),
    ],
)
async def test_cookies_are_parsed_as_django_parses_them(header: str, cookies: dict[str, str]) -> None:
    scope: Scope = {"type": "http", "headers": [(b"cookie", header.encode("latin1"))]}
    assert (await scope_inside(CookieMiddleware, scope))["cookies"] == cookies


async def test_without_a_cookie_header_there_are_no_cookies() -> None:
    assert (await scope_inside(CookieMiddleware, with_cookies()))["cookies"] == {}


async def test_a_cookie_header_that_http2_has_split_is_joined() -> None:
    assert (await scope_inside(CookieMiddleware, with_cookies("a=1", "b=2")))["cookies"] == {
        "a": "1",
        "b": "2",
    }


async def test_a_scope_without_headers_has_no_cookies_to_parse() -> None:
    with pytest.raises(ValueError, match="type 'lifespan' without headers"):
        await scope_inside(CookieMiddleware, {"type": "lifespan"})


@given(st.binary(max_size=80))
async def test_no_cookie_header_breaks_the_middleware(header: bytes) -> None:
    scope = await scope_inside(CookieMiddleware, {"type": "http", "headers": [(b"cookie", header)]})
    assert all(isinstance(item, str) for pair in scope["cookies"].items() for item in pair)


# Cookies out


def set_cookie(*args: Any, **kwargs: Any) -> str:
    message: Message = {}
    CookieMiddleware.set_cookie(message, *args, **kwargs)
    ((name, value),) = message["headers"]
    assert name == b"Set-Cookie"
    return str(value.decode())


def test_set_cookie() -> None:
    assert set_cookie("Testing-Key", "testing-value") == "Testing-Key=testing-value; Path=/; SameSite=lax"
    assert set_cookie(
        "k", b"bytes", path="/a", domain="x.org", secure=True, httponly=True, samesite="None"
    ) == ("k=bytes; Domain=x.org; HttpOnly; Path=/a; SameSite=None; Secure")
    assert set_cookie("k", "a;b", path=None, samesite=None) == 'k="a\\073b"'


def test_set_cookie_keeps_the_headers_that_are_there() -> None:
    message: Message = {"headers": [(b"x", b"y")]}
    CookieMiddleware.set_cookie(message, "a")
    CookieMiddleware.set_cookie(message, "b")
    assert [name for name, _ in message["headers"]] == [b"x", b"Set-Cookie", b"Set-Cookie"]


def test_max_age_sets_expires_for_browsers_that_need_it() -> None:
    text = set_cookie("k", "v", max_age=100)
    assert "Max-Age=100" in text
    date = parsedate_to_datetime(text.split("expires=")[1].split(";")[0])
    assert timedelta(seconds=90) < date - datetime.now(timezone.utc) < timedelta(seconds=110)


@pytest.mark.parametrize("zone", [None, timezone.utc, timezone(timedelta(hours=5))])
def test_expires_as_a_datetime_sets_max_age(zone: timezone | None) -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=3600)
    moment = moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)
    assert "Max-Age=3600" in set_cookie("k", "v", expires=moment)


def test_expires_in_the_past_is_no_age_at_all() -> None:
    assert "Max-Age=0" in set_cookie("k", "v", expires=datetime(2001, 1, 1, tzinfo=timezone.utc))


def test_expires_as_text_is_sent_as_it_is() -> None:
    assert "expires=Thu, 01-Jan-2099 00:00:00 GMT" in set_cookie("k", expires="Thu, 01-Jan-2099 00:00:00 GMT")


@pytest.mark.parametrize("samesite", ["strict", "LAX", "None"])
def test_samesite_in_any_case(samesite: str) -> None:
    assert f"SameSite={samesite}" in set_cookie("k", samesite=samesite)


def test_another_samesite_is_refused() -> None:
    with pytest.raises(AssertionError, match="not 'sometimes'"):
        set_cookie("k", samesite="sometimes")


def test_delete_cookie() -> None:
    message: Message = {}
    CookieMiddleware.delete_cookie(message, "k", path="/a", domain="x.org")
    ((_, value),) = message["headers"]
    assert (
        value
        == b'k=""; Domain=x.org; expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=0; Path=/a; SameSite=lax'
    )


# The session in the scope


async def test_an_anonymous_session_is_empty_and_has_no_key() -> None:
    session = (await scope_inside(SessionMiddlewareStack, with_cookies()))["session"]
    assert session.session_key is None
    assert session.is_empty()
    assert not session.accessed and not session.modified
    assert session.get("anything") is None


async def test_the_cookie_finds_the_session() -> None:
    saved = MemorySession()
    await saved.aset("colour", "blue")
    await saved.asave()
    scope = with_cookies(f"sessionid={saved.session_key}")
    session = (await scope_inside(SessionMiddlewareStack, scope))["session"]
    assert isinstance(session, MemorySession)
    assert session["colour"] == "blue"


async def test_an_unknown_key_is_not_adopted() -> None:
    session = (await scope_inside(SessionMiddlewareStack, with_cookies("sessionid=chosen-by-an-attacker")))[
        "session"
    ]
    session["a"] = 1
    await session.asave()
    assert session.session_key not in (None, "chosen-by-an-attacker")


async def test_the_name_of_the_cookie_is_a_setting() -> None:
    saved = MemorySession()
    saved.create()
    with override(SESSION_COOKIE_NAME="biscuit"):
        scope = await scope_inside(SessionMiddlewareStack, with_cookies(f"biscuit={saved.session_key}"))
    assert scope["session"].session_key == saved.session_key


async def test_a_session_needs_cookies() -> None:
    with pytest.raises(ValueError, match="needs to run inside of CookieMiddleware"):
        await scope_inside(SessionMiddleware, with_cookies())


async def test_a_session_that_is_there_already_is_left_alone() -> None:
    theirs = {"from": "Starlette"}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    wrapper = InstanceSessionWrapper({"type": "http", "session": theirs}, send)
    await wrapper.resolve_session()
    await wrapper.send({"type": "http.response.start", "status": 200})
    assert wrapper.scope["session"] is theirs and not wrapper.activated
    assert sent == [{"type": "http.response.start", "status": 200}]


# Saving


async def count(session: Any) -> int:
    await session.aset("visits", await session.aget("visits", 0) + 1)
    return int(session["visits"])


async def nothing(session: Any) -> None: ...


async def test_a_changed_session_is_saved_and_its_cookie_sent() -> None:
    cookie, body = await visit(page(count))
    assert body == "1"
    assert cookie["path"] == "/" and cookie["samesite"] == "Lax" and cookie["httponly"]
    assert int(cookie["max-age"]) == 1209600 and cookie["expires"]
    _, body = await visit(page(count), f"sessionid={cookie['']}")
    assert body == "2"


async def test_an_unchanged_session_sends_no_cookie() -> None:
    first, _ = await visit(page(count))
    assert await visit(page(nothing), f"sessionid={first['']}") == ({}, "None")


async def test_unless_it_is_to_be_saved_every_time() -> None:
    first, _ = await visit(page(count))
    with override(SESSION_SAVE_EVERY_REQUEST=True):
        cookie, _ = await visit(page(nothing), f"sessionid={first['']}")
    assert cookie[""] == first[""]


async def test_an_error_page_saves_nothing() -> None:
    assert (await visit(page(count, status=500)))[0] == {}


async def test_the_cookie_has_the_attributes_of_the_settings() -> None:
    with override(
        SESSION_COOKIE_PATH="/app",
        SESSION_COOKIE_DOMAIN="example.org",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
    ):
        cookie, _ = await visit(page(count))
    del cookie[""]
    assert cookie == {"path": "/app", "domain": "example.org", "secure": True, "samesite": "Strict"}


async def test_an_emptied_session_takes_its_cookie_away_and_leaves_nothing_in_the_store() -> None:
    first, _ = await visit(page(count))
    cookie, _ = await visit(page(lambda session: session.aflush()), f"sessionid={first['']}")
    assert cookie[""] == "" and cookie["expires"].startswith("Thu, 01-Jan-1970")
    assert MemorySession._kept == {}


async def test_a_session_deleted_meanwhile_is_suspicious() -> None:
    first, _ = await visit(page(count))

    async def log_out_elsewhere(session: Any) -> None:
        await session.aset("a", 1)
        MemorySession().delete(first[""])

    with pytest.raises(SuspiciousOperation, match="deleted"):
        await visit(page(log_out_elsewhere), f"sessionid={first['']}")


async def test_a_store_without_async_methods_is_saved_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's sessions before 5.1."""

    class Old:
        modified, session_key = True, "k" * 32
        saved = False

        def __init__(self, key: str | None) -> None: ...

        def is_empty(self) -> bool:
            return False

        def save(self) -> None:
            Old.saved = True

        def get_expire_at_browser_close(self) -> bool:
            return True

    monkeypatch.setattr(session_memory, "SessionStore", Old)
    cookie, _ = await visit(page(nothing))
    assert Old.saved and cookie[""] == "k" * 32


async def test_a_websocket_saves_by_hand() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["seen"] = True
        await send({"type": "websocket.accept"})
        assert MemorySession._kept == {}
        await scope["session"].asave()
        await send({"type": "websocket.send", "text": scope["session"].session_key})

    communicator = WebsocketCommunicator(SessionMiddlewareStack(app), "/")
    assert await communicator.connect() == (True, None)
    assert communicator.response_headers == []
    assert MemorySession(str(await communicator.receive_from()))["seen"] is True
    await communicator.wait()


# The engine


class SessionStore(SessionBase):
    """This module as an engine."""


async def test_the_default_engine_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "is_set", lambda name: False)
    session = (await scope_inside(SessionMiddlewareStack, with_cookies()))["session"]
    assert isinstance(session, DefaultSession)


async def test_an_engine_of_ones_own() -> None:
    with override(SESSION_ENGINE=__name__):
        session = (await scope_inside(SessionMiddlewareStack, with_cookies()))["session"]
    assert isinstance(session, SessionStore)


@pytest.mark.parametrize("name", ["db", "cache", "cached_db", "file"])
async def test_djangos_engines_without_django_are_the_default(name: str) -> None:
    with override(SESSION_ENGINE=f"django.contrib.sessions.backends.{name}"):
        session = (await scope_inside(SessionMiddlewareStack, with_cookies()))["session"]
    assert isinstance(session, DefaultSession)


@pytest.mark.parametrize("engine", ["no.such.module", "compat.names"])
async def test_a_wrong_engine_is_named(engine: str) -> None:
    with (
        override(SESSION_ENGINE=engine),
        pytest.raises(ImproperlyConfigured, match=f"SESSION_ENGINE = '{engine}'"),
    ):
        await scope_inside(SessionMiddlewareStack, with_cookies())


def test_memory_that_nobody_chose_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(DefaultSession, "_told", False)
    with caplog.at_level(logging.WARNING, "compat.sessions"):
        DefaultSession().create()
        DefaultSession().create()
        MemorySession().create()
    (record,) = caplog.records
    assert "SESSION_ENGINE" in record.getMessage()
