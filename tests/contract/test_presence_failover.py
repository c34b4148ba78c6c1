"""Who is here after a failover, and while a host is silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.layers.redis import RedisChannelLayer, people
from tests.contract.test_presence import Tab, here
from tests.faults.rooms import QUICK
from tests.support.layers import close, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

Make = Callable[..., RedisChannelLayer]


@pytest_asyncio.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes layers of one fleet, whose leases outlive a restart."""
    monkeypatch.setattr(people, "LEASE_S", 5.0)
    monkeypatch.setattr(people, "BEAT_S", 0.2)
    made: list[RedisChannelLayer] = []
    prefix = unique_prefix()

    def factory(*urls: str, limits: str = QUICK) -> RedisChannelLayer:
        made.append(RedisChannelLayer(hosts=[url + limits for url in urls], prefix=prefix))
        return made[-1]

    yield factory
    await close(*made)


class Page:
    """What a page knows that discards each change whose version is not higher than that of what it has."""

    def __init__(self) -> None:
        self.people: set[str] = set()
        self.version = 0

    def show(self, text: str) -> None:
        told = json.loads(text)
        if told["version"] <= self.version:
            return
        self.version = told["version"]
        if "people" in told:
            self.people = set(told["people"])
        else:
            self.people = (self.people | set(told["joins"])) - set(told["leaves"])


async def test_a_master_that_lacks_the_last_changes(redis_server: RedisServer, make: Make) -> None:
    one, two = make(redis_server.url), make(redis_server.url)
    page = Page()
    ear = await (await Tab.open(two, hears=True)).track("ear")
    await two.show("chat_x", ear.channel, page.show)
    for name in ("carol", "dora"):
        await (await Tab.open(one)).track(name)
    bob = await (await Tab.open(one)).track("bob")
    await here(two, {"ear": 1, "bob": 1, "carol": 1, "dora": 1})
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.save()  # what is there after the restart
    await (await Tab.open(one)).track("alice")
    await bob.layer.untrack("chat_x", bob.channel)
    expected = {"ear", "alice", "carol", "dora"}
    await until_async(lambda: page.people == expected, "the page knows the last changes")
    before = page.version
    await asyncio.to_thread(redis_server.restart)
    for layer in (one, two):
        await here(layer, dict.fromkeys(expected, 1))
    await (await Tab.open(one)).track("eve")
    await until_async(lambda: page.people == {*expected, "eve"}, "the page is told of what comes later")
    assert page.version > before
    assert "bob" not in await two.presence("chat_x")
    of_those_who_stayed = {"ear", "carol", "dora"} & set(ear.left())
    assert not of_those_who_stayed, "nobody is seen to leave who is here all the time"


async def test_connections_that_are_cut_change_nothing(redis_server: RedisServer, make: Make) -> None:
    with Proxy(redis_server.port) as proxy:
        one, two = make(proxy.url), make(redis_server.url)
        ear = await (await Tab.open(two, hears=True)).track("ear")
        for name in ("ada", "bob"):
            await (await Tab.open(one)).track(name)
        await until_async(lambda: set(ear.joined()) >= {"ada", "bob"}, "they are here")
        wire: Any
        with redis.Redis.from_url(redis_server.url) as wire:
            versions = wire.hget(one.keys.people("chat_x"), "v")
            heard = len(ear.diffs())
            await asyncio.to_thread(proxy.cut)
            await until_async(lambda: one.metrics.reconnects, "it has connected again")
            await (await Tab.open(one)).track("eve")
            await until_async(lambda: "eve" in ear.joined(), "somebody comes")
            assert int(wire.hget(one.keys.people("chat_x"), "v")) == int(versions) + 1
        told = ear.diffs()[heard:]
        assert [set(diff["joins"]) | set(diff["leaves"]) for diff in told] == [{"eve"}]


async def test_a_silent_host_ends_no_lease_on_another_one(
    redis_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "LEASE_S", 2.0)  # less than it takes to notice that a host is silent
    with Proxy(redis_server.port) as proxy:
        other = f"{redis_server.url}/1"
        one, two = (make(url, other, limits="") for url in (proxy.url, redis_server.url))
        mute, group = (
            next(name for name in map("chat_{}".format, range(99)) if _host(one, name) == host)
            for host in (0, 1)
        )
        ear = await (await Tab.open(two, hears=True)).track("ear", group=group)
        ada = await Tab.open(one)
        for name in (mute, group):
            await ada.track("ada", group=name)
        await here(two, {"ear": 1, "ada": 1}, group)
        wire: Any
        with redis.Redis.from_url(other) as wire:
            station: Any = one._stations.all()[0]
            lease = one.keys.at(1).processes, station.attendance.people._names[1]
            proxy.hold()
            enough = wire.zscore(*lease) + 1.5 * people.LEASE_S * 1000
            await until_async(
                lambda: ear.left() or (wire.zscore(*lease) or 0) >= enough,
                "its lease is renewed all the time",
            )
            assert ear.left() == []
        assert "ada" in await two.presence(group)


def _host(layer: RedisChannelLayer, group: str) -> int:
    return layer.keys.shard_in(layer.keys.people_topic(group))
