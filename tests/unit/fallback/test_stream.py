"""A response as a link: with which code it ends for the application."""

from __future__ import annotations

import asyncio

import pytest

from compat.fallback.stream import Stream
from compat.types import Message


@pytest.mark.parametrize("way", ["read", "slow", "left"])
async def test_a_close_counts_when_the_response_has_been_sent(way: str) -> None:
    """Was: the code was the application's, although the client had not read so far: nobody told it later."""
    reads = asyncio.Event()

    async def http_send(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            await reads.wait()

    stream = Stream(http_send, polls=False)
    stream.carrier.reached = True
    assert (await stream.receive())["type"] == "websocket.connect"
    await stream.send({"type": "websocket.accept"})
    await stream.send({"type": "websocket.close", "code": 4001})
    finishing = asyncio.ensure_future(stream.finish())
    await asyncio.sleep(0)
    stream.application_ended(None)  # as it does while the rest is being sent
    if way == "read":
        reads.set()
        await finishing
    elif way == "left":
        stream.client_left()
    finishing.cancel()
    stream.disconnect()
    code = 4001 if way == "read" else 1006
    assert await stream.receive() == {"type": "websocket.disconnect", "code": code}
