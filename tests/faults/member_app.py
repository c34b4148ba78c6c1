"""An app whose clients join many groups; REDIS, LAYER, PREFIX, OPTIONS (JSON) from the environment."""

from __future__ import annotations

import json
import os
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat import configure
from compat.generic.websocket import AsyncJsonWebsocketConsumer

configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": os.environ["LAYER"],
            "CONFIG": {
                "hosts": [os.environ["REDIS"]],
                "prefix": os.environ["PREFIX"],
                **json.loads(os.environ["OPTIONS"]),
            },
        }
    }
)


class Member(AsyncJsonWebsocketConsumer):
    groups = ["room", *(f"room{number}" for number in range(30))]

    async def numbered(self, event: Any) -> None:
        await self.send_json(event["n"])


app = Starlette(routes=[WebSocketRoute("/", Member.as_asgi())])
