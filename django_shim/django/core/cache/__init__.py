"""``cache``: what ``CACHES`` describes, in this process's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.settings import on_change

from ...conf import settings
from ...unserved import needs_django
from .backends.locmem import LocMemCache

__all__ = ["DEFAULT_CACHE_ALIAS", "InvalidCacheBackendError", "cache", "caches"]

DEFAULT_CACHE_ALIAS = "default"
BACKEND = "django.core.cache.backends.locmem.LocMemCache"


class InvalidCacheBackendError(ImproperlyConfigured):
    """CACHES names a backend that cannot be used."""


class CacheHandler:
    """The caches by their alias; they are made when they are first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, LocMemCache] = {}

    def __getitem__(self, alias: str) -> LocMemCache:
        made = self._made.get(alias)
        if made is None:
            made = self._made[alias] = _make(alias)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(settings.CACHES)

    def reset(self) -> None:
        """Read CACHES again."""
        self._made.clear()


def _make(alias: str) -> LocMemCache:
    if alias not in settings.CACHES:
        raise InvalidCacheBackendError(
            f"there is no cache {alias!r}. CACHES has: {', '.join(settings.CACHES)}."
        )
    options = settings.CACHES[alias]
    if options.get("BACKEND") != BACKEND:
        raise InvalidCacheBackendError(
            f"CACHES[{alias!r}]: {needs_django(str(options.get('BACKEND')))} Without it there is: {BACKEND}."
        )
    return LocMemCache(options.get("LOCATION", ""), options)


class CacheProxy:
    """The default cache, whichever it is at the moment."""

    def __getattr__(self, name: str) -> Any:
        return getattr(caches[DEFAULT_CACHE_ALIAS], name)

    def __contains__(self, key: object) -> bool:
        return key in caches[DEFAULT_CACHE_ALIAS]


caches = CacheHandler()
cache: Any = CacheProxy()


def _forget(name: str) -> None:
    if name == "CACHES":
        caches.reset()


on_change(_forget)
