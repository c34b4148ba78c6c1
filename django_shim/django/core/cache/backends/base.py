"""What every cache can do, on top of ``get``, ``add``, ``set``, ``touch``, ``delete`` and ``clear``.

The forms with an ``a`` in front are for coroutines; they call the plain ones in a thread unless a backend
says that it never blocks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from asgiref.sync import sync_to_async

from compat.exceptions import ImproperlyConfigured

from ....unserved import NOT_A_PACKAGE, attribute_of
from ....utils.module_loading import import_string

__all__ = ["DEFAULT_TIMEOUT", "BaseCache", "InvalidCacheBackendError"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)

DEFAULT_TIMEOUT: Any = object()
"""Passed as ``timeout``: the cache's own (300 seconds unless CACHES says otherwise)."""

_MISSING: Any = object()


class InvalidCacheBackendError(ImproperlyConfigured):
    """CACHES names a backend that cannot be used."""


def default_key_func(key: Any, key_prefix: str, version: int) -> str:
    """``prefix:version:key``"""
    return f"{key_prefix}:{version}:{key}"


class BaseCache:
    """Keys are text; a timeout is in seconds, None for ever, 0 or less not at all."""

    blocks = True
    """May an operation wait for something?"""

    def __init__(self, params: dict[str, Any]) -> None:
        timeout = params.get("timeout", params.get("TIMEOUT", 300))
        self.default_timeout: float | None = None if timeout is None else float(timeout)
        options = params.get("OPTIONS", {})
        self._max_entries = int(params.get("max_entries", options.get("MAX_ENTRIES", 300)))
        self._cull_frequency = int(params.get("cull_frequency", options.get("CULL_FREQUENCY", 3)))
        self.key_prefix = str(params.get("KEY_PREFIX", ""))
        self.version = int(params.get("VERSION", 1))
        key_func = params.get("KEY_FUNCTION") or default_key_func
        self.key_func = key_func if callable(key_func) else import_string(key_func)

    def make_key(self, key: Any, version: int | None = None) -> str:
        """The key as it is stored."""
        return str(self.key_func(key, self.key_prefix, self.version if version is None else version))

    def expires_at(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        """The moment when something stored now is gone; None for never."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else time.monotonic() + seconds

    # What a backend has to write.

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store, unless the key is there; True if it was stored."""
        raise NotImplementedError(f"{type(self).__name__} has no add()")

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value, or ``default``."""
        raise NotImplementedError(f"{type(self).__name__} has no get()")

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store."""
        raise NotImplementedError(f"{type(self).__name__} has no set()")

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """A new timeout for what is there; False if it is not."""
        raise NotImplementedError(f"{type(self).__name__} has no touch()")

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove; False if it is not there."""
        raise NotImplementedError(f"{type(self).__name__} has no delete()")

    def clear(self) -> None:
        """Remove everything."""
        raise NotImplementedError(f"{type(self).__name__} has no clear()")

    # What follows from that.

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Those of the keys that are there."""
        found = {key: self.get(key, _MISSING, version=version) for key in keys}
        return {key: value for key, value in found.items() if value is not _MISSING}

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """The value; where there is none ``default`` (or, of a function, its result) is stored first."""
        value = self.get(key, _MISSING, version=version)
        if value is not _MISSING:
            return value
        made = default() if callable(default) else default
        self.add(key, made, timeout=timeout, version=version)
        return self.get(key, made, version=version)  # another thread may have been first

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Is it there?"""
        return self.get(key, _MISSING, version=version) is not _MISSING

    def __contains__(self, key: Any) -> bool:
        return self.has_key(key)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Add to a number; ValueError if it is not there."""
        value = self.get(key, _MISSING, version=version)
        if value is _MISSING:
            raise ValueError(f"there is no {key!r} in the cache")
        self.set(key, value + delta, version=version)
        return value + delta

    def decr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Subtract from a number."""
        return self.incr(key, -delta, version=version)

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Store several; the keys that could not be stored."""
        for key, value in data.items():
            self.set(key, value, timeout=timeout, version=version)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove several."""
        for key in keys:
            self.delete(key, version=version)

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move a value to another version of its key."""
        old = self.version if version is None else version
        value = self.get(key, _MISSING, version=old)
        if value is _MISSING:
            raise ValueError(f"there is no {key!r} in the cache")
        self.set(key, value, version=old + delta)
        self.delete(key, version=old)
        return old + delta

    def decr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """The other way."""
        return self.incr_version(key, -delta, version)

    def close(self, **kwargs: Any) -> None:
        """Nothing to close."""

    def __getattr__(self, name: str) -> Any:
        plain = name[1:]
        if name.startswith("a") and plain in _ASYNC_FORMS:
            return self._async_form(getattr(self, plain))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    def _async_form(self, method: Any) -> Any:
        if self.blocks:
            return sync_to_async(method, thread_sensitive=True)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return call


_ASYNC_FORMS = {
    "add",
    "clear",
    "close",
    "decr",
    "decr_version",
    "delete",
    "delete_many",
    "get",
    "get_many",
    "get_or_set",
    "has_key",
    "incr",
    "incr_version",
    "set",
    "set_many",
    "touch",
}
