"""Broadcasts that members of a room relay without their task, between messages that need it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from compat.engine.fast.framing import MOST_AT_ONCE
from compat.layers import InMemoryChannelLayer
from compat.patterns import path
from compat.routing import URLRouter
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, event_handler, ws_handler
from compat.typed.events import GroupMessageEvent
from tests.support.clients import Client
from tests.support.servers import LiveServer

pytestmark = pytest.mark.usefixtures("layer")

PLAIN: dict[str, Any] = {"ws_per_message_deflate": False}


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: str


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: None = None
    line_number: int


class Rung(BaseMessage):
    action: Literal["rung"] = "rung"
    payload: int


class Room(AsyncJsonWebsocketConsumer):
    groups = ["room"]

    @ws_handler
    async def say(self, message: Say) -> None:
        """Send one message for each letter: a broadcast, one for others, an event, a frame made by hand."""
        for number, letter in enumerate(message.payload):
            if letter in "bx":
                await self.broadcast_message(Said(line_number=number), exclude_current=letter == "x")
            elif letter == "e":
                await Room.broadcast_event(Rung(payload=number), groups=["room"])
            else:
                text = json.dumps({"action": "by hand", "payload": number})
                await self.channel_layer.group_send("room", {"type": "websocket.send", "text": text})

    @event_handler
    async def rung(self, event: Rung) -> Rung:
        return event


class Camel(Room):
    camelize = True


class Marking(Room):
    async def handle_group_message(self, event: GroupMessageEvent) -> None:
        await self.send_json({**event["message"], "marked": True})


class Completing(Room):
    send_completion = True


APP = URLRouter([path(f"{kind.__name__}/", kind.as_asgi()) for kind in (Room, Camel, Marking, Completing)])


def heard(client: Client, kind: str, said: str) -> None:
    """Assert that what ``said`` stands for arrives at a member, in order and in the member's form."""
    marked = {"marked": True} if kind == "Marking" else {}
    for number, letter in enumerate(said):
        frame = json.loads(str(client.receive()))
        if letter == "e":
            assert frame == {"action": "rung", "payload": number}
        elif letter == "h":
            assert frame == {"action": "by hand", "payload": number, **marked}
        else:
            name = "lineNumber" if kind == "Camel" else "line_number"
            assert frame == {"action": "said", "payload": None, name: number, **marked}
        if kind == "Completing":
            action = "event_complete" if letter == "e" else "group_complete"
            assert json.loads(str(client.receive()))["action"] == action


MANY = MOST_AT_ONCE + 1
SAID = ("b", "bb", "bbb", "bxb", "bhb", "heb", "beb" * MANY, "b" * 3 * MANY + "h" + "x" * MANY + "ebh" * 3)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("sender", ["Room", "Camel"])
def test_each_member_hears_all_in_order_and_in_its_form(
    layer: InMemoryChannelLayer, sender: str, said: str
) -> None:
    layer.capacity = 1_000
    kinds = ("Room", "Camel", "Marking", "Completing")
    with LiveServer(APP, **PLAIN) as server, Client(server, f"/{sender}/") as speaker:
        members = [Client(server, f"/{kind}/") for kind in kinds]
        for client in (*members, speaker):  # an answer shows that its groups are joined
            client.send("{")
            assert json.loads(str(client.receive()))["action"] == "error"
        assert json.loads(str(members[-1].receive()))["action"] == "complete"
        speaker.send(json.dumps({"action": "say", "payload": said}))
        for kind, client in zip(kinds, members, strict=True):
            heard(client, kind, said)
        for number in (number for number, letter in enumerate(said) if letter != "x"):
            assert number in json.loads(str(speaker.receive())).values()
        for client in members:
            client.close()
