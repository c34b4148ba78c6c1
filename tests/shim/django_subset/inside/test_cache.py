"""The cache in memory."""

from __future__ import annotations

import time

import pytest
from django.core.cache import InvalidCacheBackendError, cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings


def test_what_is_stored_is_there() -> None:
    assert cache.get("a") is None and cache.get("a", 5) == 5 and "a" not in cache
    cache.set("a", [1])
    cache.get("a").append(2)
    assert cache.get("a") == [1] and "a" in cache and cache.has_key("a")
    assert not cache.add("a", 2) and cache.add("b", None)
    assert cache.get("b", "default") is None
    assert cache.delete("a") and not cache.delete("a")
    cache.set_many({"x": 1, "y": 2})
    assert cache.get_many(["x", "y", "z"]) == {"x": 1, "y": 2}
    cache.delete_many(["x"])
    assert cache.get_or_set("x", lambda: "made") == "made" == cache.get_or_set("x", "other")
    cache.clear()
    assert cache.get("y") is None


def test_counting() -> None:
    cache.set("n", 1)
    assert (cache.incr("n"), cache.incr("n", 5), cache.decr("n", 2)) == (2, 7, 5)
    with pytest.raises(ValueError, match="there is no 'nope' in the cache"):
        cache.incr("nope")


def test_versions_and_prefixes() -> None:
    cache.set("v", "one")
    cache.set("v", "two", version=2)
    assert (cache.get("v"), cache.get("v", version=2)) == ("one", "two")
    assert cache.make_key("k") == ":1:k"


def test_things_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now)
    cache.set("short", 1, timeout=10)
    cache.set("for ever", 1, timeout=None)
    cache.set("never", 1, timeout=0)
    cache.set("standard", 1)
    assert cache.get("never") is None and cache.touch("short", 100) and not cache.touch("nope")
    now += 50
    assert cache.get("short") == 1
    now += 260
    assert cache.get("short") is None and cache.get("standard") is None and cache.get("for ever") == 1
    assert cache.add("short", 2)


def test_there_is_a_limit() -> None:
    small = LocMemCache("small", {"OPTIONS": {"MAX_ENTRIES": 3}})
    for number in range(3):
        small.set(number, number)
    small.get(0)
    small.set(3, 3)
    assert [small.get(number) for number in range(4)] == [0, None, 2, 3]


async def test_coroutines_have_forms_of_their_own() -> None:
    await cache.aset("a", 1)
    assert await cache.aget("a") == 1 and await cache.aincr("a") == 2 and await cache.ahas_key("a")
    assert not await cache.aadd("a", 5) and await cache.atouch("a") and await cache.aget_or_set("b", 3) == 3
    await cache.aset_many({"c": 1})
    assert await cache.aget_many(["c"]) == {"c": 1}
    await cache.adelete_many(["c"])
    assert await cache.adelete("a")
    await cache.aclear()
    with pytest.raises(AttributeError):
        _ = cache.anope


def test_backends_of_djangos_that_are_not_served() -> None:
    config = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://"}}
    with (
        override_settings(CACHES=config),
        pytest.raises(InvalidCacheBackendError, match="needs the real Django"),
    ):
        cache.get("a")
    with (
        override_settings(CACHES={"default": {"BACKEND": "nope.Cache"}}),
        pytest.raises(InvalidCacheBackendError),
    ):
        cache.get("a")
    with pytest.raises(InvalidCacheBackendError, match="there is no cache 'other'"):
        caches["other"]
    assert list(caches) == ["default"]
