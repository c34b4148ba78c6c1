"""A cache that keeps nothing."""

from __future__ import annotations

from typing import Any

from .base import DEFAULT_TIMEOUT, BaseCache

__all__ = ["DummyCache"]


class DummyCache(BaseCache):
    """For development: every look-up misses."""

    blocks = False

    def __init__(self, host: Any, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return True

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return default

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None: ...

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return False

    def delete(self, key: Any, version: int | None = None) -> bool:
        return False

    def clear(self) -> None: ...
