"""The helpers for tests: a communicator that speaks in messages, and what is published."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from compat.layers import InMemoryChannelLayer
from compat.typed import AsyncJsonWebsocketConsumer, PingMessage, PongMessage, UserAuthenticator, ws_handler
from compat.typed.testing import (
    CapturedBroadcastEvent,
    CapturedTopicBroadcast,
    WebsocketCommunicator,
    assert_broadcast,
    capture_broadcast_events,
    capture_topic_broadcasts,
)
from tests.unit.typed.room import Alert, Line, Note, Room, Said, Say
from tests.unit.typed.test_topics import Console, RunTopic, TeamTopic


class Complete(Room):
    groups = ["complete"]
    send_completion = True


class Members(Room):
    authenticator_class = UserAuthenticator


class Refusing(Room):
    async def connect(self) -> None:
        await self.close()


def communicator(consumer: Any = Room, **kwargs: Any) -> WebsocketCommunicator:
    return WebsocketCommunicator(consumer.as_asgi(), "/ws/", consumer=consumer, **kwargs)


async def test_messages_in_and_out(layer: InMemoryChannelLayer) -> None:
    async with communicator() as client:
        await client.send_message(PingMessage())
        assert await client.receive_message(PongMessage) == PongMessage()
        await client.send_message(Say(payload=Line(text="x")), ref="7")
        with pytest.raises(AssertionError, match="expected a PongMessage, received Said"):
            await client.receive_message(PongMessage)
    assert layer.groups == {}


async def test_a_refused_connection_is_a_failure(layer: InMemoryChannelLayer) -> None:
    with pytest.raises(AssertionError, match="refused"):
        async with communicator(Refusing):
            pass


async def test_all_messages_until_the_handler_is_done(layer: InMemoryChannelLayer) -> None:
    async with communicator(Complete) as client:
        await client.send_message(Note(payload=1))
        assert await client.receive_all_messages() == [Note(payload=1)]
        await client.send_message(Say(payload=Line(text="x")))
        assert await client.receive_all_messages("group_complete") == [Said(payload=Line(text="x"))]
        await Complete.broadcast_event(Alert(payload="y"))
        assert await client.receive_all_messages("event_complete") == [Said(payload=Line(text="y"))]


async def test_all_that_comes_within_a_time(layer: InMemoryChannelLayer) -> None:
    async with communicator() as client:
        for number in range(3):
            await client.send_message(Note(payload=number))
        assert [frame["payload"] for frame in await client.receive_all_json(1.5)] == [0, 1, 2]
        assert await client.receive_all_json(0.01) == []
        await client.send_message(PingMessage())  # the wait has ended nothing
        assert await client.receive_all_messages(timeout=1.5) == [PongMessage()]


async def test_waiting_ends_with_the_consumer(layer: InMemoryChannelLayer) -> None:
    class Ending(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def ping(self, message: PingMessage) -> None:
            await self.close(4000)

    client = communicator(Ending)
    await client.connect()
    await client.send_message(PingMessage())
    assert await client.receive_all_json(timeout=30) == []
    await client.disconnect()


async def test_closed_with_a_code(layer: InMemoryChannelLayer) -> None:
    client = communicator(Members)
    await client.connect()
    with pytest.raises(AssertionError, match="the authentication has the status 401"):
        await client.assert_authenticated_status_ok()
    with pytest.raises(AssertionError, match="expected the close code 1000, received 4401"):
        await client.assert_closed(1000)
    client = communicator(Members)
    await client.connect()
    assert (await client.wait_for_auth()).payload.status_text == "Unauthorized"
    await client.assert_closed(4401)
    await client.disconnect()


async def test_somebody_who_is_authenticated(layer: InMemoryChannelLayer) -> None:
    async with communicator(Members, user=SimpleNamespace(is_authenticated=True)) as client:
        await client.assert_authenticated_status_ok()
        await client.send_message(PingMessage())
        with pytest.raises(AssertionError, match="expected a close of the connection"):
            await client.assert_closed()


async def test_topics(layer: InMemoryChannelLayer) -> None:
    async with communicator(Console) as client:
        assert (await client.subscribe("run:1"))["action"] == "subscribed"
        assert await client.receive_topic_message(RunTopic) == Note(payload="state of run:1")
        await client.send_message(Say(payload=Line(text="x")), topic="run:1", ref="2")
        assert await client.receive_topic_message(RunTopic) == Said(payload=Line(text="x"))
        assert (await client.unsubscribe("run:1"))["action"] == "unsubscribed"


async def test_camel_case(layer: InMemoryChannelLayer) -> None:
    class Camel(Room):
        camelize = True

    async with communicator(Camel) as client:
        await client.send_message(Say(payload=Line(text="x", room_name="y")))
        assert await client.receive_message(Said) == Said(payload=Line(text="x", room_name="y"))


# What is published


async def test_events_are_captured_and_not_sent(layer: InMemoryChannelLayer) -> None:
    async with communicator() as client:
        with capture_broadcast_events(Room) as captured:
            await Room.broadcast_event(Alert(payload="1"))
            await Room.broadcast_event(Alert(payload="2"), ["a", "b"])
            await Complete.broadcast_event(Alert(payload="3"))  # a subclass
            await Room.broadcast_event(Alert(payload="4"), groups="a")
        assert captured == [
            CapturedBroadcastEvent(Alert(payload="1"), None),
            CapturedBroadcastEvent(Alert(payload="2"), ["a", "b"]),
            CapturedBroadcastEvent(Alert(payload="3"), None),
            CapturedBroadcastEvent(Alert(payload="4"), "a"),
        ]
        await Room.broadcast_event(Alert(payload="4"))
        assert await client.receive_message(Said) == Said(payload=Line(text="4"))


async def test_events_are_captured_and_sent(layer: InMemoryChannelLayer) -> None:
    async with communicator() as client:
        with capture_broadcast_events(Room, suppress=False) as captured:
            await asyncio.to_thread(Room.broadcast_event_sync, Alert(payload="1"))
            assert await client.receive_message(Said) == Said(payload=Line(text="1"))
        with capture_broadcast_events(Complete) as nothing:
            await Room.broadcast_event(Alert(payload="2"))
            assert await client.receive_message(Said) == Said(payload=Line(text="2"))
        assert len(captured) == 1 and nothing == []


async def test_topic_broadcasts_are_captured(layer: InMemoryChannelLayer) -> None:
    with capture_topic_broadcasts(RunTopic) as captured:
        await RunTopic.broadcast("run:1", Alert(payload="x"), seq=3)
    assert captured == [CapturedTopicBroadcast("run:1", Alert(payload="x"), 3)]


async def test_a_broadcast_is_asserted(layer: InMemoryChannelLayer) -> None:
    async with communicator() as client:
        said = Said(payload=Line(text="x"))
        async with assert_broadcast(Room, said, groups=["room"]), assert_broadcast(Room, Said):
            await client.send_message(Say(payload=said.payload))
        assert await client.receive_message(Said) == said
        with assert_broadcast(Room, Alert):
            await Room.broadcast_event(Alert(payload="x"))


async def test_a_broadcast_that_is_missing_tells_what_there_was(layer: InMemoryChannelLayer) -> None:
    with (
        pytest.raises(
            AssertionError, match=r"(?s)Room did not broadcast Said to \['b'\]; it broadcast:.*Alert.*\['a'\]"
        ),
        assert_broadcast(Room, Said, groups=["b"]),
    ):
        await Room.broadcast_event(Alert(payload="x"), "a")
    with pytest.raises(AssertionError, match="it broadcast:\n  nothing"):
        async with assert_broadcast(Room, Said(payload=Line(text="x")), timeout=0.01):
            pass


async def test_a_failing_block_fails_as_itself(layer: InMemoryChannelLayer) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with assert_broadcast(Room, Said):
            raise LookupError("mine")


async def test_a_message_to_the_subscribers_of_a_topic_is_seen(layer: InMemoryChannelLayer) -> None:
    said = Said(payload=Line(text="x"))
    async with communicator(Console) as client:
        await client.subscribe("team:a:member:b")
        async with assert_broadcast(TeamTopic, said, groups=["team:a:member:b"]):
            await client.send_message(Say(payload=said.payload), topic="team:a:member:b")
