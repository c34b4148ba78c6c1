"""The consumer of the overview page: it describes the process that serves the client."""

from __future__ import annotations

import os
import time
from typing import Literal

from compat.layers import channel_layers
from compat.typed import BaseMessage, channel
from pydantic import BaseModel

from .base import BaseConsumer

__all__ = ["SystemConsumer"]

STARTED = time.time()


class LayerState(BaseModel):
    """A channel layer: its alias and its class."""

    alias: str
    kind: str


class Process(BaseModel):
    """The process that serves this connection."""

    pid: int
    up_s: float
    layers: list[LayerState]


class Hello(BaseMessage):
    """The first message to a client."""

    action: Literal["hello"] = "hello"
    payload: Process


@channel(name="system", description="Says which process serves you, and answers pings.", tags=["showcase"])
class SystemConsumer(BaseConsumer):
    emits = [Hello]

    async def post_authentication(self) -> None:
        layers = [
            LayerState(alias=alias, kind=type(channel_layers[alias]).__name__) for alias in channel_layers
        ]
        process = Process(pid=os.getpid(), up_s=round(time.time() - STARTED, 1), layers=layers)
        await self.send_message(Hello(payload=process))
