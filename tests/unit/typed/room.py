"""A room with typed messages, for the tests of typed consumers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    channel,
    event_handler,
    ws_handler,
)
from tests.support.conversations import Conversation

__all__ = ["Alert", "Fail", "Line", "Note", "Said", "Say", "Talk"]


class Line(BaseModel):
    """Something said."""

    text: str
    room_name: str | None = None


class Say(BaseMessage):
    """A client says something."""

    action: Literal["say"] = "say"
    payload: Line


class Said(BaseMessage):
    """Somebody has said something."""

    action: Literal["said"] = "said"
    payload: Line


class Note(BaseMessage):
    """Anything."""

    action: Literal["note"] = "note"
    payload: Any = None


class Fail(BaseMessage):
    """Make the handler fail."""

    action: Literal["fail"] = "fail"
    payload: None = None


class Alert(BaseMessage):
    """An event."""

    action: Literal["alert"] = "alert"
    payload: str


@channel(name="room", description="A room to talk in", tags=["chat", "rooms"])
class Room(AsyncJsonWebsocketConsumer[Alert]):
    """Everybody hears everybody."""

    groups = ["room"]

    @ws_handler(summary="Are you there?", description="Answers a ping")
    async def handle_ping(self, _message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(output_type=Said, tags=["talk"])
    async def handle_say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload))

    @ws_handler
    async def handle_note(self, message: Note) -> Note:
        return message

    @ws_handler
    async def handle_fail(self, message: Fail) -> None:
        raise LookupError("a secret of the house")

    @event_handler
    async def on_alert(self, event: Alert) -> Said:
        return Said(payload=Line(text=event.payload))


class Talk(Conversation):
    """A client of a consumer behind a server: `ask()` is a frame and the answer to it."""

    async def ask(self, frame: Any) -> Any:
        await self.say(frame)
        return await self.hear()

    async def say(self, frame: Any) -> None:
        if isinstance(frame, str):
            await self.send_to(text_data=frame)
        else:
            await self.send_json_to(frame)

    async def hear(self) -> Any:
        return await self.receive_json_from(timeout=15)

    async def hears_nothing(self) -> None:
        """Nothing has come before the answer to a ping that is sent now."""
        assert await self.ask({"action": "ping"}) == {"action": "pong", "payload": None}

    async def leave(self) -> None:
        await self.disconnect(timeout=15)
