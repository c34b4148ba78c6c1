"""The registry in Redis with much in it: no command takes long, and what nobody owns is found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from compat.manager.backends import BaseBackend, RedisBackend
from compat.manager.backends.records import Record
from compat.manager.backends.scripts import ENTER, FORGET
from compat.manager.backends.upkeep import AT_ONCE
from compat.manager.exceptions import BackendError
from compat.redis.scripts import Script
from tests.unit.manager.conftest import MakeManager, connector, where

Entries = list[tuple[Record, Sequence[str]]]


@pytest.fixture(params=["redis", pytest.param("cluster", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def registry(backend: BaseBackend) -> RedisBackend:
    assert isinstance(backend, RedisBackend)
    return backend


class Runs:
    """The scripts that a backend has run, with their arguments and what they did."""

    def __init__(self, registry: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[Script, tuple[Any, ...], int]] = []
        run = registry.link.run

        async def noted(script: Script, *arguments: Any, **options: Any) -> Any:
            before = await self.left(registry)
            reply = await run(script, *arguments, **options)
            self.seen.append((script, arguments, before - await self.left(registry)))
            return reply

        monkeypatch.setattr(registry.link, "run", noted)

    @staticmethod
    async def left(registry: RedisBackend) -> int:
        """How many connections there are, and how many memberships."""
        prefix = registry.link.prefix
        ranked = await registry.link.call(b"ZRANGE", f"{prefix}groups", 0, -1, b"WITHSCORES")
        return int(await registry.link.call(b"HLEN", f"{prefix}connections")) + sum(map(int, ranked[1::2]))

    def of(self, script: Script) -> list[int]:
        return [abs(work) for seen, _, work in self.seen if seen is script]


async def test_no_script_adds_or_removes_more_than_a_part(
    registry: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = AT_ONCE * 5 // 2
    entries: Entries = [
        (registry.record(f"c{n}", f"u{n % 7}"), [f"g{n % 3}.{m}" for m in range(60)]) for n in range(20)
    ]
    entries += [(registry.record(f"few{n}", ""), []) for n in range(many)]
    whole = len(entries) + 20 * 60
    runs = Runs(registry, monkeypatch)
    await registry.enter_all(lambda: iter(entries), lambda name: True)
    assert sum(runs.of(ENTER)) == whole and max(runs.of(ENTER)) <= AT_ONCE + 60
    assert await registry.registry_count_connections() == len(entries)
    for group in range(many):
        await registry.registry_join("c0", f"more{group}")
    runs.seen.clear()
    await registry.registry_remove_connection("c0", "u0")
    assert sum(runs.of(FORGET)) == 1 + 60 + many and max(runs.of(FORGET)) <= AT_ONCE + 1
    assert await registry.registry_find("c0") is None and not await registry.group_channels("more0")
    assert await registry.registry_get_connection_groups("c0") == set()
    runs.seen.clear()
    assert await registry.sweep(registry.server, force=True) == (len(entries) - 1, 7)
    assert sum(runs.of(FORGET)) == whole - 61 and max(runs.of(FORGET)) <= AT_ONCE + 1
    assert await registry.registry_users() == {} == await registry.registry_groups()


async def test_what_is_gone_is_taken_out_in_parts(
    registry: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await registry.registry_admit(registry.record(f"c{n}", "alice"))
        for group in range(AT_ONCE // 3):
            await registry.registry_join(f"c{n}", f"g{group}")
    runs = Runs(registry, monkeypatch)
    await registry.enter_all(lambda: iter(()), lambda name: name == "c3")
    assert max(runs.of(FORGET)) <= AT_ONCE + 1 and len(runs.of(FORGET)) > 1
    assert await registry.registry_get_user_connections("alice") == {"c3"}
    assert set((await registry.registry_groups()).values()) == {1}


async def test_a_large_group_is_read_in_parts(registry: RedisBackend) -> None:
    many = AT_ONCE * 5 // 2
    entries: Entries = [(registry.record(f"c{n}", f"u{n}"), ["room"]) for n in range(many)]
    await registry.enter_all(lambda: iter(entries), lambda name: True)
    await registry.registry_join("a channel of the layer", "room")
    assert sum([1 async for _ in registry.pages("group:room")]) > 1
    records = await registry.registry_group_records("room")
    assert sorted(records) == sorted(record for record, _ in entries)
    assert (
        await registry.registry_count_group("room") == many + 1 == len(await registry.group_channels("room"))
    )


async def test_a_server_removes_no_connection_that_another_one_has_taken_over(
    registry: RedisBackend, kind: str, prefix: str, request: pytest.FixtureRequest
) -> None:
    other = RedisBackend(where(kind, request), channel_prefix=prefix)
    assert await registry.registry_admit(registry.record("c1", "alice")) is None
    await other.sweep(registry.server, force=True)
    taken = other.record("c1", "bob")
    assert await other.registry_admit(taken) is None
    await other.registry_join("c1", "room")
    await registry.link.call(b"SADD", f"{registry.link.prefix}server:{registry.server}", b"c1")
    await registry.registry_remove_connection("c1", "alice")
    await registry.link.call(b"SADD", f"{registry.link.prefix}server:{registry.server}", b"c1")
    await registry.enter_all(lambda: iter(()), lambda name: False)
    assert await registry.registry_find("c1") == taken
    assert await registry.group_channels("room") == {"c1"}
    await other.cleanup()
    assert await registry.registry_find("c1") is None and not await registry.group_channels("room")


async def test_who_comes_after_a_stall_does_not_hide_that_the_others_were_removed(
    registry: RedisBackend, kind: str, prefix: str, request: pytest.FixtureRequest
) -> None:
    other = RedisBackend(where(kind, request), channel_prefix=prefix)
    mine = {name: registry.record(name, "alice") for name in ("c1", "c2")}
    registry.tell(lambda: ((one, ["room"]) for one in mine.values()), mine.__contains__, dict)
    assert await registry.registry_admit(mine["c1"]) is None
    await registry.lease.renew()
    await other.sweep(registry.server, force=True)
    assert await registry.registry_find("c1") is None
    assert await registry.registry_admit(mine["c2"]) is None
    await registry.lease.renew()
    assert await registry.registry_find("c1") == mine["c1"]
    assert await registry.group_channels("room") == {"c1", "c2"}
    await other.cleanup()


async def test_one_that_ends_while_it_is_written_again_is_not_left_behind(
    registry: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = {name: registry.record(name, "alice") for name in ("c1", "c2")}
    run = registry.link.run

    async def repeated(script: Script, *arguments: Any, **options: Any) -> Any:
        if script is ENTER and mine.pop("c1", None) is not None:
            await registry.registry_remove_connection("c1")
        return await run(script, *arguments, **options)

    monkeypatch.setattr(registry.link, "run", repeated)
    told = list(mine.values())
    await registry.enter_all(lambda: ((one, ["room"]) for one in told), mine.__contains__)
    assert await registry.registry_find("c1") is None
    assert await registry.group_channels("room") == {"c2"}


async def test_a_server_starts_though_cleaning_up_takes_long(
    make_manager: MakeManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    manager = make_manager()
    outcomes: list[BaseException] = [BackendError("no Redis"), asyncio.TimeoutError()]

    async def clean_up(*arguments: Any) -> Any:
        raise outcomes.pop(0)

    monkeypatch.setattr(manager.backend, "cleanup_stale_connections", clean_up)
    with pytest.raises(BackendError):
        await manager.start_tasks()
    await manager.start_tasks()
    assert "is given up for now" in caplog.text
    assert "compat-manager-heartbeat" in {task.get_name() for task in asyncio.all_tasks()}


async def test_connections_of_a_server_that_does_not_exist_are_removed(registry: RedisBackend) -> None:
    await registry.open()
    mine = registry.record("c1", "alice")
    assert await registry.registry_admit(mine) is None
    ghost = mine._replace(connection_id="ghost", server="nobody.1")
    assert await registry.registry_admit(ghost) is None
    await registry.registry_join("ghost", "room")
    prefix = registry.link.prefix
    await registry.link.call(b"ZREM", f"{prefix}servers", "nobody.1")
    await registry.link.call(b"DEL", f"{prefix}server:nobody.1")
    await registry.lease.renew()
    assert await registry.registry_count_connections() == 1
    assert await registry.registry_users() == {"alice": 1} and await registry.registry_groups() == {}


@pytest.mark.parametrize("kind", ["redis"])
async def test_a_connection_in_many_groups_is_told_in_parts(make_manager: MakeManager) -> None:
    manager = make_manager()
    connection, _ = await connector(manager)("alice", *(f"g{number}" for number in range(250)))
    parts = manager.registry.local()
    first = list(next(parts)[1])
    left = next(group for group in sorted(connection.groups) if group not in first)
    await manager.leave_group(connection, left)
    rest = [group for _, groups in parts for group in groups]
    assert len(first) == 100 and sorted(first + rest) == sorted(connection.groups)
