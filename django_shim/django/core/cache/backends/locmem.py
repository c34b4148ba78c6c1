"""A cache in this process's memory: gone when it ends, unknown to other processes, shared by threads."""

from __future__ import annotations

import pickle
import threading
import time
from collections import OrderedDict
from typing import Any

from .base import DEFAULT_TIMEOUT, BaseCache

__all__ = ["LocMemCache"]


class _Store:
    """The entries of one LOCATION: pickled values, the most recently used first, and when they are gone."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()
        self.lock = threading.Lock()


_stores: dict[str, _Store] = {}


class LocMemCache(BaseCache):
    """Values are pickled, so nobody can change what is stored. Beyond MAX_ENTRIES the oldest go."""

    blocks = False

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._store = _stores.setdefault(name, _Store())

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        full, pickled = self.make_key(key, version), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with self._store.lock:
            if self._alive(full):
                return False
            self._put(full, pickled, self.expires_at(timeout))
            return True

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        full = self.make_key(key, version)
        with self._store.lock:
            if not self._alive(full):
                return default
            self._store.entries.move_to_end(full, last=False)
            pickled, _ = self._store.entries[full]
        return pickle.loads(pickled)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        full, pickled = self.make_key(key, version), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with self._store.lock:
            self._put(full, pickled, self.expires_at(timeout))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        full = self.make_key(key, version)
        with self._store.lock:
            if not self._alive(full):
                return False
            self._store.entries[full] = (self._store.entries[full][0], self.expires_at(timeout))
            return True

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        full = self.make_key(key, version)
        with self._store.lock:
            if not self._alive(full):
                raise ValueError(f"there is no {key!r} in the cache")
            pickled, expires_at = self._store.entries[full]
            value = pickle.loads(pickled) + delta
            self._store.entries[full] = (pickle.dumps(value, pickle.HIGHEST_PROTOCOL), expires_at)
        return value

    def delete(self, key: Any, version: int | None = None) -> bool:
        full = self.make_key(key, version)
        with self._store.lock:
            return self._alive(full) and self._store.entries.pop(full, None) is not None

    def clear(self) -> None:
        with self._store.lock:
            self._store.entries.clear()

    def _alive(self, full: str) -> bool:
        """Is it there? What has expired is removed. Called with the lock held."""
        entry = self._store.entries.get(full)
        if entry is None:
            return False
        if entry[1] is not None and entry[1] <= time.monotonic():
            del self._store.entries[full]
            return False
        return True

    def _put(self, full: str, pickled: bytes, expires_at: float | None) -> None:
        entries = self._store.entries
        if full not in entries and len(entries) >= self._max_entries:
            for _ in range(len(entries) // self._cull_frequency if self._cull_frequency else len(entries)):
                entries.popitem()
        entries[full] = (pickled, expires_at)
        entries.move_to_end(full, last=False)
