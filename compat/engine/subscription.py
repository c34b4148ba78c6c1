"""Connect a consumer's channel to its inbox."""

from __future__ import annotations

import asyncio
from typing import Any

from compat.engine.inbox import Inbox
from compat.engine.shielding import whole

__all__ = ["LAYER_TIMEOUT_S", "Subscription", "keeps_people", "pushes"]

LAYER_TIMEOUT_S = 5.0
"""Seconds to wait for a layer to leave the groups; after that it continues in the background."""


class Subscription:
    """A consumer's channel, which fills its inbox for as long as the consumer runs."""

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
        """Fill the inbox from a layer that cannot push, at most one message ahead of the handler."""
        try:
            while True:
                await self.inbox.pass_on(await self.layer.receive(self.channel))
        except Exception as error:  # noqa: BLE001 - any layer; the consumer's task raises its error
            self.inbox.fail(error)

    async def stop(self) -> None:
        """Read the channel no more; wait for the layer's ``receive()`` for ``LAYER_TIMEOUT_S`` at most."""
        pump, self.pump = self.pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait((pump,), timeout=LAYER_TIMEOUT_S)

    async def end(self) -> None:
        """Give up the channel, and its groups if the layer knows them.

        After ``stop()`` a cancellation does not interrupt it. Raises TimeoutError if the layer is not done in
        ``LAYER_TIMEOUT_S``; it continues in the background.
        """
        if getattr(self.layer, "tracks", False) is True:  # a mock has any attribute
            self.layer.departs(self.channel)
        await self.stop()
        layer = self.layer
        if getattr(layer, "detaches_at_once", False) is True:
            await layer.detach(self.channel)
        elif hasattr(type(layer), "detach"):
            leaving = await whole(layer.detach(self.channel), LAYER_TIMEOUT_S)
            if not leaving.done():
                raise TimeoutError(f"the layer has not answered within {LAYER_TIMEOUT_S:g} s")


def keeps_people(layer: Any) -> bool:
    """Return True if the layer tracks who is in some of its groups; a mock does not."""
    knows_people = isinstance(getattr(layer, "tracks", None), bool)
    return knows_people and bool(layer.presence_rules)


def pushes(layer: Any) -> bool:
    """Return True if the layer has ``attach`` and ``detach``, and no subclass has overridden ``receive()``.

    Such a subclass wants to see every message (to decrypt, count or filter it).
    """
    cls = type(layer)
    known = _pushing.get(cls)
    if known is None:
        known = _pushing[cls] = _instances_push(cls)
    return known


_pushing: dict[type, bool] = {}
"""The result for each class of layers; a process has few of them."""


def _instances_push(cls: type) -> bool:
    for base in cls.__mro__:
        if "attach" in vars(base):
            return hasattr(cls, "detach")
        if "receive" in vars(base):
            return False
    return False
