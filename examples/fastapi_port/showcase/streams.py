"""Four streams, each on a layer of its own, so their messages are separate.

All of them receive events from outside: from an HTTP endpoint, a script, a job or another server.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from compat.typed import BaseMessage, channel, event_handler, ws_handler
from compat.types import WebSocketDisconnectEvent
from pydantic import BaseModel, Field

from .base import BaseConsumer

__all__ = [
    "STREAMS",
    "AnalyticsConsumer",
    "Announcement",
    "ChatConsumer",
    "Measurement",
    "NotificationConsumer",
    "ReliableChatConsumer",
]

Text = Annotated[str, Field(min_length=1, max_length=500)]


class Line(BaseModel):
    """A line of text, and its source."""

    text: Text
    source: Literal["people", "events", "system"] = "people"


class Measure(BaseModel):
    """A count or a measurement."""

    name: Annotated[str, Field(min_length=1, max_length=60, examples=["page_view:/pricing"])]
    data: Any = None


class Announcement(BaseMessage):
    """An event from outside, for people to read."""

    action: Literal["announcement"] = "announcement"
    payload: Text


class Measurement(BaseMessage):
    """An event from outside, for the statistics."""

    action: Literal["measurement"] = "measurement"
    payload: Measure


class ChatLine(BaseMessage):
    """A line that a client sends."""

    action: Literal["chat"] = "chat"
    payload: Line


class ChatNote(BaseMessage):
    """A line that all clients receive."""

    action: Literal["chat_note"] = "chat_note"
    payload: Line


class ReliableLine(BaseMessage):
    """A line that a client sends."""

    action: Literal["reliable_chat"] = "reliable_chat"
    payload: Line


class ReliableNote(BaseMessage):
    """A line that all clients receive."""

    action: Literal["reliable_note"] = "reliable_note"
    payload: Line


class Notice(BaseMessage):
    """A notification."""

    action: Literal["notice"] = "notice"
    payload: Line


class Measured(BaseMessage):
    """A measurement that all clients receive."""

    action: Literal["measured"] = "measured"
    payload: Measure


class Record(BaseMessage):
    """A measurement that a client reports."""

    action: Literal["record"] = "record"
    payload: Measure


@channel(
    name="chat", description="Chat over pub/sub: quick, and only for those who listen.", tags=["streams"]
)
class ChatConsumer(BaseConsumer[Announcement]):
    channel_layer_alias = "chat"
    groups = ["showcase.chat"]
    emits = [ChatNote]

    async def post_authentication(self) -> None:
        await self.broadcast_message(ChatNote(payload=Line(text="Somebody joined the chat", source="system")))

    async def websocket_disconnect(self, message: WebSocketDisconnectEvent) -> None:
        note = ChatNote(payload=Line(text="Somebody left the chat", source="system"))
        await self.broadcast_message(note, exclude_current=True)
        await super().websocket_disconnect(message)

    @ws_handler(summary="Write to everybody", output_type=ChatNote)
    async def handle_chat(self, message: ChatLine) -> None:
        await self.broadcast_message(ChatNote(payload=message.payload))

    @event_handler(summary="Announcements from outside")
    async def on_announcement(self, event: Announcement) -> ChatNote:
        return ChatNote(payload=Line(text=event.payload, source="events"))


@channel(
    name="reliable_chat",
    description="Chat over a queue: what is sent waits for a slow reader.",
    tags=["streams", "queues"],
)
class ReliableChatConsumer(BaseConsumer[Announcement]):
    channel_layer_alias = "queue"
    groups = ["showcase.reliable"]

    @ws_handler(summary="Write to everybody", output_type=ReliableNote)
    async def handle_reliable_chat(self, message: ReliableLine) -> None:
        await self.broadcast_message(ReliableNote(payload=message.payload))

    @event_handler(summary="Announcements from outside")
    async def on_announcement(self, event: Announcement) -> ReliableNote:
        return ReliableNote(payload=Line(text=event.payload, source="events"))


@channel(name="notifications", description="Notices, from outside only.", tags=["streams"])
class NotificationConsumer(BaseConsumer[Announcement]):
    channel_layer_alias = "notifications"
    groups = ["showcase.notifications"]

    @event_handler(summary="Announcements from outside")
    async def on_announcement(self, event: Announcement) -> Notice:
        return Notice(payload=Line(text=event.payload, source="events"))


@channel(
    name="analytics", description="Measurements over a queue; none may get lost.", tags=["streams", "queues"]
)
class AnalyticsConsumer(BaseConsumer[Measurement]):
    channel_layer_alias = "analytics"
    groups = ["showcase.analytics"]

    @ws_handler(summary="Report a measurement", output_type=Measured)
    async def handle_record(self, message: Record) -> None:
        await self.broadcast_message(Measured(payload=message.payload))

    @event_handler(summary="Measurements from outside")
    async def on_measurement(self, event: Measurement) -> Measured:
        return Measured(payload=event.payload)


STREAMS: dict[str, type[ChatConsumer | ReliableChatConsumer | NotificationConsumer]] = {
    "chat": ChatConsumer,
    "reliable": ReliableChatConsumer,
    "notifications": NotificationConsumer,
}
"""The streams that accept announcements, by the last part of their address."""
