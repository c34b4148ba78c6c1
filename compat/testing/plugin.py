"""Fixtures for pytest: ``pytest_plugins = ["compat.testing.plugin"]`` in conftest.py turns them on.

    async def test_room(channel_layer, websocket):
        async with websocket(app, "/ws/lobby/") as eva, websocket(app, "/ws/lobby/") as max_:
            await eva.send_json_to({"text": "hello"})
            assert await max_.receive_json_from() == {"text": "hello"}

They work under pytest-asyncio and under anyio (its asyncio backend). None is used unless a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from compat.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from compat.testing.captures import GroupSend
from compat.testing.captures import capture_group_sends as capture
from compat.testing.layers import FaultyChannelLayer
from compat.testing.live import LiveServer
from compat.testing.websocket import WebsocketCommunicator

__all__ = [
    "capture_group_sends",
    "channel_layer",
    "faulty_channel_layer",
    "group_sends",
    "serve",
    "websocket",
]


@pytest.fixture
def channel_layer() -> Iterator[InMemoryChannelLayer]:
    """A fresh layer in memory under "default", whatever is configured there."""
    yield from _in_place(InMemoryChannelLayer())


@pytest.fixture
def faulty_channel_layer() -> Iterator[FaultyChannelLayer]:
    """The same, of a kind that can be made to fail."""
    yield from _in_place(FaultyChannelLayer())


@pytest.fixture
def capture_group_sends() -> Callable[..., AbstractContextManager[list[GroupSend]]]:
    """``with capture_group_sends() as sent:``, see ``compat.testing.captures``."""
    return capture


@pytest.fixture
def group_sends(channel_layer: InMemoryChannelLayer) -> Iterator[list[GroupSend]]:
    """Everything that this test sends to groups, in order; on the layer of ``channel_layer``."""
    with capture() as sent:
        yield sent


@pytest.fixture
def websocket() -> type[WebsocketCommunicator]:
    """``async with websocket(application, path) as client:`` opens a connection and closes it."""
    return WebsocketCommunicator


@pytest.fixture
def serve() -> Iterator[Callable[..., LiveServer]]:
    """``server = serve(application)`` starts a server on a free port; it ends with the test."""
    with ExitStack() as stack:
        yield lambda application, **options: stack.enter_context(LiveServer(application, **options))


def _in_place(layer: Any) -> Iterator[Any]:
    previous = channel_layers.backends.get(DEFAULT_CHANNEL_LAYER)
    channel_layers.register(DEFAULT_CHANNEL_LAYER, layer)
    yield layer
    channel_layers.unregister(DEFAULT_CHANNEL_LAYER)
    if previous is not None:
        channel_layers.register(DEFAULT_CHANNEL_LAYER, previous)
