"""Authenticators: asked before any group is joined, with a close code that says how it went."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from compat.auth.users import AnonymousUser
from compat.layers import InMemoryChannelLayer
from compat.typed import BaseAuthenticator, Credential, UserAuthenticator, config
from compat.typed.scope import path_param, path_params, query_params, scope_user
from compat.types import Scope
from tests.unit.typed.room import Note, Room, Talk


class TokenAuthenticator(BaseAuthenticator):
    credentials = (Credential("token", "query", "What you were given"),)

    async def authenticate(self, scope: Scope) -> bool:
        tokens = query_params(scope).get("token", [])
        if "broken" in tokens:
            self.status_code = 503
        scope["user"] = SimpleNamespace(is_authenticated="good" in tokens)
        await self.send_message(Note(payload=f"{len(tokens)} tokens"))
        return "good" in tokens


class Guarded(Room):
    authenticator_class = TokenAuthenticator
    seen: list[Any] = []

    async def post_authentication(self) -> None:
        self.seen.append(scope_user(self.scope))


async def test_who_is_let_in(layer: InMemoryChannelLayer) -> None:
    client = Talk(Guarded.as_asgi(), "/ws/?token=good")
    await client.open()
    assert await client.hear() == {"action": "note", "payload": "1 tokens"}
    await client.hears_nothing()
    assert Guarded.seen.pop().is_authenticated
    await client.leave()


@pytest.mark.parametrize(("query", "code"), [("", 4401), ("?token=bad", 4401), ("?token=broken", 4503)])
async def test_who_is_turned_away(layer: InMemoryChannelLayer, query: str, code: int) -> None:
    client = Talk(Guarded.as_asgi(), f"/ws/{query}")
    await client.open()
    await client.hear()
    assert await client.receive_output() == {"type": "websocket.close", "code": code}
    assert layer.groups == {} and not Guarded.seen
    await client.say({"action": "ping"})  # on its way before the client saw the close
    await client.leave()
    assert client.output_queue.empty()


def user(**attributes: Any) -> Any:
    return SimpleNamespace(**attributes)


class Members(Room):
    class authenticator_class(UserAuthenticator):
        async def permitted(self, scope: Scope) -> bool:
            return bool(scope["user"].member)


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        (user(is_authenticated=True, member=True), 200, None),
        (user(is_authenticated=True, member=False), 403, 4403),
        (user(is_authenticated=False), 401, 4401),
        (None, 401, 4401),
    ],
)
async def test_the_user_of_the_scope(
    layer: InMemoryChannelLayer, who: Any, status: int, code: int | None
) -> None:
    client = Talk(Members.as_asgi())
    if who is not None:
        client.scope["user"] = who
    await client.open()
    message = await client.hear()
    assert (message["action"], message["payload"]["status_code"]) == ("authentication", status)
    if code is None:
        await client.hears_nothing()
    else:
        assert (await client.receive_output())["code"] == code
    await client.leave()


async def test_the_authentication_message_can_be_left_out(layer: InMemoryChannelLayer) -> None:
    config.send_authentication_message = False
    try:
        client = Talk(Members.as_asgi())
        client.scope["user"] = user(is_authenticated=True, member=True)
        await client.open()
        await client.hears_nothing()
        await client.leave()
    finally:
        config.reset()


def test_what_a_scope_says() -> None:
    scope = {"url_route": {"args": (), "kwargs": {"room": "a"}}, "query_string": b"a=1&a=2&b="}
    assert path_params(scope) == {"room": "a"}
    assert path_params({"path_params": {"id": 3}}) == {"id": 3}
    assert path_param(scope, "room") == "a" and path_param(scope, "other", None) is None
    with pytest.raises(KeyError, match="has no parameter 'other'; it has: 'room'"):
        path_param(scope, "other")
    assert query_params(scope) == {"a": ["1", "2"]}
    assert query_params({"query_string": "name=J%C3%BCrgen"}) == {"name": ["Jürgen"]}
    assert query_params({"query_string": b"name=J\xc3\xbcrgen&bad=\xff"}) == {
        "name": ["Jürgen"],
        "bad": ["\N{REPLACEMENT CHARACTER}"],
    }
    assert query_params({}) == {}


def test_an_anonymous_user_is_nobody() -> None:
    assert scope_user({}) is None
    assert scope_user({"user": None}) is None
    assert scope_user({"user": AnonymousUser()}) is None
    for somebody in (user(is_authenticated=True), "ada"):
        assert scope_user({"user": somebody}) is somebody


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (None, 4401),
        (200, 4401),
        (399, 4401),
        (400, 4400),
        (401, 4401),
        (403, 4403),
        (599, 4599),
        (600, 4401),
    ],
)
async def test_faults_tests_close_code_of_an_authenticator(
    layer: InMemoryChannelLayer, status: int | None, code: int
) -> None:
    class No(BaseAuthenticator):
        async def authenticate(self, scope: Scope) -> bool:
            self.status_code = status
            return False

    class Closed(Room):
        authenticator_class = No

    client = Talk(Closed.as_asgi())
    await client.open()
    assert await client.closed() == code


async def test_a_handshake_that_is_decided_later_is_refused(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Was: a later accept() let the client in, and nobody asked the authenticator."""

    class Later(Guarded):
        async def connect(self) -> None:
            pass

    assert await Talk(Later.as_asgi(), "/ws/?token=bad").connect() == (False, 1011)
    assert "Later.connect() has neither accepted nor refused its client" in caplog.text
