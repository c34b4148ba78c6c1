"""The authenticator of a typed consumer decides at each return, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from compat import metrics
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseAuthenticator,
    BaseMessage,
    event_handler,
    ws_handler,
)
from tests.support.resuming import Closed, Resuming
from tests.support.servers import LiveServer
from tests.support.waiting import until_async

USERS = {"ann-token": "ann", "eve-token": "eve"}
revoked: set[str] = set()
left: list[str] = []


class Authenticator(BaseAuthenticator):
    async def authenticate(self, scope: Any) -> bool:
        token = dict(scope["headers"]).get(b"x-token", b"").decode()
        if token not in USERS or token in revoked:
            return False
        scope["claims"] = {"sub": USERS[token]}
        return True


class Who(BaseMessage):
    action: Literal["who"] = "who"
    payload: str = ""


class Room(AsyncJsonWebsocketConsumer):
    authenticator_class = Authenticator

    @ws_handler
    async def who(self, message: Who) -> Who:
        return Who(payload=self.scope["claims"]["sub"])

    async def disconnect(self, code: int) -> None:
        left.append(self.scope["claims"]["sub"])


@pytest.fixture(autouse=True)
def _anew() -> None:
    revoked.clear()
    left.clear()


@pytest.fixture
async def ann() -> AsyncIterator[Resuming]:
    """Ann's client, whose link is lost."""
    with LiveServer(Room.as_asgi()) as server:
        client = await Resuming(server, "/", headers={"X-Token": "ann-token"}).open()
        client.cut()
        await until_async(lambda: metrics.resumable().get("parked"), "the server has noticed")
        yield client
        await client.leave()


async def asked(client: Resuming) -> Any:
    await client.send('{"action":"who"}')
    return await client.receive()


async def test_who_presents_the_same_comes_back(ann: Resuming) -> None:
    assert await ann.back() == "all"
    assert await asked(ann) == '{"action":"who","payload":"ann"}'


async def test_a_ticket_is_of_no_use_with_the_token_of_somebody_else(ann: Resuming) -> None:
    """Was: Eve was given Ann's consumer."""
    ann.headers = {"X-Token": "eve-token"}
    assert await ann.back() == "" and ann.why == "user"
    assert await asked(ann) == '{"action":"who","payload":"eve"}'
    assert not left


async def test_a_token_that_has_been_revoked_is_the_end(ann: Resuming) -> None:
    revoked.add("ann-token")
    with pytest.raises(Closed) as closed:
        await ann.back()
        await asked(ann)
    assert closed.value.code == 4401
    await until_async(lambda: left == ["ann"], "her consumer has ended")


class Listening(Room):
    channel_layer_alias = "pages"
    groups = ["news"]

    @event_handler
    async def news(self, event: Who) -> Who:
        return event


async def test_a_page_knows_no_credentials() -> None:
    """The ticket of a page without a user is good for any client that the authenticator lets in."""
    layer = InMemoryChannelLayer(history={"news": {"count": 10}})
    register_channel_layer("pages", layer)
    try:
        with LiveServer(Listening.as_asgi()) as server:
            ticket = await layer.ticket(["news"])
            await Listening.broadcast_event(Who(payload="meanwhile"), ["news"])
            client = Resuming(server, "/", headers={"X-Token": "ann-token"})
            assert await client.back(ticket=ticket, received=0) == "groups" and client.why == "page"
            assert await client.receive() == '{"action":"who","payload":"meanwhile"}'
            await client.leave()
    finally:
        unregister_channel_layer("pages")
