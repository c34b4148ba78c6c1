"""The interfaces that the engine needs: of a consumer, and of the object that runs its handlers."""

from __future__ import annotations

from typing import Any, Protocol

from compat.types import Scope

__all__ = ["Consumer", "Work"]


class Consumer(Protocol):
    """The attributes and methods of a consumer that the engine uses."""

    scope: Scope
    channel_layer_alias: str
    channel_layer: Any
    channel_name: str
    concurrency: int

    def _find_layer(self) -> Any: ...

    def _set_channel(self, name: str) -> None: ...

    def _missing_layer(self) -> str: ...


class Work(Protocol):
    """Handlers and queued frames that may remain when a consumer's task has taken its last message."""

    async def flush(self) -> None:
        """Send the frames that handlers have queued, for ``CLOSE_TIMEOUT_S`` at most."""

    async def idle(self) -> None:
        """Wait until no handler runs."""
