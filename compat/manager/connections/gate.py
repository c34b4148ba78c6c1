"""The ``receive()`` of a websocket whose connection belongs to the manager.

Starlette's own ``receive()`` returns the client's disconnect as a message, and raises RuntimeError at the
next call, so a loop that expects WebSocketDisconnect never gets it. This one raises WebSocketDisconnect with
the client's code, also at once if the manager ends the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from compat.codes import ABNORMAL, NO_STATUS
from compat.engine.shielding import uncancel
from compat.manager.connections.state import Connection
from compat.manager.statistics import Statistics

__all__ = ["Gate"]


class Gate:
    """Replaces ``websocket.receive`` by ``passed``."""

    __slots__ = ("_interrupted", "_original", "_statistics", "_task", "connection", "reading")

    def __init__(self, connection: Connection, statistics: Statistics) -> None:
        websocket: WebSocket = connection.websocket
        self.connection = connection
        self.reading = False
        self._statistics = statistics
        self._original: Any = websocket.receive
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        websocket.receive = self.passed  # type: ignore[method-assign]  # the endpoint calls it

    async def passed(self) -> Any:
        """Return the client's next message; raise WebSocketDisconnect if the connection has ended."""
        connection = self.connection
        if connection.close_code is not None:
            raise WebSocketDisconnect(connection.close_code)
        self._task = asyncio.current_task()
        self.reading = True
        try:
            message = await self._original()
        except asyncio.CancelledError:
            if not self._interrupted or uncancel():  # another has cancelled the task, too
                raise
            raise WebSocketDisconnect(connection.close_code or ABNORMAL) from None
        except (RuntimeError, OSError):  # the server has closed the socket
            raise WebSocketDisconnect(connection.closed_with(ABNORMAL)) from None
        finally:
            self.reading = False
            self._task = None
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or NO_STATUS
            connection.client_left(code)
            raise WebSocketDisconnect(code, message.get("reason"))
        return self._noted(message)

    def _noted(self, message: Any) -> Any:
        """Count a frame, and remove "text" or "bytes" if it is None: some servers send both keys."""
        text, data = message.get("text"), message.get("bytes")
        size = len(data or b"") if text is None else len(text) if text.isascii() else len(text.encode())
        self.connection.heard(size)
        self._statistics.count_received(size)
        if "text" in message and "bytes" in message and (text is None or data is None):
            return {key: value for key, value in message.items() if value is not None}
        return message

    def interrupt(self) -> None:
        """Raise WebSocketDisconnect in an endpoint that waits for its client's next frame."""
        task = self._task
        if task is not None and not self._interrupted and task is not asyncio.current_task():
            self._interrupted = True
            task.cancel()
