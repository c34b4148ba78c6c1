"""``cache``: what ``CACHES`` describes, in this process's memory unless a backend of the project's own is
named.
"""

from __future__ import annotations

from typing import Any

from asgiref.local import Local

from compat.settings import on_change

from ...conf import settings
from ...unserved import attribute_of, needs_django
from ...utils.module_loading import import_string
from .backends.base import BaseCache, InvalidCacheBackendError

__all__ = ["DEFAULT_CACHE_ALIAS", "BaseCache", "InvalidCacheBackendError", "cache", "caches"]

DEFAULT_CACHE_ALIAS = "default"
SERVED = {
    "django.core.cache.backends.dummy.DummyCache",
    "django.core.cache.backends.locmem.LocMemCache",
}

__getattr__ = attribute_of(__name__)


class CacheHandler:
    """Caches by their alias; one object per thread, or task, and alias."""

    def __init__(self) -> None:
        self._made = Local()
        self._generation = 0

    def __getitem__(self, alias: str) -> Any:
        key = f"{alias}:{self._generation}"
        made = getattr(self._made, key, None)
        if made is None:
            made = self.create(alias)
            setattr(self._made, key, made)
        return made

    def __iter__(self) -> Any:
        return iter(settings.CACHES)

    def create(self, alias: str) -> Any:
        """A new object for that alias."""
        if alias not in settings.CACHES:
            raise InvalidCacheBackendError(
                f"there is no cache {alias!r}. CACHES has: {', '.join(settings.CACHES)}."
            )
        options = dict(settings.CACHES[alias])
        backend, location = options.pop("BACKEND", ""), options.pop("LOCATION", "")
        if backend.startswith("django.") and backend not in SERVED:
            raise InvalidCacheBackendError(
                f"CACHES[{alias!r}]: {needs_django(backend)} Without it there are: "
                f"{', '.join(sorted(SERVED))}."
            )
        try:
            return import_string(backend)(location, options)
        except ImportError as error:
            raise InvalidCacheBackendError(
                f"CACHES[{alias!r}]: the backend {backend!r} cannot be imported: {error}"
            ) from error

    def reset(self) -> None:
        """Read CACHES again."""
        self._generation += 1

    def close_all(self) -> None:
        """Nothing to close."""


class CacheProxy:
    """The default cache, whichever it is at the moment."""

    def __getattr__(self, name: str) -> Any:
        return getattr(caches[DEFAULT_CACHE_ALIAS], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(caches[DEFAULT_CACHE_ALIAS], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(caches[DEFAULT_CACHE_ALIAS], name)

    def __contains__(self, key: object) -> bool:
        return key in caches[DEFAULT_CACHE_ALIAS]


caches = CacheHandler()
cache: Any = CacheProxy()


def _forget(name: str) -> None:
    if name == "CACHES":
        caches.reset()


on_change(_forget)
