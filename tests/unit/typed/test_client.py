"""The client made of the consumers' own classes, against a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.security.websocket import OriginValidator
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    ErrorMessage,
    PingMessage,
    PongMessage,
    UserAuthenticator,
    ws_handler,
)
from compat.typed.client import (
    Client,
    ClientError,
    ConnectionLost,
    MessageRefused,
    TopicClient,
    UnknownMessage,
    connect,
)
from tests.support.servers import Address, LiveServer
from tests.unit.typed.room import Alert, Fail, Line, Note, Room, Said, Say
from tests.unit.typed.test_topics import Console, RunTopic, TeamTopic


class Camel(Room):
    groups = ["camel"]
    camelize = True
    discriminator_field = "kind"


class Ending(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def note(self, message: Note) -> None:
        await self.close(message.payload)

    @ws_handler
    async def unannounced(self, message: PingMessage) -> None:
        await self.send_message(PongMessage())


class Members(Room):
    authenticator_class = UserAuthenticator


class Listing(Ending):
    @ws_handler
    async def note(self, message: Note) -> None:
        await self.send_json([message.payload])


class Once(Console):
    """Answers a second ``subscribe`` with a message of the topic; an error, the end or nothing follows."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        name = content["topic"]
        if name not in self.subscriptions or content["action"] != "subscribe":
            await super().receive_json(content, **kwargs)
            return
        await self.send_topic_message(name, Said(payload=Line(text="meanwhile")))
        if name.endswith("closed"):
            await self.close()
        elif not name.endswith("mute"):
            await self.send_json({**content, "action": "error", "payload": {"detail": "once only"}})


class Refusing(Room):
    async def connect(self) -> None:
        await self.close()


CONSUMERS: dict[str, type[AsyncJsonWebsocketConsumer[Any]]] = {
    "room": Room,
    "camel": Camel,
    "ending": Ending,
    "listing": Listing,
    "console": Console,
    "members": Members,
    "no": Refusing,
    "once": Once,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    register_channel_layer("default", InMemoryChannelLayer())
    routes = [WebSocketRoute(f"/{name}", consumer.as_asgi()) for name, consumer in CONSUMERS.items()]
    routes.append(WebSocketRoute("/run/{run_id}", RunTopic.as_consumer().as_asgi()))
    routes.append(WebSocketRoute("/checked", OriginValidator(Room.as_asgi(), ["127.0.0.1"])))
    with LiveServer(Starlette(routes=routes)) as live:
        yield live
    unregister_channel_layer("default")


@asynccontextmanager
async def client_of(server: Address, name: str) -> AsyncIterator[Client]:
    async with connect(CONSUMERS[name], server.ws(f"/{name}"), proxy=None) as client:
        yield client


async def test_messages_and_answers(server: Address) -> None:
    async with client_of(server, "room") as client:
        assert await client.request(PingMessage(), PongMessage) == PongMessage()
        await client.send(Say(payload=Line(text="💬")))
        said: Said = await client.receive_a(Said)
        assert said.payload.text == "💬"
        assert await client.request(Note(payload={"a": [1]}), Note) == Note(payload={"a": [1]})


async def test_what_else_comes_is_kept(server: Address) -> None:
    async with client_of(server, "room") as client:
        for text in "abc":
            await client.send(Say(payload=Line(text=text)))
        await client.request(PingMessage(), PongMessage)
        await client.send(PingMessage())
        assert await client.receive_a(PongMessage) == PongMessage()
        texts = [
            message.payload.text for _ in range(3) if isinstance(message := await client.receive(), Said)
        ]
        assert texts == ["a", "b", "c"]


async def test_what_nobody_receives_does_not_grow_without_end(server: Address) -> None:
    async with client_of(server, "room") as client:
        client.max_unread = 3
        for text in "abc":
            await client.send(Say(payload=Line(text=text)))
        assert await client.request(PingMessage(), PongMessage) == PongMessage()
        await client.send(Say(payload=Line(text="d")))
        with pytest.raises(ClientError, match=r"3 messages wait: call receive\(\)"):
            while True:
                await client.request(PingMessage(), PongMessage)
        with pytest.raises(ClientError, match="3 messages wait"):
            await client.send(Note())
        for _ in "abc":
            await client.receive_a(Said)
        with pytest.raises(ClientError, match="3 messages wait"):
            await client.receive()


@asynccontextmanager
async def client_of_one_that_does_not_read(*frames: str) -> AsyncIterator[Client]:
    """Its server sends ``frames`` after the first message, and answers no close until the end."""
    over = asyncio.Event()

    async def handle(socket: ServerConnection) -> None:
        await socket.recv()
        socket.transport.pause_reading()
        for frame in frames:
            await socket.send(frame)
        await over.wait()
        socket.transport.abort()

    async with serve(handle, "127.0.0.1", 0) as serving:
        port = next(iter(serving.sockets)).getsockname()[1]
        async with connect(Room, f"ws://127.0.0.1:{port}/", proxy=None, close_timeout=60) as client:
            try:
                yield client
            finally:
                over.set()


async def test_why_the_connection_ends_is_told_before_the_server_closes_it() -> None:
    """Was: a request waited for the close, and sending raised ConnectionLost meanwhile."""
    async with client_of_one_that_does_not_read(*['{"action": "pong"}'] * 4) as client:
        client.max_unread = 3
        with pytest.raises(ClientError, match="3 messages wait"):
            await client.request(PingMessage(), PongMessage)
        with pytest.raises(ClientError, match="3 messages wait"):
            await client.send(PingMessage())
        assert [await client.receive() for _ in range(3)] == [PongMessage()] * 3
        with pytest.raises(ClientError, match="3 messages wait"):
            await client.receive()


async def test_json_that_is_nested_too_deeply_is_no_normal_end() -> None:
    async with client_of_one_that_does_not_read("[" * 100_000) as client:
        await client.send(PingMessage())
        with pytest.raises(RecursionError):
            _ = [message async for message in client]


async def test_requests_side_by_side_get_their_own_answers(server: Address) -> None:
    async with client_of(server, "room") as client:
        answers = await asyncio.gather(*(client.request(Note(payload=number), Note) for number in range(50)))
    assert [answer.payload for answer in answers] == list(range(50))


async def test_errors_of_the_server(server: Address) -> None:
    async with client_of(server, "room") as client:
        with pytest.raises(MessageRefused, match="error_id") as refusal:
            await client.request(Fail(), PongMessage)
        assert set(refusal.value.payload) == {"detail", "error_id"}
        with pytest.raises(TypeError, match="expected a Said as answer"):
            await client.request(PingMessage(), Said)
        await client.send(Fail())
        assert isinstance(await client.receive(), ErrorMessage)


async def test_a_message_that_nobody_handles_is_not_sent(server: Address) -> None:
    async with client_of(server, "room") as client:
        with pytest.raises(TypeError, match=r"Room has no handler for Alert; it handles: PingMessage, Say"):
            await client.send(Alert(payload="x"))


async def test_times_are_bounded(server: Address) -> None:
    async with client_of(server, "room") as client:
        with pytest.raises(asyncio.TimeoutError):
            await client.receive(timeout=0.01)
        with pytest.raises(asyncio.TimeoutError):
            await client.request(Say(payload=Line(text="answered by a broadcast")), Said, timeout=0.01)


async def test_iterating_ends_with_the_connection(server: Address) -> None:
    async with client_of(server, "ending") as client:
        await client.send(Note(payload=1000))
        assert [message async for message in client] == []
        with pytest.raises(ConnectionLost, match="closed with 1000"):
            await client.send(Note(payload=1))


@pytest.mark.parametrize("pending", [True, False])
async def test_a_lost_connection_says_how(server: Address, pending: bool) -> None:
    async with client_of(server, "ending") as client:
        with pytest.raises(ConnectionLost) as lost:
            if pending:
                await client.request(Note(payload=4001), Note)
            else:
                await client.send(Note(payload=4001))
                async for _ in client:
                    raise AssertionError
        assert lost.value.code == 4001


async def test_what_the_consumer_does_not_say_that_it_sends(server: Address) -> None:
    async with client_of(server, "ending") as client:
        await client.send(PingMessage())
        with pytest.raises(UnknownMessage, match=r"Ending does not declare that it sends .*output_type="):
            await client.receive()


async def test_a_refused_handshake(server: Address) -> None:
    with pytest.raises(InvalidStatus):
        async with client_of(server, "no"):
            pass


@pytest.mark.parametrize(
    ("options", "admitted"),
    [
        ({}, True),
        ({"headers": {"Cookie": "a=b"}}, True),
        ({"headers": {"Origin": "http://other.example"}}, False),
        ({"headers": {"ORIGIN": "https://127.0.0.1"}}, True),
        ({"origin": "http://other.example"}, False),
        ({"origin": None}, False),
    ],
    ids=str,
)
async def test_the_origin_is_that_of_the_server(
    server: Address, options: dict[str, Any], admitted: bool
) -> None:
    connecting = connect(Room, server.ws("/checked"), proxy=None, **options)
    if admitted:
        async with connecting as client:
            assert await client.request(PingMessage(), PongMessage) == PongMessage()
    else:
        with pytest.raises(InvalidStatus, match="403"):
            async with connecting:
                pass


async def test_what_an_authenticator_sends_is_read(server: Address) -> None:
    async with client_of(server, "members") as client:
        with pytest.raises(ConnectionLost) as lost:
            while True:
                assert (await client.receive()).payload.status_code == 401
        assert lost.value.code == 4401


async def test_other_forms_on_the_wire(server: Address) -> None:
    async with client_of(server, "camel") as client:
        await client.send(Say(payload=Line(text="x", room_name="y")))
        assert (await client.receive_a(Said)).payload.room_name == "y"
        assert await client.request(PingMessage(), PongMessage) == PongMessage()


async def test_topics(server: Address) -> None:
    async with client_of(server, "console") as one, client_of(server, "console") as two:
        run = await one.subscribe_to(RunTopic, run_id=42)
        assert run.name == "run:42"
        assert (await run.receive_a(Note)).payload == "state of run:42"
        assert await run.request(Say(payload=Line(text="hi")), Said) == Said(payload=Line(text="hi"))

        team = [await client.subscribe_to(TeamTopic, team="a", member="b") for client in (one, two)]
        await team[0].send(Say(payload=Line(text="to the others")))
        assert (await team[1].receive_a(Said)).payload.text == "to the others"

        with pytest.raises(MessageRefused, match="unauthorized"):
            await one.subscribe_to(RunTopic, run_id="forbidden")
        await run.unsubscribe()
        with pytest.raises(MessageRefused, match="not_subscribed"):
            await run.request(Say(payload=Line(text="hi")), Said)
        assert await one.request(PingMessage(), PongMessage) == PongMessage()


async def test_a_topic_on_a_route_of_its_own(server: Address) -> None:
    async with connect(RunTopic.as_consumer(), server.ws("/run/7"), proxy=None) as run:
        assert (await run.receive_a(Note)).payload == "state of run:7"
        assert await run.request(Say(payload=Line(text="hi")), Said) == Said(payload=Line(text="hi"))


def test_without_websockets_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import importlib
    import sys

    real = builtins.__import__

    def fake(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "websockets":
            raise ModuleNotFoundError("No module named 'websockets'", name="websockets")
        return real(name, *args, **kwargs)

    for name in ("compat.typed.client", "compat.typed.codegen.connection"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(ImportError, match=r"pip install 'channels-compat\[server\]'"):
        importlib.import_module("compat.typed.client")


async def test_a_subscribe_that_is_given_up(server: Address) -> None:
    """Its answer comes all the same, and concerns nobody any more."""
    async with client_of(server, "console") as client:
        subscribing = asyncio.ensure_future(client.subscribe_to(RunTopic, run_id=1))
        await asyncio.sleep(0)  # it has been sent
        subscribing.cancel()
        await asyncio.wait((subscribing,))
        run = await client.subscribe_to(RunTopic, run_id=1)
        assert (await run.receive_a(Note)).payload == "state of run:1"
        reading = asyncio.ensure_future(anext(aiter(run), None))
        await run.unsubscribe()
        assert await asyncio.wait_for(reading, 15) is None, "who reads it comes to its end"
        assert isinstance(await client.subscribe_to(RunTopic, run_id=2), object)


async def test_what_is_no_message_ends_the_connection_with_an_error(server: Address) -> None:
    """Was: iterating ended as after a normal close."""
    async with client_of(server, "listing") as client:
        await client.send(Note(payload=1))
        with pytest.raises(UnknownMessage, match=r"expected a JSON object, received \[1\]"):
            _ = [message async for message in client]


async def test_a_second_subscription_leaves_the_first_when_it_fails(server: Address) -> None:
    """Was: the messages of the first were thrown away from then on."""
    say = Say(payload=Line(text="hi"))
    async with client_of(server, "console") as client:
        first: TopicClient = await client.subscribe_to(TeamTopic, team="a", member="b")
        subscribing = asyncio.ensure_future(client.subscribe_to(TeamTopic, team="a", member="b"))
        await asyncio.sleep(0)  # it has been sent
        subscribing.cancel()
        await asyncio.wait((subscribing,))
        async with client_of(server, "console") as other:
            second = await other.subscribe_to(TeamTopic, team="a", member="b")
            await second.send(say)
            assert (await first.receive_a(Said)).payload.text == "hi"


async def test_an_older_subscription_takes_nothing_from_a_newer_one(server: Address) -> None:
    async with client_of(server, "console") as client:
        old = await client.subscribe_to(RunTopic, run_id=9)
        new = await client.subscribe_to(RunTopic, run_id=9)
        await old.unsubscribe()
        assert client._topics == {"run:9": new}


@pytest.mark.parametrize(("why", "error"), [("refused", MessageRefused), ("closed", ConnectionLost)])
async def test_what_came_while_a_second_subscription_failed_is_the_firsts(
    server: Address, why: str, error: type[Exception]
) -> None:
    """Was: the first got neither the topic's messages of that time nor the end of the connection."""
    async with client_of(server, "once") as client:
        first = await client.subscribe_to(TeamTopic, team="a", member=why)
        with pytest.raises(error):
            await client.subscribe_to(TeamTopic, team="a", member=why)
        assert (await first.receive_a(Said)).payload.text == "meanwhile"
        if why == "closed":
            with pytest.raises(ConnectionLost):
                await first.receive()


async def test_a_second_subscription_that_fails_does_not_bring_back_what_has_ended(server: Address) -> None:
    async with client_of(server, "once") as client:
        first = await client.subscribe_to(TeamTopic, team="a", member="mute")
        second = asyncio.ensure_future(client.subscribe_to(TeamTopic, team="a", member="mute"))
        await asyncio.sleep(0)  # it has been sent
        await first.unsubscribe()
        second.cancel()
        await asyncio.wait((second,))
        with pytest.raises(ConnectionLost, match="unsubscribed"):
            await first.receive_a(Note)


async def test_of_several_subscriptions_that_fail_none_takes_anything_from_the_first(server: Address) -> None:
    """Was: the second, which had failed, got the messages after the third had failed, too."""
    async with client_of(server, "once") as client:
        first = await client.subscribe_to(TeamTopic, team="a", member="refused")
        others = [client.subscribe_to(TeamTopic, team="a", member="refused") for _ in range(2)]
        failures = await asyncio.gather(*others, return_exceptions=True)
        assert [type(one) for one in failures] == [MessageRefused] * 2
        for _ in range(2):
            assert (await first.receive_a(Said)).payload.text == "meanwhile"
        await client.close()
        with pytest.raises(ConnectionLost):
            await first.receive()


async def test_the_first_ends_whatever_becomes_of_a_second_when_a_third_succeeds(server: Address) -> None:
    async with client_of(server, "console") as client:
        first = await client.subscribe_to(TeamTopic, team="a", member="b")
        reading = asyncio.ensure_future(anext(aiter(first), None))
        second, third = (
            asyncio.ensure_future(client.subscribe_to(TeamTopic, team="a", member="b")) for _ in range(2)
        )
        await asyncio.sleep(0)
        second.cancel()
        await third
        assert await asyncio.wait_for(reading, 15) is None


async def test_a_second_subscription_ends_the_first(server: Address) -> None:
    """Was: who read the first waited until the connection ended."""
    async with client_of(server, "console") as client:
        first = await client.subscribe_to(TeamTopic, team="a", member="b")
        reading = asyncio.ensure_future(anext(aiter(first), None))
        await client.subscribe_to(TeamTopic, team="a", member="b")
        assert await asyncio.wait_for(reading, 15) is None
