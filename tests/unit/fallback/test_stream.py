"""A response as a link: with which code it ends for the application."""

from __future__ import annotations

import asyncio
import json

import pytest

from compat.fallback.stream import MAX_ANSWER, Stream
from compat.resume.link import PAUSED
from compat.resume.outliving import ResponseOver
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


@pytest.mark.parametrize(("code", "status"), [(1012, 503), (1008, 403)])
async def test_a_stop_before_the_application_has_decided_is_no_refusal(code: int, status: int) -> None:
    """Was: 403, as if the application had refused the client; another server would have taken it."""
    sent: list[Message] = []

    async def http_send(message: Message) -> None:
        sent.append(message)

    stream = Stream(http_send, polls=False)
    stream.carrier.reached = True
    await stream.send({"type": "websocket.close", "code": code})
    await stream.finish()
    assert sent[0]["status"] == status


async def polled() -> tuple[Stream, list[bytes]]:
    """The answer to a poll, which has been accepted, and its bodies."""
    bodies: list[bytes] = []

    async def http_send(message: Message) -> None:
        bodies.append(message.get("body", b""))

    stream = Stream(http_send, polls=True)
    stream.carrier.reached = True
    assert (await stream.receive())["type"] == "websocket.connect"
    await stream.send({"type": "websocket.accept"})
    return stream, bodies


@pytest.mark.parametrize("sizes", [(3 * 2**20,), (10, 3 * 2**20), (70_000, 10, 3 * 2**20)])
async def test_a_long_frame_does_not_cut_the_answer_to_a_poll(sizes: tuple[int, ...]) -> None:
    """Was: it ended without a word, which its client counts as a loss, and the application as a park."""
    stream, bodies = await polled()
    for size in sizes:
        await stream.send({"type": "websocket.send", "text": "x" * size})
    paused = await asyncio.wait_for(stream.receive(), 10)
    assert paused == {"type": "websocket.receive", "text": '\x10{"type":"pause"}'}
    await stream.send({"type": "websocket.close", "code": 1012, "reason": PAUSED})
    await stream.finish()
    events = [json.loads(event[5:]) for event in b"".join(bodies).split(b"\n\n") if event]
    assert [len(event) for event in events[1:-1]] == [*sizes] and events[-1] == {"again": True}


async def test_an_answer_that_does_not_pause_is_cut() -> None:
    stream, _ = await polled()
    with pytest.raises(ResponseOver):
        for _ in range(1 + MAX_ANSWER // 50_000 + 5):
            await stream.send({"type": "websocket.send", "text": "x" * 50_000})
    stream.disconnect()
