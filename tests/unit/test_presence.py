"""Consumers and who is here, over a real server: unchanged ones, those that track, clients that come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import httpx
import pytest
from asgiref.sync import async_to_sync
from fastapi import Depends, FastAPI

from compat.closing import close_user
from compat.fastapi import group_presence, lifespan
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import channel_layers
from compat.layers.presence import attendance
from compat.patterns import path
from compat.presence import Presence
from compat.routing import URLRouter
from compat.settings import override
from tests.support.layers import unique_prefix
from tests.support.resuming import Closed, Resuming, end_links
from tests.support.servers import LiveServer
from tests.support.waiting import until_awaited

T = TypeVar("T")
opened: list[Resuming] = []

BACKENDS = {
    "memory": "compat.layers.InMemoryChannelLayer",
    "pubsub": "compat.layers.redis.pubsub.RedisPubSubChannelLayer",
    "queue": "compat.layers.redis.core.RedisChannelLayer",
}


class User:
    """A user of Django, as far as presence knows it."""

    is_authenticated = True

    def __init__(self, pk: str) -> None:
        self.pk = pk


class Room(AsyncJsonWebsocketConsumer):
    """The room of the tutorial, which knows nothing of presence."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("chat_x", self.channel_name)
        await self.accept()
        await self.send_json(["welcome"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("chat_x", self.channel_name)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["text"])


class Hearing(Room):
    """Is told who comes and leaves."""

    async def presence_diff(self, event: dict[str, Any]) -> None:
        await self.send_json([sorted(event["joins"]), sorted(event["leaves"])])


class Own(AsyncJsonWebsocketConsumer):
    """Says itself where it is."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        what, *rest = content
        done = await getattr(self.presence, what)(*rest)
        await self.send_json(done)


class OwnSync(JsonWebsocketConsumer):
    """The same in a thread."""

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        what, *rest = content
        self.send_json(async_to_sync(getattr(self.presence, what))(*rest))


class Private(Room):
    """Shows nobody who is in it."""

    @classmethod
    async def presence_allowed(cls, scope: Any, group: str) -> bool:
        assert (scope["user"].pk, group) == ("ada", "chat_x")
        return False


class Fails(Room):
    """Cannot handle anything."""

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        raise LookupError(text_data)


class Named(Room):
    """Has had an attribute of that name for years."""

    async def connect(self) -> None:
        self.presence = "mine"  # type: ignore[assignment]
        await super().connect()
        await self.send_json([self.presence])


class WithUser:
    """Puts the user of the query string into the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        user = dict(parse_qsl(scope["query_string"].decode())).get("user")
        await self.app({**scope, "user": User(user) if user else None}, receive, send)


@pytest.fixture(params=["memory", "pubsub", pytest.param("queue", marks=pytest.mark.slow)])
async def server(
    request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LiveServer]:
    monkeypatch.setattr(attendance, "GRACE_S", 0.5)
    config: dict[str, Any] = {"presence": {"chat_*": {"key": "user", "public": True}}}
    if request.param != "memory":
        config |= {"hosts": [redis_url], "prefix": unique_prefix()}
    layers = {"default": {"BACKEND": BACKENDS[request.param], "CONFIG": config}}
    consumers: dict[str, Any] = {"room": Room, "hear": Hearing, "own": Own, "sync": OwnSync, "named": Named}
    consumers |= {"private": Private, "fails": Fails}
    app = URLRouter([path(name, consumer.as_asgi()) for name, consumer in consumers.items()])
    with override(CHANNEL_LAYERS=layers, SECRET_KEY="k" * 40, ALLOWED_HOSTS=["127.0.0.1"]):
        with LiveServer(WithUser(app)) as running:
            yield running
            for client in opened:
                await client.leave()  # a client that is only cut may come back, and a server waits for it
            opened.clear()
            await end_links()


async def enter(server: LiveServer, where: str, user: str = "") -> Resuming:
    client = await Resuming(server, f"/{where}?user={user}").open()
    opened.append(client)
    if where not in ("own", "sync"):
        assert await client.receive_json() == ["welcome"]
    return client


async def _on(server: LiveServer, call: Coroutine[Any, Any, T]) -> T:
    """Await a call on the server's event loop."""
    assert server.loop is not None
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, server.loop))


def here(server: LiveServer, group: str = "chat_x") -> Any:
    """Who is here, as the server's layer says it."""

    async def look() -> dict[str, Any]:
        call = channel_layers["default"].presence(group)
        found = await _on(server, call)
        return {key: (len(person["metas"]), person["away"]) for key, person in found.items()}

    return look


async def changes(client: Resuming, count: int) -> tuple[list[str], list[str]]:
    """The joins and leaves of the next diffs, until there are so many."""
    joins: list[str] = []
    leaves: list[str] = []
    while len(joins) + len(leaves) < count:
        joined, left = await client.receive_json()
        joins, leaves = joins + joined, leaves + left
    return joins, leaves


async def test_unchanged_consumers_are_tracked(server: LiveServer) -> None:
    ear = await enter(server, "hear", "ear")
    assert await changes(ear, 1) == (["ear"], [])
    tabs = [await enter(server, "room", "ada") for _ in range(2)]
    await enter(server, "room")
    await until_awaited(here(server), {"ear": (1, False), "ada": (2, False)})
    joins, leaves = await changes(ear, 1)
    assert set(joins) == {"ada"} and leaves == []
    for tab in tabs:
        await tab.close()
    await until_awaited(here(server), {"ear": (1, False)})
    assert (await changes(ear, 1))[1] in (["ada"], [])


async def test_a_client_that_is_cut_is_away_and_not_gone(server: LiveServer) -> None:
    tab = await enter(server, "room", "ada")
    await until_awaited(here(server), {"ada": (1, False)})
    tab.cut()
    await until_awaited(here(server), {"ada": (1, True)})
    assert await tab.back() == "all"
    await until_awaited(here(server), {"ada": (1, False)})


@pytest.mark.parametrize("where", ["own", "sync"])
async def test_a_consumer_tracks_itself(server: LiveServer, where: str) -> None:
    tab = await enter(server, where, "ada")
    for call, expected in (
        (["track", "hall", None, {"name": "Ada"}], None),
        (["list", "hall"], {"ada": {"metas": [{"name": "Ada"}], "away": False}}),
        (["untrack", "hall"], None),
        (["list", "hall"], {}),
        (["track", "hall", "countess"], None),
        (["list", "hall"], {"countess": {"metas": [{}], "away": False}}),
    ):
        await tab.send(json.dumps(call))
        assert await tab.receive_json() == expected
    await tab.close()
    await until_awaited(here(server, "hall"), {})


async def test_an_attribute_of_the_consumers_own(server: LiveServer) -> None:
    tab = await enter(server, "named", "ada")
    assert await tab.receive_json() == ["mine"]
    await until_awaited(here(server), {"ada": (1, False)})


async def test_a_person_is_sent_to_and_closed_by_the_key(server: LiveServer) -> None:
    tabs = [await enter(server, "room", "ada") for _ in range(2)]
    other = await enter(server, "room", "bob")

    layer = channel_layers["default"]
    await _on(server, layer.send_to_user("ada", {"type": "of.another.consumer"}))
    await _on(server, layer.send_to_user("ada", {"type": "chat.message", "text": "for you"}))
    for tab in tabs:
        assert await tab.receive_json() == "for you"
    await _on(server, close_user("ada", 4001))
    for tab in tabs:
        with pytest.raises(Closed, match="4001"):
            await tab.receive_json()
    await _on(server, layer.group_send("chat_x", {"type": "chat.message", "text": "still here"}))
    assert await other.receive_json() == "still here"
    await until_awaited(here(server), {"bob": (1, False)})


# Pages


async def test_an_endpoint_is_told_who_is_here() -> None:
    app = FastAPI(lifespan=lifespan)

    @app.get("/rooms/{room}")
    async def people(here: Annotated[Presence, Depends(group_presence("chat_{room}"))]) -> Any:
        return here

    route: Any = Room.as_asgi()
    app.router.add_websocket_route("/room", route)
    rule = {"chat_*": {"key": lambda scope: scope["query_string"].decode()}}
    layers = {"default": {"BACKEND": BACKENDS["memory"], "CONFIG": {"presence": rule}}}
    with override(CHANNEL_LAYERS=layers, SECRET_KEY="k" * 40, ALLOWED_HOSTS=["127.0.0.1"]):
        with LiveServer(app, lifespan="on") as running:
            client = await Resuming(running, "/room?ada").open()
            assert await client.receive_json() == ["welcome"]
            async with httpx.AsyncClient(trust_env=False, timeout=15) as http:
                answer = await http.get(running.http("/rooms/x"))
                assert answer.json() == {"ada": {"metas": [{}], "away": False}}
                assert (await http.get(running.http("/rooms/y"))).json() == {}
            await client.leave()
            await end_links()


async def test_a_page_watches_who_is_here(server: LiveServer) -> None:
    page = await enter(server, "room", "ada")
    await page.say("presence", group="chat_x")
    told = await page.told("presence")
    assert told["people"] == {"ada": {"metas": [{}], "away": False}}
    other = await enter(server, "room", "bob")
    told = await page.told("presence")
    assert told["joins"] == {"bob": {"metas": [{}], "away": False}} and told["leaves"] == {}
    await other.leave()
    assert (await page.told("presence"))["leaves"] == {"bob": {"metas": [{}], "away": False}}
    await page.say("presence", group="chat_x", on=False)
    await enter(server, "room", "eve")
    await page.pong()
    assert not page.controls
    page.cut()
    assert await page.back() == "all"
    await page.say("presence", group="chat_x")
    assert sorted((await page.told("presence"))["people"]) == ["ada", "eve"]
    assert page.frames == type(page.frames)(), "no handler of the consumer has seen any of it"


async def test_a_page_that_asks_too_often_is_answered_in_time(server: LiveServer) -> None:
    page = await enter(server, "room", "ada")
    for _ in range(100):
        await page.say("presence", group="chat_x")
    assert "people" in await page.told("presence")
    await page.pong()
    assert len(page.controls) <= 2


@pytest.mark.parametrize(
    ("where", "group", "why"),
    [("room", "hall", "not public"), ("private", "chat_x", "not allowed"), ("room", "chat_y", "not joined")],
)
async def test_a_page_may_not_watch(server: LiveServer, where: str, group: str, why: str) -> None:
    page = await enter(server, where, "ada")
    await page.say("presence", group=group)
    assert await page.told("presence") == {"type": "presence", "group": group, "refused": why}


@pytest.mark.parametrize("group", [None, 7, "", "x" * 101, ["chat_x"]])
async def test_what_is_no_question_ends_the_link(server: LiveServer, group: Any) -> None:
    page = await enter(server, "room", "ada")
    await page.say("presence", group=group)
    assert await page.closed() == 4400


async def test_a_page_may_watch_so_many_groups(server: LiveServer) -> None:
    page = await enter(server, "room", "ada")
    for number in range(40):
        await page.say("presence", group=f"chat_{number}")
    refused = [(await page.told("presence"))["refused"] for _ in range(40)]
    assert refused == ["too many"] * 8 + ["not joined"] * 32
    await page.pong()


async def test_a_page_whose_consumer_fails_leaves_nothing(server: LiveServer) -> None:
    page = await enter(server, "fails", "ada")
    await page.say("presence", group="chat_x")
    assert "people" in await page.told("presence")
    await page.send("anything")
    with pytest.raises(Closed, match="1011"):
        await page.receive()

    async def watched() -> bool:
        layer: Any = channel_layers["default"]
        attendances = layer._attendances if hasattr(layer, "_attendances") else layer._stations
        return any(getattr(one, "attendance", one).groups for one in attendances.all())

    await until_awaited(lambda: _on(server, watched()), False)
