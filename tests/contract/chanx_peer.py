"""A process with the real Chanx, which sends an alert in each way and ends; run by test_mixed_fleet_chanx.

Arguments: the path of the layer's class, its options as JSON, the channel of a consumer in another process.
"""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any, Literal

from chanx.core.decorators import event_handler
from chanx.core.topic import Topic
from chanx.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx.messages.base import BaseMessage
from fast_channels.layers import register_channel_layer

__all__: list[str] = []


class Alert(BaseMessage):
    action: Literal["alert"] = "alert"
    payload: str


class Room(AsyncJsonWebsocketConsumer[Alert]):
    groups = ["room"]
    channel_layer_alias = "default"

    @event_handler
    async def on_alert(self, event: Alert) -> None: ...


class RunTopic(Topic[Alert]):
    pattern = "run:{run_id}"

    @event_handler
    async def on_alert(self, event: Alert) -> None: ...


async def main() -> None:
    path, options, channel = sys.argv[1:]
    module, _, name = path.rpartition(".")
    layer: Any = getattr(importlib.import_module(module), name)(**json.loads(options))
    register_channel_layer("default", layer)
    await Room.broadcast_event(Alert(payload="to a group"))
    await Room.send_event(Alert(payload="to one"), channel)
    await RunTopic.broadcast("run:7", Alert(payload="on a topic"), seq=3)
    await layer.group_send(
        "room",  # what ``broadcast_message()`` of a consumer sends
        {
            "type": "handle_group_message",
            "message": {"action": "said", "payload": {"text": "a broadcast", "room_name": None}},
            "exclude_current": False,
            "from_channel": "another",
        },
    )
    await layer.flush() if "pubsub" in path else await layer.close_pools()


asyncio.run(main())
