"""Sessions in an async key-value store: a Redis client, or another object with its get, set and delete.

    class SessionStore(KeyValueSession):            # SESSION_ENGINE = the name of its module
        def store(self):
            return redis_client

``compat.session_layer`` uses the store of a channel layer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgiref.sync import async_to_sync

from compat.layers.values import KeyValues
from compat.sessions.base import Data, SessionBase, UpdateError
from compat.sessions.memory import new_session_key

__all__ = ["KeyValueSession"]

T = TypeVar("T")


class KeyValueSession(SessionBase):
    """A session whose data is JSON in a ``KeyValues`` store, under ``prefix`` and its key.

    The plain forms (``session["k"]`` before the session is loaded, ``save()``) block, so they are for sync
    consumers; in an event loop they raise RuntimeError with the async form. ``save()`` raises ValueError for
    data that is not JSON.
    """

    prefix = "session:"

    def store(self) -> KeyValues:
        """Return the client of the store."""
        raise NotImplementedError(
            f"{type(self).__name__} has no store(); write one that returns a client of your store"
        )

    async def aread(self, key: str) -> Data | None:
        text = await self.store().get(self.prefix + key)
        data = None if text is None else json.loads(text)
        return data if isinstance(data, dict) else None

    async def awrite(self, key: str | None, data: Data, lifetime_s: int) -> str:
        name = key or new_session_key()
        try:
            text = json.dumps(data)
        except TypeError as error:
            raise ValueError(f"the data of a session must be JSON: {error}") from error
        # Redis does not accept a lifetime of 0, which an expired session has.
        kept = await self.store().set(self.prefix + name, text, ex=max(1, lifetime_s), xx=key is not None)
        if not kept:
            raise UpdateError(f"the session is no longer in the store of {type(self).__name__}")
        return name

    async def aremove(self, key: str) -> None:
        await self.store().delete(self.prefix + key)

    def read(self, key: str) -> Data | None:
        return _blocking(self.aread, "aget(…)", key)

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        return _blocking(self.awrite, "asave()", key, data, lifetime_s)

    def remove(self, key: str) -> None:
        _blocking(self.aremove, "adelete()", key)


def _blocking(function: Callable[..., Awaitable[T]], instead: str, *args: Any) -> T:
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(f"this session waits for its store; in async code write await session.{instead}")
    result: T = async_to_sync(function)(*args)
    return result
