"""Fixtures for pytest; ``pytest_plugins = ["compat.testing.plugin"]`` in conftest.py enables them.

    async def test_room(channel_layer, websocket):
        async with websocket(app, "/ws/lobby/") as eva, websocket(app, "/ws/lobby/") as max_:
            await eva.send_json_to({"text": "hello"})
            assert await max_.receive_json_from() == {"text": "hello"}

They work with pytest-asyncio and with anyio (its asyncio backend). None of them is automatic.
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
    """Yield a new layer in memory as "default", in place of the configured one."""
    yield from _in_place(InMemoryChannelLayer())


@pytest.fixture
def faulty_channel_layer() -> Iterator[FaultyChannelLayer]:
    """Yield a new layer as "default" that can be made to fail."""
    yield from _in_place(FaultyChannelLayer())


@pytest.fixture
def capture_group_sends() -> Callable[..., AbstractContextManager[list[GroupSend]]]:
    """Return the function ``compat.testing.captures.capture_group_sends``: ``with capture_group_sends() as
    sent:``.
    """
    return capture


@pytest.fixture
def group_sends(channel_layer: InMemoryChannelLayer) -> Iterator[list[GroupSend]]:
    """Yield the list of all messages that this test sends to groups of ``channel_layer``, in order."""
    with capture() as sent:
        yield sent


@pytest.fixture
def websocket() -> type[WebsocketCommunicator]:
    """``async with websocket(application, path) as client:`` opens a connection and closes it."""
    return WebsocketCommunicator


@pytest.fixture
def serve() -> Iterator[Callable[..., LiveServer]]:
    """``server = serve(application)`` starts a server on a free port, which stops at the end of the test."""
    with ExitStack() as stack:
        yield lambda application, **options: stack.enter_context(LiveServer(application, **options))


def _in_place(layer: Any) -> Iterator[Any]:
    with channel_layers.replaced(DEFAULT_CHANNEL_LAYER, layer):
        yield layer
