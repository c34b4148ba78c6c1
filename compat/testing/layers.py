"""A channel layer that fails on demand, to test an application without its Redis.

layer = FaultyChannelLayer()
layer.fail("group_send", times=2)        # then it works again
layer.lose("send")                       # the next message is lost without an error
with layer.held("group_add"):            # group_add waits until the block ends
    ...
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from compat.exceptions import LayerUnavailable
from compat.layers.memory import InMemoryChannelLayer

__all__ = ["FaultyChannelLayer"]

METHODS = ("send", "receive", "new_channel", "group_add", "group_discard", "group_send", "flush", "detach")

_LOSE: Any = object()


class FaultyChannelLayer(InMemoryChannelLayer):
    """A layer in memory whose methods can fail, wait, or lose messages on demand.

    ``METHODS`` are the names of its async methods. ``calls`` counts the calls of each.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: dict[str, int] = defaultdict(int)
        self._faults: dict[str, deque[Any]] = defaultdict(deque)
        self._gates: dict[str, list[asyncio.Event]] = defaultdict(list)
        for name in METHODS:
            setattr(self, name, self._faulty(name, getattr(self, name)))

    def fail(self, method: str, error: Exception | None = None, *, times: int = 1) -> None:
        """Make the next ``times`` calls of ``method`` raise ``error`` (LayerUnavailable if it is None)."""
        failure = LayerUnavailable(f"{method}(): made to fail by a test") if error is None else error
        self._faults[_known(method)].extend([failure] * times)

    def lose(self, method: str, *, times: int = 1) -> None:
        """Make the next ``times`` calls of ``send`` or ``group_send`` do nothing."""
        if method not in ("send", "group_send"):
            raise ValueError(f"lose() is for 'send' and 'group_send', not for {method!r}")
        self._faults[method].extend([_LOSE] * times)

    @contextmanager
    def held(self, method: str) -> Iterator[None]:
        """Make every call of ``method`` wait until the block, and each other one about it, ends."""
        gate = asyncio.Event()
        self._gates[_known(method)].append(gate)
        try:
            yield
        finally:
            self._gates[method].remove(gate)
            gate.set()

    def heal(self) -> None:
        """Cancel the failures and losses that have not happened yet."""
        self._faults.clear()

    def _faulty(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            for gate in tuple(self._gates[name]):  # a block that begins later holds other calls
                await gate.wait()
            if faults := self._faults[name]:
                fault = faults.popleft()
                if fault is _LOSE:
                    return None
                raise fault
            return await method(*args, **kwargs)

        return call


def _known(method: str) -> str:
    if method not in METHODS:
        raise ValueError(f"a layer has no method {method!r}; there are {', '.join(METHODS)}")
    return method
