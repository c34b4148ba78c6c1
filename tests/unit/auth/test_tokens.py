"""Users by token: three places to look, one answer, and nothing in a log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from compat.auth import AuthMiddlewareStack
from compat.auth.tokens import Header, Place, Query, Subprotocol, TokenAuthMiddleware
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.middleware import BaseMiddleware
from compat.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from compat.types import Receive, Scope, Send
from tests.support.clients import Client, Refused
from tests.support.servers import LiveServer

GOOD = "a-good.token_1"
ALL: tuple[Place, ...] = (Header(), Query(), Subprotocol())


class User:
    is_authenticated = True
    is_anonymous = False
    name = "eva"


async def user_of(token: str) -> User | None:
    if token == "raises":
        raise LookupError(token)
    return User() if token == GOOD else None


class Who(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        user = self.scope["user"]
        await self.send_json([getattr(user, "name", "nobody"), list(self.scope["subprotocols"])])


def app(places: Sequence[Place] = ALL, **options: Any) -> TokenAuthMiddleware:
    return TokenAuthMiddleware(Who.as_asgi(), user_of, places=places, **options)


async def answer(application: Any, path: str = "/", **options: Any) -> tuple[Any, Any]:
    communicator = WebsocketCommunicator(application, path, **options)
    connected, subprotocol = await communicator.connect()
    assert connected
    said = await communicator.receive_json_from()
    await communicator.disconnect()
    return said, subprotocol


AUTHORIZATION = [(b"authorization", f"Bearer {GOOD}".encode())]


async def test_from_the_header() -> None:
    assert await answer(app(), headers=AUTHORIZATION) == (["eva", []], None)
    other = [(b"x-token", GOOD.encode())]
    assert (await answer(app([Header("X-Token", scheme="")]), headers=other))[0][0] == "eva"
    basic = [(b"authorization", f"Basic {GOOD}".encode())]
    assert (await answer(app(), headers=basic))[0][0] == "nobody"


async def test_from_the_query_string() -> None:
    assert (await answer(app(), f"/?a=1&token={GOOD}"))[0][0] == "eva"
    assert (await answer(app([Query("key")]), f"/?key={GOOD.replace('-', '%2D')}"))[0][0] == "eva"
    assert (await answer(app(), "/?token="))[0][0] == "nobody"


async def test_from_the_subprotocol_which_is_answered_and_not_shown() -> None:
    assert await answer(app(), subprotocols=["bearer", GOOD]) == (["eva", ["bearer"]], "bearer")
    assert await answer(app(), subprotocols=["chat.v2", "bearer", GOOD]) == (
        ["eva", ["chat.v2", "bearer"]],
        "bearer",
    )
    assert await answer(app(), subprotocols=["bearer"]) == (["nobody", ["bearer"]], None)


@pytest.mark.parametrize("others", [[], ["chat.v2"]])
@pytest.mark.parametrize("in_one_line", [False, True])
async def test_no_application_sees_a_token_in_a_subprotocol(others: list[str], in_one_line: bool) -> None:
    """Was: the header had it. And on a server that gives the header's lines as they are, it was not found."""
    seen: list[Scope] = []

    class Sees(Who):
        async def connect(self) -> None:
            seen.append(self.scope)
            await super().connect()

    items = [*others, "bearer", GOOD]
    headers = [(b"host", b"here"), (b"sec-websocket-protocol", ", ".join(items).encode())]
    offered = [", ".join(items)] if in_one_line else items
    application = TokenAuthMiddleware(Sees.as_asgi(), user_of)
    said, chosen = await answer(application, subprotocols=offered, headers=headers)
    assert said == ["eva", [*others, "bearer"]] and chosen == "bearer"
    kept = ", ".join((*others, "bearer")).encode()
    assert seen[0]["headers"] == [(b"host", b"here"), (b"sec-websocket-protocol", kept)]
    assert GOOD.encode() in headers[1][1], "the server's own list stays as it is"


def test_what_is_left_of_two_lines_of_a_header_is_on_one() -> None:
    """Was: on each of them."""
    lines = [(b"sec-websocket-protocol", b"bearer, token"), (b"sec-websocket-protocol", b"chat")]
    scope = {"subprotocols": ["bearer, token", "chat"], "headers": [lines[0], (b"host", b"here"), lines[1]]}
    taken = Subprotocol().taken(scope)
    assert taken["subprotocols"] == ["bearer", "chat"]
    assert taken["headers"] == [(b"sec-websocket-protocol", b"bearer, chat"), (b"host", b"here")]


async def test_a_subprotocol_of_the_consumers_choice_stays() -> None:
    class Chooses(Who):
        async def connect(self) -> None:
            await self.accept(self.scope["subprotocols"][0])

    communicator = WebsocketCommunicator(
        TokenAuthMiddleware(Chooses.as_asgi(), user_of), "/", subprotocols=["chat", "bearer", GOOD]
    )
    assert await communicator.connect() == (True, "chat")


async def test_a_plain_function_finds_users_too() -> None:
    middleware = TokenAuthMiddleware(Who.as_asgi(), lambda token: User() if token == GOOD else None)
    assert (await answer(middleware, headers=AUTHORIZATION))[0][0] == "eva"


async def test_without_a_good_token_nobody_or_the_sessions_user() -> None:
    assert (await answer(app()))[0][0] == "nobody"
    assert (await answer(app(), "/?token=stolen"))[0][0] == "nobody"

    async def session_user(scope: Scope) -> User:
        return User()

    stack = AuthMiddlewareStack(app(), get_user=session_user)
    assert (await answer(stack, "/?token=stolen"))[0][0] == "eva"


async def test_required_refuses(caplog: pytest.LogCaptureFixture) -> None:
    for path, cause in (("/", "no token in"), ("/?token=stolen", "'token' is not valid")):
        caplog.clear()
        communicator = WebsocketCommunicator(app(required=True), path)
        assert (await communicator.connect())[0] is False
        (record,) = caplog.records
        assert cause in record.getMessage() and "stolen" not in record.getMessage()
    response = await HttpCommunicator(app(required=True), "GET", "/").get_response()
    assert response["status"] == 401 and (b"www-authenticate", b"Bearer") in response["headers"]


async def test_errors_that_mean_a_bad_token_are_named() -> None:
    headers = [(b"authorization", b"Bearer raises")]
    assert (await answer(app(invalid=(LookupError,)), headers=headers))[0][0] == "nobody"
    with pytest.raises(LookupError):
        await answer(app(), headers=headers)


async def test_what_is_no_connection_is_passed_on() -> None:
    class Seen(BaseMiddleware):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "keys", "keys": sorted(scope)})

    middleware = TokenAuthMiddleware(Seen(Who.as_asgi()), user_of)
    said = await ApplicationCommunicator(middleware, {"type": "lifespan"}).receive_output()
    assert said["keys"] == ["type"]


@pytest.mark.parametrize("level", ["info", "trace"])
def test_a_servers_log_has_no_token(level: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(5 if level == "trace" else logging.INFO, logger="uvicorn")
    with LiveServer(app(required=True), log_level=level) as server:
        ways: list[dict[str, Any]] = [
            {"path": f"/ws?token={GOOD}"},
            {"path": "/ws", "headers": {"Authorization": f"Bearer {GOOD}"}},
            {"path": "/ws", "subprotocols": ["bearer", GOOD]},
        ]
        for way in ways:
            with Client(server, **way) as client:
                assert client.receive_json()[0] == "eva"
        with pytest.raises(Refused) as refused:
            Client(server, f"/ws?token={GOOD}2")
    assert refused.value.status == 401
    texts = [record.getMessage() for record in caplog.records]
    assert any("token=..." in text for text in texts), "the path is logged"
    leaks = [text for text in texts if GOOD in text]
    assert not leaks, leaks


@pytest.mark.parametrize(
    ("get_user", "places", "says"),
    [
        (None, None, r"None\): expected a function that takes a token"),
        (user_of, "header", r"places='header'.: expected a list, such as \[Header\(\)"),
        (user_of, Header(), "expected a list"),
        (user_of, {Header()}, "expected a list"),
        (user_of, [Query(), Header], r"is no place of tokens; write Header\(\)"),
        (user_of, [str], r"write Header\(\), Query"),
        (user_of, ["token"], r"'token' is no place of tokens; write Header\(\), Query\(\) or Sub"),
    ],
)
def test_what_is_no_function_or_place_is_told_at_once(get_user: Any, places: Any, says: str) -> None:
    """Was: an AttributeError at the first connection."""
    with pytest.raises(TypeError, match=says):
        TokenAuthMiddleware(Who.as_asgi(), get_user, places=places)


def test_places_of_the_applications_own() -> None:
    class Cookie:
        def find(self, scope: Scope) -> str | None:
            return None

        def taken(self, scope: Scope) -> Scope:
            return scope

    own = TokenAuthMiddleware(Who.as_asgi(), user_of, places=(Cookie(), Header()))
    assert len(own.places) == 2 and app(places=[]).places == []
