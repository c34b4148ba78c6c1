"""The consumer of the chat, with a method for each type of message.

A client sends ``{"type": …, "data": {…}}``; ``KINDS`` maps types to methods. Rooms are groups of the manager,
so other consumers, REST endpoints and Celery tasks can send messages to a room through the manager.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

from compat.manager import BaseConsumer, Connection, ConnectionManager
from compat.manager.exceptions import MessageError, ValidationError
from compat.manager.typed import Message

from example.database import ChatDatabase

__all__ = ["ChatConsumer"]

MAX_TEXT = 5_000
MAX_ROOM = 50
MAX_FILE_BYTES = 5 * 1024 * 1024
HISTORY = 50
ROOMS = 200
"""The maximum number of listed rooms."""

T = TypeVar("T")
Data = dict[str, Any]


class ChatConsumer(BaseConsumer):
    """The consumer of the chat; ``database`` stores its history, None for a chat without history."""

    def __init__(
        self,
        connection: Connection,
        manager: ConnectionManager,
        middleware_stack: Any = None,
        database: ChatDatabase | None = None,
    ) -> None:
        super().__init__(connection, manager=manager, middleware_stack=middleware_stack)
        self.database = database
        self.user_id = connection.user_id or connection.channel_name
        self.username = connection.user_id or "Guest"
        self.typing: set[str] = set()

    # The connection

    async def connect(self) -> None:
        await self.ask(ChatDatabase.save_user, self.user_id, self.username)
        await self.send_json(
            self.frame(
                "welcome", message=f"Welcome, {self.username}! Join a room, or open one.", **self.person()
            )
        )

    async def on_disconnect(self, code: int) -> None:
        for room in sorted(self.connection.groups):
            await self.leave(room)
        await self.ask(ChatDatabase.save_user, self.user_id, self.username)

    async def receive(self, message: Message) -> None:
        handle = KINDS.get(message.type)
        if handle is None:
            known = ", ".join(KINDS)
            raise MessageError(f"Unknown message type: {message.type}. There are: {known}")
        if message.data is not None and not isinstance(message.data, dict):
            raise ValidationError(f"'data' of {message.type} must be an object")
        await handle(self, message.data or {})

    # Rooms

    async def join_room(self, data: Data) -> None:
        room = self.room_in(data)
        await self.ask(ChatDatabase.create_room, room, self.user_id)
        await self.enter(room)

    async def create_room(self, data: Data) -> None:
        room = self.room_in(data, "room_name" if "room_name" in data else "room")
        is_public = bool(data.get("is_public", True))
        if await self.ask(ChatDatabase.create_room, room, self.user_id, is_public) is False:
            raise MessageError(f"There is a room called {room} already; join it")
        await self.send_json(self.frame("room_created", room=room, is_public=is_public))
        await self.enter(room)

    async def enter(self, room: str) -> None:
        """Join a room, send its users and history to the client, and announce the user."""
        if room in self.connection.groups:
            raise MessageError(f"You are in {room} already")
        await self.join_group(room)
        await self.send_json(self.frame("room_joined", room=room))
        users = await self.manager.get_group_users(room)
        await self.send_json(self.frame("room_users", room=room, users=users))
        await self.send_history(room, HISTORY)
        await self.send_to_others(room, self.frame("user_joined", room=room, users=users, **self.person()))

    async def leave_room(self, data: Data) -> None:
        room = self.my_room_in(data)
        await self.leave(room)
        await self.send_json(self.frame("room_left", room=room))

    async def leave(self, room: str) -> None:
        """Leave a room, and notify the others."""
        self.typing.discard(room)
        await self.leave_group(room)
        users = await self.manager.get_group_users(room)
        await self.send_to_group(room, self.frame("user_left", room=room, users=users, **self.person()))

    async def list_rooms(self, data: Data) -> None:
        counts = await self.manager.list_groups()
        rooms = await self.ask(ChatDatabase.list_rooms, ROOMS) or []
        listed = [
            {
                "name": room["name"],
                "user_count": counts.get(room["name"], 0),
                "created_by": room["created_by"],
            }
            for room in rooms
        ]
        await self.send_json(self.frame("rooms_list", rooms=listed))

    async def get_room_users(self, data: Data) -> None:
        room = self.room_in(data)
        users = await self.manager.get_group_users(room)
        await self.send_json(self.frame("room_users", room=room, users=users))

    async def get_message_history(self, data: Data) -> None:
        limit = data.get("limit", HISTORY)
        if not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise ValidationError("'limit' must be a number from 1 to 1000")
        await self.send_history(self.my_room_in(data), limit)

    async def send_history(self, room: str, limit: int) -> None:
        messages = await self.ask(ChatDatabase.get_recent_messages, room, limit) or []
        await self.send_json(self.frame("message_history", room=room, messages=messages))

    # Messages

    async def chat_message(self, data: Data) -> None:
        room, text = self.my_room_in(data), self.text_in(data)
        said = self.frame("chat_message", room=room, text=text, **self.person())
        await self.ask(ChatDatabase.save_message, room, self.user_id, self.username, text, said["timestamp"])
        self.typing.discard(room)
        await self.send_to_group(room, said)

    async def file_message(self, data: Data) -> None:
        room = self.my_room_in(data)
        name, encoded = data.get("filename"), data.get("file_data")
        if not isinstance(name, str) or not 0 < len(name) <= 255 or not isinstance(encoded, str):
            raise ValidationError("A file has a 'filename' of 1 to 255 characters, and 'file_data' in base64")
        try:
            size = len(await asyncio.to_thread(base64.b64decode, encoded, validate=True))
        except (binascii.Error, ValueError):
            raise ValidationError("'file_data' is not base64") from None
        if size > MAX_FILE_BYTES:
            raise ValidationError(f"The file is too large: {size} bytes (max: {MAX_FILE_BYTES})")
        sent = self.frame("file_message", room=room, filename=name, file_size=size, **self.person())
        await self.ask(
            ChatDatabase.save_message,
            room,
            self.user_id,
            self.username,
            name,
            sent["timestamp"],
            "file_message",
        )
        kind = str(data.get("mime_type") or "application/octet-stream")
        await self.send_to_group(room, {**sent, "mime_type": kind, "file_data": encoded})

    async def private_message(self, data: Data) -> None:
        target, text = data.get("target_user_id"), self.text_in(data)
        if not isinstance(target, str) or not target:
            raise ValidationError("'target_user_id' is missing")
        sent = self.frame("private_message", to_user_id=target, text=text)
        sent |= {"from_user_id": self.user_id, "from_username": self.username}
        if not await self.manager.send_to_user(target, sent):
            raise MessageError(f"{target} is not here just now", retryable=True)
        await self.send_json({**sent, "type": "private_message_sent"})

    async def typing_start(self, data: Data) -> None:
        await self.set_typing(data, True)

    async def typing_stop(self, data: Data) -> None:
        await self.set_typing(data, False)

    async def set_typing(self, data: Data, typing: bool) -> None:
        """Notify the others in the room if the state has changed."""
        room = data.get("room")
        if not isinstance(room, str) or room not in self.connection.groups or typing == (room in self.typing):
            return
        self.typing ^= {room}
        kind = "user_typing_start" if typing else "user_typing_stop"
        await self.send_to_others(room, self.frame(kind, room=room, **self.person()))

    async def ping(self, data: Data) -> None:
        await self.send_json(self.frame("pong"))

    # Helpers

    def person(self) -> Data:
        return {"user_id": self.user_id, "username": self.username}

    def frame(self, kind: str, **content: Any) -> Data:
        return {"type": kind, **content, "timestamp": self.timestamp}

    def room_in(self, data: Data, field: str = "room") -> str:
        """Return the room that ``data`` names; raise ValidationError for an invalid name."""
        room = data.get(field)
        name = room.strip() if isinstance(room, str) else ""
        if not 0 < len(name) <= MAX_ROOM:
            raise ValidationError(f"'{field}' must be a room's name of 1 to {MAX_ROOM} characters")
        return name

    def my_room_in(self, data: Data) -> str:
        """Return the room that ``data`` names; raise MessageError if the user is not in it."""
        room = self.room_in(data)
        if room not in self.connection.groups:
            raise MessageError(f"You are not in {room}")
        return room

    def text_in(self, data: Data) -> str:
        text = data.get("text")
        said = text.strip() if isinstance(text, str) else ""
        if not 0 < len(said) <= MAX_TEXT:
            raise ValidationError(f"'text' must have 1 to {MAX_TEXT} characters")
        return said

    async def ask(self, question: Callable[..., T], *values: Any) -> T | None:
        """Call a method of the database in a thread and return its result; None without a database."""
        if self.database is None:
            return None
        return await asyncio.to_thread(question, self.database, *values)


KINDS: dict[str, Callable[[ChatConsumer, Data], Any]] = {
    "chat_message": ChatConsumer.chat_message,
    "create_room": ChatConsumer.create_room,
    "file_message": ChatConsumer.file_message,
    "get_message_history": ChatConsumer.get_message_history,
    "get_room_users": ChatConsumer.get_room_users,
    "join_room": ChatConsumer.join_room,
    "leave_room": ChatConsumer.leave_room,
    "list_rooms": ChatConsumer.list_rooms,
    "ping": ChatConsumer.ping,
    "private_message": ChatConsumer.private_message,
    "typing_start": ChatConsumer.typing_start,
    "typing_stop": ChatConsumer.typing_stop,
}
