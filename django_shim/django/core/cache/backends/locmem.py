"""A cache in this process's memory: gone when it ends, unknown to other processes, shared by threads."""

from __future__ import annotations

import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from ....unserved import lacks

__all__ = ["DEFAULT_TIMEOUT", "LocMemCache"]

DEFAULT_TIMEOUT: Any = object()
"""Passed as ``timeout``: the cache's own (300 seconds unless CACHES says otherwise)."""

_MISSING: Any = object()
ASYNC_FORMS = {
    *("aadd", "aclear", "adecr", "adelete", "adelete_many", "aget", "aget_many", "aget_or_set"),
    *("ahas_key", "aincr", "aset", "aset_many", "atouch"),
}


_lacks = lacks(
    "django.core.cache.cache", "adecr_version aincr_version close decr_version incr_version validate_key"
)


class _Store:
    """The entries of one LOCATION: pickled values, the most recently used first, and when they are gone."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()
        self.lock = threading.Lock()


_stores: dict[str, _Store] = {}


class LocMemCache:
    """Values are pickled, so nothing can change what is stored. Beyond MAX_ENTRIES the oldest go.

    A timeout is in seconds, None for ever, 0 or less not at all. The forms with an ``a`` in front are for
    coroutines.
    """

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        timeout = params.get("TIMEOUT", 300)
        self.default_timeout: float | None = None if timeout is None else float(timeout)
        self._max_entries = int(params.get("OPTIONS", {}).get("MAX_ENTRIES", 300))
        self.key_prefix = str(params.get("KEY_PREFIX", ""))
        self.version = int(params.get("VERSION", 1))
        self._store = _stores.setdefault(name, _Store())

    def make_key(self, key: Any, version: int | None = None) -> str:
        """Return the key as it is stored."""
        return f"{self.key_prefix}:{self.version if version is None else version}:{key}"

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store, unless the key is there; True if it was stored."""
        full, pickled = self.make_key(key, version), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with self._store.lock:
            if self._alive(full):
                return False
            self._put(full, pickled, self._expires_at(timeout))
            return True

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or ``default``."""
        full = self.make_key(key, version)
        with self._store.lock:
            if not self._alive(full):
                return default
            self._store.entries.move_to_end(full, last=False)
            pickled, _ = self._store.entries[full]
        return pickle.loads(pickled)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store."""
        full, pickled = self.make_key(key, version), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with self._store.lock:
            self._put(full, pickled, self._expires_at(timeout))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Set a new timeout; return False if the key does not exist."""
        full = self.make_key(key, version)
        with self._store.lock:
            if not self._alive(full):
                return False
            self._store.entries[full] = (self._store.entries[full][0], self._expires_at(timeout))
            return True

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Add to a number; ValueError if it is not there."""
        full = self.make_key(key, version)
        with self._store.lock:
            if not self._alive(full):
                raise ValueError(f"there is no {key!r} in the cache")
            pickled, expires_at = self._store.entries[full]
            value = pickle.loads(pickled) + delta
            self._store.entries[full] = (pickle.dumps(value, pickle.HIGHEST_PROTOCOL), expires_at)
        return value

    def decr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Subtract from a number; ValueError if it is not there."""
        return self.incr(key, -delta, version)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove; False if it is not there."""
        full = self.make_key(key, version)
        with self._store.lock:
            return self._alive(full) and self._store.entries.pop(full, None) is not None

    def clear(self) -> None:
        """Remove everything."""
        with self._store.lock:
            self._store.entries.clear()

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """Return the value; if there is none, store ``default`` (or the result of calling it) first."""
        value = self.get(key, _MISSING, version)
        if value is not _MISSING:
            return value
        made = default() if callable(default) else default
        self.add(key, made, timeout, version)
        return self.get(key, made, version)  # another thread may have been first

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Is it there?"""
        return self.get(key, _MISSING, version) is not _MISSING

    __contains__ = has_key

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of those keys that exist."""
        found = {key: self.get(key, _MISSING, version) for key in keys}
        return {key: value for key, value in found.items() if value is not _MISSING}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Store several; the keys that could not be stored: none."""
        for key, value in data.items():
            self.set(key, value, timeout, version)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove several."""
        for key in keys:
            self.delete(key, version)

    def __getattr__(self, name: str) -> Any:
        if name not in ASYNC_FORMS:
            return _lacks(self, name)
        method = getattr(self, name[1:])

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)  # in memory: nothing to wait for

        return call

    def _expires_at(self, timeout: Any) -> float | None:
        """Return the time at which a value that is stored now expires; None for never."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else time.monotonic() + seconds

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
            for _ in range(len(entries) // 3):
                entries.popitem()
        entries[full] = (pickled, expires_at)
        entries.move_to_end(full, last=False)
