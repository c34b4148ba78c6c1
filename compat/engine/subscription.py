"""A consumer's channel, attached to its inbox for as long as the consumer runs."""

from __future__ import annotations

import asyncio
from typing import Any

from compat.engine.inbox import Inbox
from compat.engine.shielding import whole

__all__ = ["LAYER_TIMEOUT_S", "Subscription", "pushes"]

LAYER_TIMEOUT_S = 5.0
"""How long a layer may take to leave the groups before that is left to the background."""


class Subscription:
    """A consumer's channel, attached to its inbox for as long as it runs."""

    __slots__ = ("channel", "inbox", "layer", "pump")

    def __init__(self, layer: Any, channel: str, inbox: Inbox) -> None:
        self.layer = layer
        self.channel = channel
        self.inbox = inbox
        self.pump: asyncio.Task[None] | None = None
        if pushes(layer):
            layer.attach(channel, inbox)
        else:
            inbox.belong_to(None, channel)
            self.pump = inbox.loop.create_task(self._pump())

    async def _pump(self) -> None:
        """Feed the inbox from a layer that can only be asked; one message ahead of the handler at most."""
        try:
            while True:
                await self.inbox.put(await self.layer.receive(self.channel))
        except Exception as error:  # noqa: BLE001 - any layer; the consumer gets its error
            self.inbox.fail(error)

    async def end(self) -> None:
        """Let go of the channel, and of its groups where the layer knows them. A cancellation has to wait.

        Raises TimeoutError when that goes on in the background.
        """
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.wait((self.pump,), timeout=LAYER_TIMEOUT_S)
        layer = self.layer
        if getattr(layer, "detaches_at_once", False):
            await layer.detach(self.channel)
        elif hasattr(type(layer), "detach"):
            leaving = await whole(layer.detach(self.channel), LAYER_TIMEOUT_S)
            if not leaving.done():
                raise TimeoutError(f"the layer has not answered within {LAYER_TIMEOUT_S:g} s")


def pushes(layer: Any) -> bool:
    """True for a ``PushLayer``, by duck type, unless a subclass of one has a ``receive()`` of its own.

    That one was written to see every message (to decrypt, count or filter it), so it is asked for each.
    """
    cls = type(layer)
    known = _pushing.get(cls)
    if known is None:
        known = _pushing[cls] = _instances_push(cls)
    return known


_pushing: dict[type, bool] = {}
"""Classes of layers, of which a process has few."""


def _instances_push(cls: type) -> bool:
    for base in cls.__mro__:
        if "attach" in vars(base):
            return hasattr(cls, "detach")
        if "receive" in vars(base):
            return False
    return False
