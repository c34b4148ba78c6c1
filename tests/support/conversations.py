"""A consumer with a client on the other side, behind a server or in a test, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

from compat.testing import WebsocketCommunicator
from compat.types import ASGIApp
from tests.support.patience import PATIENCE_S

__all__ = ["Conversation"]


class Conversation(WebsocketCommunicator):
    """A communicator whose scope is a server's: errors become close codes and log records.

    With ``served=False`` it is what a user's test has: errors are raised in the test.
    """

    def __init__(
        self, application: ASGIApp, path: str = "/ws/room/", *, served: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(application, path, **kwargs)
        if served:
            self.scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}

    async def open(self) -> Conversation:
        """Connect; AssertionError if the consumer refuses."""
        connected, code = await self.connect()
        assert connected, f"refused with {code}"
        return self

    async def closed(self) -> int:
        """The code that the consumer closes with, once it has ended."""
        message = await self.receive_output()
        assert message["type"] == "websocket.close", message
        code: int = message.get("code", 1000)
        done, _ = await asyncio.wait((self.future,), timeout=1)
        if not done:  # one that has closed by itself goes on until the server tells it of the end
            await self.send_input({"type": "websocket.disconnect", "code": code})
        await self.wait(PATIENCE_S)
        return code
