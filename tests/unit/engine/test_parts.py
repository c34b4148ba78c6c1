"""Which of the engine's fast parts are used, as ``CHANNEL_FAST`` says."""

from __future__ import annotations

import asyncio
from itertools import combinations
from typing import Any

import pytest

from compat.engine.fast import PARTS, in_use
from compat.exceptions import ImproperlyConfigured
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.settings import override
from compat.testing import WebsocketCommunicator

SOME = [some for count in range(len(PARTS) + 1) for some in combinations(PARTS, count)]


@pytest.fixture(autouse=True)
def only_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHANNEL_FAST", raising=False)


@pytest.mark.parametrize(
    ("said", "used"),
    [
        (True, set(PARTS)),
        ("on", set(PARTS)),
        (False, set()),
        ("0", set()),
        (None, set()),
        ("scheduling", {"scheduling"}),
        ("scheduling, bridge", {"scheduling", "bridge"}),
        (["scheduling", "reading"], {"scheduling", "reading"}),
        ((), set()),
    ],
)
def test_what_the_setting_may_say(said: Any, used: set[str]) -> None:
    with override(CHANNEL_FAST=said):
        assert in_use() == used


@pytest.mark.parametrize("said", ["fast", ["scheduling", "speed"], 7, {"bridges": True}])
def test_a_part_that_does_not_exist(said: Any) -> None:
    with (
        override(CHANNEL_FAST=said),
        pytest.raises(ImproperlyConfigured, match="the parts are "),
    ):
        in_use()


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_FAST", "bridge")
    with override(CHANNEL_FAST=False):
        assert in_use() == {"bridge"}


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data)


@pytest.mark.parametrize("parts", SOME)
def test_any_of_them_together_serve(parts: tuple[str, ...]) -> None:
    async def talk() -> list[str | bytes]:
        said = []
        for consumer in (Echo, SyncEcho):
            client = WebsocketCommunicator(consumer.as_asgi(), "/")
            assert (await client.connect())[0]
            await client.send_to(text_data=consumer.__name__)
            said.append(await client.receive_from())
            await client.disconnect()
        return said

    with override(CHANNEL_FAST=parts):
        assert asyncio.run(talk()) == ["Echo", "SyncEcho"]
