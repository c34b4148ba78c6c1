"""Sessions without Django: dicts that are loaded at first use, and saved by ``save()``.

A store subclasses ``SessionBase`` and writes ``read``, ``write`` and ``remove``, or their async forms.
``SESSION_ENGINE`` names its module, in which the class is ``SessionStore`` (for example
``compat.session_memory``).

Names and semantics are those of Django's session objects ("Using sessions in views" in its documentation), so
that ``scope["session"]`` works as with Django. The methods for test cookies, ``get_expiry_date()``,
``get_session_cookie_age()`` and the arguments of ``get_expiry_age()`` are not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from compat.resume.logouts import logged_out
from compat.settings import settings

__all__ = ["Data", "SessionBase", "UpdateError"]

Data = dict[str, Any]

SHORTEST_KEY = 8
EXPIRY = "_session_expiry"
"""The key of the session's own lifetime in its data: seconds, or an ISO 8601 date."""

_absent: Any = object()


class UpdateError(Exception):
    """A session that is to be saved was deleted from the store, for example by a logout."""


class SessionBase:
    """The data of one client, by ``session_key``; the key is None until the session is saved.

    Data is read at the first access, and written by ``save()``. Every method has an async form with the
    prefix ``a`` (``await session.aget("k")``), for stores that wait; after ``await session.aload_once()``,
    the plain forms can be used in async code too. Several tasks must not use a session at once.
    """

    def __init__(self, session_key: str | None = None) -> None:
        self.modified = False
        self.accessed = False
        self._data: Data | None = None
        self._is_stored = False
        """The store is known to have the key."""
        self._key = session_key if session_key and len(session_key) >= SHORTEST_KEY else None

    # Methods that a store implements.

    def read(self, key: str) -> Data | None:
        """Return the data of ``key``, or None if the store has no such key or it has expired."""
        raise NotImplementedError(self._unwritten("read"))

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        """Store ``data`` for ``lifetime_s`` seconds, and return its key; ``key`` is None for a new session.

        Raises UpdateError if the store no longer has ``key``.
        """
        raise NotImplementedError(self._unwritten("write"))

    def remove(self, key: str) -> None:
        """Delete ``key``, which may not exist."""
        raise NotImplementedError(self._unwritten("remove"))

    async def aread(self, key: str) -> Data | None:
        """Do the same as ``read``, in a store that waits."""
        return self.read(key)

    async def awrite(self, key: str | None, data: Data, lifetime_s: int) -> str:
        """Do the same as ``write``, in a store that waits."""
        return self.write(key, data, lifetime_s)

    async def aremove(self, key: str) -> None:
        """Do the same as ``remove``, in a store that waits."""
        self.remove(key)

    def _unwritten(self, name: str) -> str:
        cls = type(self).__name__
        return f"{cls} has no {name}(); if its store waits, use the async forms (await session.aget(…))"

    # Loading and saving.

    @property
    def session_key(self) -> str | None:
        """The key, which the cookie contains; None until the session is saved."""
        return self._key

    def load(self) -> Data:
        """Read and return the data. A key that the store does not have is dropped, so a client cannot choose
        its key.
        """
        return self._adopt(self.read(self._key) if self._key else None)

    async def aload(self) -> Data:
        return self._adopt(await self.aread(self._key) if self._key else None)

    async def aload_once(self) -> Data:
        """Return the data; read it if that has not been done."""
        return self._data if self._data is not None else await self.aload()

    def save(self, must_create: bool = False) -> None:
        """Write the data; with ``must_create`` under a new key."""
        data = self._loaded()
        self._key = self.write(None if must_create else self._key, data, self._store_lifetime())
        self._is_stored = True

    async def asave(self, must_create: bool = False) -> None:
        data = await self.aload_once()
        self._key = await self.awrite(None if must_create else self._key, data, self._store_lifetime())
        self._is_stored = True

    def create(self) -> None:
        """Save as a new session; it is empty if no data was loaded."""
        self._key, self.modified = None, True
        self.save(must_create=True)

    async def acreate(self) -> None:
        self._key, self.modified = None, True
        await self.asave(must_create=True)

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session from the store; this object keeps the data.

        A connection that waits for its client, who is its user by this session, ends.
        """
        if key := session_key or self._key:
            try:
                known = bool(session_key) or self._is_stored or self.read(key) is not None
            except Exception:  # noqa: BLE001 - what cannot be read can be deleted all the same
                known = True
            self.remove(key)
            if known:  # else any client may have made it up
                logged_out(key)

    async def adelete(self, session_key: str | None = None) -> None:
        if key := session_key or self._key:
            try:
                known = bool(session_key) or self._is_stored or await self.aread(key) is not None
            except Exception:  # noqa: BLE001 - as in ``delete``
                known = True
            await self.aremove(key)
            if known:
                logged_out(key)

    def exists(self, session_key: str) -> bool:
        return self.read(session_key) is not None

    async def aexists(self, session_key: str) -> bool:
        return await self.aread(session_key) is not None

    def flush(self) -> None:
        """Delete the session and its data, for a logout; the next save creates a new one."""
        self.delete()
        self._forget()

    async def aflush(self) -> None:
        await self.adelete()
        self._forget()

    def cycle_key(self) -> None:
        """Move the data to a new key, for a login: a key known before must become worthless."""
        self._loaded()
        old = self._key
        self.create()
        if old:
            self.remove(old)

    async def acycle_key(self) -> None:
        await self.aload_once()
        old = self._key
        await self.acreate()
        if old:
            await self.aremove(old)

    def is_empty(self) -> bool:
        """Return True if there is neither a key nor data, without reading."""
        return not self._key and not self._data

    def clear(self) -> None:
        """Drop the data without reading it."""
        self._data = {}
        self.accessed = self.modified = True

    def _adopt(self, found: Data | None) -> Data:
        self._is_stored = found is not None
        if found is None:
            self._key = None
        self._data = found or {}
        return self._data

    def _loaded(self) -> Data:
        self.accessed = True
        return self._data if self._data is not None else self.load()

    async def _aloaded(self) -> Data:
        self.accessed = True
        return await self.aload_once()

    def _forget(self) -> None:
        self.clear()
        self._key = None

    # The methods of a dict.

    def __contains__(self, key: object) -> bool:
        return key in self._loaded()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __getitem__(self, key: str) -> Any:
        return self._loaded()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._loaded()[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        del self._loaded()[key]
        self.modified = True

    def get(self, key: str, default: Any = None) -> Any:
        return self._loaded().get(key, default)

    def pop(self, key: str, default: Any = _absent) -> Any:
        data = self._loaded()
        self.modified = self.modified or key in data
        return data.pop(key) if default is _absent else data.pop(key, default)

    def setdefault(self, key: str, value: Any) -> Any:
        if key not in self._loaded():
            self[key] = value
        return self[key]

    def update(self, values: Mapping[str, Any]) -> None:
        self._loaded().update(values)
        self.modified = True

    def has_key(self, key: str) -> bool:
        return key in self

    def keys(self) -> Any:
        return self._loaded().keys()

    def values(self) -> Any:
        return self._loaded().values()

    def items(self) -> Any:
        return self._loaded().items()

    async def aget(self, key: str, default: Any = None) -> Any:
        return (await self._aloaded()).get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        await self._aloaded()
        self[key] = value

    async def apop(self, key: str, default: Any = _absent) -> Any:
        await self._aloaded()
        return self.pop(key, default)

    async def asetdefault(self, key: str, value: Any) -> Any:
        await self._aloaded()
        return self.setdefault(key, value)

    async def aupdate(self, values: Mapping[str, Any]) -> None:
        await self._aloaded()
        self.update(values)

    async def ahas_key(self, key: str) -> bool:
        return key in await self._aloaded()

    async def akeys(self) -> Any:
        return (await self._aloaded()).keys()

    async def avalues(self) -> Any:
        return (await self._aloaded()).values()

    async def aitems(self) -> Any:
        return (await self._aloaded()).items()

    # The lifetime.

    def set_expiry(self, value: int | datetime | timedelta | None) -> None:
        """Set the lifetime: seconds after the last change, a date, 0 (until the browser closes) or None (the
        default).
        """
        if value is None:
            self.pop(EXPIRY, None)
            return
        if isinstance(value, timedelta):
            value = datetime.now(timezone.utc) + value
        self[EXPIRY] = value.isoformat() if isinstance(value, datetime) else value

    def get_expiry_age(self) -> int:
        """Return the lifetime of the cookie and the stored data, in seconds."""
        expiry = self.get(EXPIRY)
        if isinstance(expiry, str):
            moment = datetime.fromisoformat(expiry)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            return int((moment - datetime.now(timezone.utc)).total_seconds())
        return int(expiry or settings.SESSION_COOKIE_AGE)

    def get_expire_at_browser_close(self) -> bool:
        """Return True if the cookie has no date, so that the browser deletes it when it closes."""
        expiry = self.get(EXPIRY)
        return bool(settings.SESSION_EXPIRE_AT_BROWSER_CLOSE) if expiry is None else expiry == 0

    async def aset_expiry(self, value: int | datetime | timedelta | None) -> None:
        await self._aloaded()
        self.set_expiry(value)

    async def aget_expiry_age(self) -> int:
        await self._aloaded()
        return self.get_expiry_age()

    async def aget_expire_at_browser_close(self) -> bool:
        await self._aloaded()
        return self.get_expire_at_browser_close()

    def _store_lifetime(self) -> int:
        return max(0, self.get_expiry_age())
