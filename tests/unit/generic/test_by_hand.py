"""Consumers without a server: unit tests make one, give it a ``base_send``, and call its methods."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from compat.exceptions import StopConsumer
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer

SENT = [
    {"type": "websocket.accept", "subprotocol": None},
    {"type": "websocket.send", "text": "[1]"},
    {"type": "websocket.send", "bytes": b"x"},
    {"type": "websocket.close", "code": 4000},
]


class Answering(AsyncJsonWebsocketConsumer):
    groups = ["room"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


class AnsweringSync(JsonWebsocketConsumer):
    groups = ["room"]

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)


def prepared(consumer: Any) -> Any:
    consumer.scope = {"type": "websocket"}
    consumer.channel_layer = mock.AsyncMock()
    consumer.channel_name = "name"
    return consumer


def checked(consumer: Any, base_send: Any) -> None:
    assert [call.args[0] for call in base_send.call_args_list] == SENT
    consumer.channel_layer.group_add.assert_awaited_once_with("room", "name")
    consumer.channel_layer.group_discard.assert_awaited_once_with("room", "name")


async def test_an_async_consumer() -> None:
    consumer = prepared(Answering())
    consumer.base_send = mock.AsyncMock()
    await consumer.websocket_connect({"type": "websocket.connect"})
    await consumer.dispatch({"type": "websocket.receive", "text": "[1]"})
    await consumer.send(bytes_data=b"x")
    await consumer.close(4000)
    with pytest.raises(StopConsumer):
        await consumer.websocket_disconnect({"type": "websocket.disconnect", "code": 1000})
    checked(consumer, consumer.base_send)


def test_a_sync_consumer() -> None:
    consumer = prepared(AnsweringSync())
    consumer.base_send = mock.Mock()
    consumer.websocket_connect({"type": "websocket.connect"})
    consumer.dispatch({"type": "websocket.receive", "text": "[1]"})
    consumer.send(bytes_data=b"x")
    consumer.close(4000)
    with pytest.raises(StopConsumer):
        consumer.websocket_disconnect({"type": "websocket.disconnect", "code": 1000})
    checked(consumer, consumer.base_send)
