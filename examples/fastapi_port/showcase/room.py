"""A room: its members are notified about arrivals, departures, typing and messages."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Annotated, Literal

from compat.names import group_name
from compat.typed import BaseMessage, channel, event_handler, ws_handler
from compat.typed.scope import query_params
from compat.types import WebSocketDisconnectEvent
from pydantic import BaseModel, Field

from .base import BaseConsumer

__all__ = ["RoomAnnouncement", "RoomConsumer", "group_of"]


class Person(BaseModel):
    """A person in the room."""

    id: str
    name: str


class Words(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=2000)]


class Saying(BaseModel):
    """A message, its sender and its time."""

    who: Person
    text: str
    at: datetime


class Entrance(BaseModel):
    you: Person
    room: str


# From the client


class Say(BaseMessage):
    """Sends a message to all people in the room."""

    action: Literal["say"] = "say"
    payload: Words


class Write(BaseMessage):
    """Notifies the others that the client is typing."""

    action: Literal["write"] = "write"
    payload: None = None


# To the client


class Welcome(BaseMessage):
    """The first message, with the client's name in the room."""

    action: Literal["welcome"] = "welcome"
    payload: Entrance


class Came(BaseMessage):
    """Another person has entered."""

    action: Literal["came"] = "came"
    payload: Person


class Went(BaseMessage):
    """Another person has left."""

    action: Literal["went"] = "went"
    payload: Person


class Writing(BaseMessage):
    """Another person is typing."""

    action: Literal["writing"] = "writing"
    payload: Person


class Said(BaseMessage):
    """A message in the room, sent to its author too."""

    action: Literal["said"] = "said"
    payload: Saying


# From elsewhere


class RoomAnnouncement(BaseMessage):
    """An event: an announcement to one room."""

    action: Literal["room_announcement"] = "room_announcement"
    payload: str


HOUSE = Person(id="house", name="The house")


def group_of(room: str) -> str:
    """Return the group of a room, which may be named "café" or "日本" too."""
    return group_name(room, prefix="showcase.room.")


@channel(
    name="room",
    description="A room whose name is part of the address; anybody may open one by entering it.",
    tags=["chat", "rooms"],
)
class RoomConsumer(BaseConsumer[RoomAnnouncement]):
    channel_layer_alias = "chat"
    emits = [Welcome, Came, Went]

    group: str | None = None
    me: Person

    async def post_authentication(self) -> None:
        room: str = self.url_params["room_name"]
        names = query_params(self.scope).get("name", [])
        name = " ".join("".join(names).split())[:24]
        self.me = Person(id=uuid.uuid4().hex[:8], name=name or f"Guest {uuid.uuid4().hex[:4]}")
        self.group = group_of(room)
        await self.join_group(self.group)
        await self.send_message(Welcome(payload=Entrance(you=self.me, room=room)))
        await self.broadcast_message(Came(payload=self.me), exclude_current=True)

    async def websocket_disconnect(self, message: WebSocketDisconnectEvent) -> None:
        if self.group is not None:
            await self.broadcast_message(Went(payload=self.me), exclude_current=True)
        await super().websocket_disconnect(message)

    @ws_handler(summary="Say something", output_type=Said)
    async def handle_say(self, message: Say) -> None:
        await self.broadcast_message(said(self.me, message.payload.text.strip()))

    @ws_handler(summary="Tell the others that you are writing", output_type=Writing)
    async def handle_write(self, message: Write) -> None:
        await self.broadcast_message(Writing(payload=self.me), exclude_current=True)

    @event_handler(summary="The house says something")
    async def on_announcement(self, event: RoomAnnouncement) -> Said:
        return said(HOUSE, event.payload)


def said(who: Person, text: str) -> Said:
    return Said(payload=Saying(who=who, text=text, at=datetime.now(timezone.utc)))
