"""What the engine needs of others: of a consumer, and of what runs its handlers."""

from __future__ import annotations

from typing import Any, Protocol

from compat.types import Scope

__all__ = ["Consumer", "Work"]


class Consumer(Protocol):
    """What the engine needs of a consumer."""

    scope: Scope
    channel_layer_alias: str
    channel_layer: Any
    channel_name: str
    concurrency: int

    def _find_layer(self) -> Any: ...

    def _set_channel(self, name: str) -> None: ...

    def _missing_layer(self) -> str: ...


class Work(Protocol):
    """What may still go on when a consumer's task has come to the end of its messages."""

    async def flush(self) -> None:
        """Send what handlers have queued, for ``CLOSE_TIMEOUT_S`` at most."""

    async def idle(self) -> None:
        """Return when no handler runs any more."""
