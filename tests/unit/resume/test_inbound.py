"""What a client has sent, while it waits for the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from compat.resume import inbound as inbound_module
from compat.resume.inbound import LIFE_S, MAX_FRAMES, Inbound
from tests.support.waiting import until_async


class Client:
    """Counts the acknowledgements that it is sent."""

    def __init__(self) -> None:
        self.acknowledged = 0

    def acknowledge(self) -> None:
        self.acknowledged += 1


def frame(number: int) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": str(number)}


async def full(client: Client) -> Inbound:
    inbound = Inbound(asyncio.get_running_loop(), client)
    spaces = [inbound.take(frame(number), 1) for number in range(MAX_FRAMES)]
    assert spaces[-2] is None and spaces[-1] is not None
    return inbound


@pytest.mark.parametrize("times", [1, 2, 3, 500])
async def test_a_client_that_is_always_a_little_ahead_costs_one_timer(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: one of 15 seconds for each frame, hundreds of MiB for a flood."""
    loop = asyncio.get_running_loop()
    begun: list[float] = []
    call_later = loop.call_later

    def counted(delay: float, call: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        begun.append(delay)
        return call_later(delay, call, *args)

    monkeypatch.setattr(loop, "call_later", counted)
    inbound = await full(Client())
    for number in range(times):
        assert (await inbound.get())["text"] == str(number)
        assert inbound.take(frame(MAX_FRAMES + number), 1) is not None
    assert begun.count(LIFE_S) == 1
    inbound.stop()


async def test_a_client_that_is_not_read_hears_of_its_server_until_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbound_module, "LIFE_S", 0.001)
    client = Client()
    inbound = await full(client)
    await until_async(lambda: client.acknowledged >= 3, "again and again")
    await inbound.get()
    assert inbound.has_space()
    await until_async(lambda: inbound.life is None, "and then no more")
    inbound.stop()
