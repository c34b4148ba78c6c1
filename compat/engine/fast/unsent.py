"""The frames of a sync consumer that have not been passed to the server yet."""

from __future__ import annotations

import threading
from collections import deque

from compat.engine.contracts import FRAMES_BEFORE
from compat.engine.fast.framing import is_open, write_frames
from compat.engine.socket import Socket
from compat.types import Message

__all__ = ["Unsent", "kept"]


def kept(message: Message) -> Message:
    """Return a copy of ``message``, because its handler may change it, or its buffer, after ``send()``."""
    copy = dict(message)
    for key in ("bytes", "body"):
        data = copy.get(key)
        if isinstance(data, bytearray | memoryview):
            copy[key] = bytes(data)
    return copy


class Unsent:
    """A queue of ASGI messages: any thread appends to ``out``, only the event loop takes from it."""

    __slots__ = ("begun", "out", "room", "sent", "socket")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.out: deque[Message] = deque()
        self.room: threading.Event | None = None
        """Set when a handler that waits in ``send()`` may check again; None until the first one waits."""
        self.begun = self.sent = 0
        """How many messages have been taken from ``out``, and how many of them the server has taken."""

    def write_out(self) -> None:
        """Write the text frames at the front of the queue that can be made here and leave at once."""
        framed = self.socket.framed
        if framed is None or self.socket.kept is not None or self.socket.shut or not is_open(framed):
            return
        out = self.out
        count = write_frames(framed, (out[number] for number in range(len(out))))
        for _ in range(count):
            out.popleft()
        self.begun += count
        self.sent = self.begun

    async def send_next(self) -> None:
        """Have the server send the first message; raise what it raises."""
        message = self.out.popleft()  # before the send: a cancelled one may have written it, so do not repeat
        self.begun += 1
        if message["type"] == "websocket.close":
            self.sent = self.begun  # while it is sent, the frames before it have been
        await self.socket.raw_send(message)
        self.sent = self.begun

    def drop_unsent(self) -> None:
        """Drop all; a thread that waits for an answer to one of them waits no more."""
        for message in tuple(self.out):
            if FRAMES_BEFORE in message:
                message[FRAMES_BEFORE].cancel()
        self.out.clear()

    def no_room(self) -> threading.Event:
        """Return an event that is set when a handler that waits for room may check again."""
        room = self.room = self.room or threading.Event()
        room.clear()
        return room

    def tell_room(self) -> None:
        """Let a handler that waits for room check again."""
        if self.room is not None:
            self.room.set()
