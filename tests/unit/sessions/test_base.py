"""A session is a dict that loads itself, is saved under a key, and lasts for a time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from compat import session_memory
from compat.layers import register_channel_layer, unregister_channel_layer
from compat.sessions.base import SessionBase, UpdateError
from compat.sessions.layer import LayerSession
from compat.sessions.memory import MemorySession
from tests.support.layers import KINDS, Kind, make_layer


@pytest.fixture(autouse=True)
def empty_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sessions of other tests."""
    monkeypatch.setattr(MemorySession, "_kept", {})
    monkeypatch.setattr(MemorySession, "_next_sweep", 0.0)


class WaitingSession(SessionBase):
    """A store that must wait for its data, as one in Redis would."""

    kept: dict[str, dict[str, Any]] = {}

    async def aread(self, key: str) -> dict[str, Any] | None:
        return self.kept.get(key)

    async def awrite(self, key: str | None, data: dict[str, Any], lifetime_s: int) -> str:
        if key is not None and key not in self.kept:
            raise UpdateError(key)
        key = key or f"waiting-{len(self.kept)}"
        self.kept[key] = dict(data)
        return key

    async def aremove(self, key: str) -> None:
        self.kept.pop(key, None)


LAYERS = [kind for kind in KINDS if kind.name in ("memory", "queue-3-hosts", "pubsub")]


@pytest.fixture(params=[MemorySession, WaitingSession, *LAYERS], ids=str)
async def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(WaitingSession, "kept", {})
    if not isinstance(request.param, Kind):
        yield request.param
        return
    layer = make_layer(request.param, request.getfixturevalue("redis_url"))
    register_channel_layer("default", layer)
    yield LayerSession
    unregister_channel_layer("default")
    await (layer.close_pools() if request.param.hosts else layer.close())


async def test_what_is_saved_is_found_by_its_key(store: type[SessionBase]) -> None:
    session = store()
    await session.aupdate({"a": 1, "b": [2]})
    assert await session.asetdefault("c", 3) == 3
    assert await session.apop("a") == 1
    assert session.modified
    await session.asave()
    assert session.session_key is not None
    again = store(session.session_key)
    assert dict(await again.aitems()) == {"b": [2], "c": 3}
    assert sorted(await again.akeys()) == ["b", "c"] and [2] in await again.avalues()
    assert await again.ahas_key("b") and not await again.ahas_key("a")
    assert again.accessed and not again.modified
    assert await again.aexists(session.session_key)


async def test_saved_again_it_keeps_its_key(store: type[SessionBase]) -> None:
    session = store()
    await session.acreate()
    key = session.session_key
    await session.aset("a", 1)
    await session.asave()
    assert session.session_key == key
    assert await store(key).aget("a") == 1


async def test_a_cycled_key_keeps_the_data_and_ends_the_old_key(store: type[SessionBase]) -> None:
    session = store()
    await session.aset("a", 1)
    await session.asave()
    old = session.session_key
    assert old is not None
    await session.acycle_key()
    assert session.session_key != old
    assert await store(session.session_key).aget("a") == 1
    assert not await store().aexists(old)


async def test_flushed_it_is_gone(store: type[SessionBase]) -> None:
    session = store()
    await session.aset("a", 1)
    await session.asave()
    key = session.session_key
    assert key is not None
    await session.aflush()
    assert session.session_key is None and session.is_empty() and session.modified
    assert not await store().aexists(key)


async def test_saved_after_somebody_deleted_it_it_is_an_update_error(store: type[SessionBase]) -> None:
    session = store()
    await session.acreate()
    await store().adelete(session.session_key)
    with pytest.raises(UpdateError):
        await session.asave()


async def test_lifetimes(store: type[SessionBase]) -> None:
    session = store()
    assert await session.aget_expiry_age() == 1209600
    assert not await session.aget_expire_at_browser_close()
    await session.aset_expiry(300)
    assert session.get_expiry_age() == 300
    await session.aset_expiry(0)
    assert session.get_expire_at_browser_close()
    await session.aset_expiry(datetime.now(timezone.utc) + timedelta(seconds=600))
    assert 590 < session.get_expiry_age() <= 600
    await session.aset_expiry(timedelta(minutes=20))
    assert 1190 < session.get_expiry_age() <= 1200
    await session.aset_expiry(None)
    assert session.get_expiry_age() == 1209600


def test_a_store_that_waits_says_so_to_code_that_does_not() -> None:
    with pytest.raises(NotImplementedError, match=r"WaitingSession has no read\(\).*await session\.aget"):
        WaitingSession("long-enough-key").get("a")


def test_the_plain_forms() -> None:
    session = MemorySession()
    session["a"] = 1
    session.update({"b": 2})
    assert session.setdefault("b", 3) == 2 and session.setdefault("c", 3) == 3
    assert sorted(session) == ["a", "b", "c"] and "a" in session and session.has_key("c")
    assert (
        sorted(session.values()) == [1, 2, 3] and dict(session.items())["a"] == 1 and len(session.keys()) == 3
    )
    del session["a"]
    assert session.pop("c") == 3 and session.pop("c", None) is None
    with pytest.raises(KeyError):
        session.pop("c")
    session.save()
    key = session.session_key
    assert key is not None and session.exists(key)
    session.cycle_key()
    assert session.session_key is not None and not session.exists(key)
    assert dict(MemorySession(session.session_key).items()) == {"b": 2}
    session.flush()
    assert MemorySession._kept == {}


def test_what_is_in_the_store_is_nobodys_to_change() -> None:
    session = MemorySession()
    session["list"] = [1]
    session.save()
    session["list"].append(2)
    assert MemorySession(session.session_key)["list"] == [1]


def test_a_session_expires_and_is_swept_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(MemorySession, "clock", staticmethod(lambda: now))
    session = MemorySession()
    session.set_expiry(100)
    session.save()
    key = session.session_key
    assert key is not None
    now += 99
    assert session.exists(key)
    now += 2
    assert not session.exists(key)
    with pytest.raises(UpdateError):
        session.save()
    MemorySession().create()
    assert key not in MemorySession._kept


def test_keys_cannot_be_guessed_and_short_ones_are_no_keys() -> None:
    keys = {session_memory.new_session_key() for _ in range(100)}
    assert len(keys) == 100 and all(len(key) == 32 and key.isalnum() for key in keys)
    assert MemorySession("short").session_key is None
