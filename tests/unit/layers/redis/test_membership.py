"""Who is in a group: live members stay, the dead leave, and real channels_redis members are left alone."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from compat.engine.parts import inbox_of
from compat.layers.redis import RedisChannelLayer, parts
from compat.layers.redis import owed as owed_module
from compat.layers.redis.keys import lease_of
from compat.redis.unavailable import RedisUnavailable
from tests.support.layers import close, member
from tests.support.paths import REPO
from tests.support.processes import Process
from tests.support.waiting import turns, until_async

Make = Callable[..., RedisChannelLayer]
WITHIN_S = 15.0

MEMBER = """
import asyncio, sys
from compat.engine.parts import inbox_of
from compat.layers.redis import RedisChannelLayer

async def main():
    layer = RedisChannelLayer(hosts=[sys.argv[1]], prefix=sys.argv[2], lease=2)
    for number in range(20):
        channel = await layer.new_channel()
        layer.attach(channel, inbox_of(asyncio.get_running_loop()))
        await layer.group_add("room", channel)
        await layer.group_add(f"own{number}", channel)
    print("joined", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def members(wire: Any, layer: RedisChannelLayer, group: str = "room") -> list[str]:
    return [name.decode() for name in await wire.zrange(f"{layer.prefix}:group:{group}", 0, -1)]


async def keys(wire: Any, layer: RedisChannelLayer) -> set[str]:
    return {key.decode()[len(layer.prefix) :] for key in await wire.keys(f"{layer.prefix}*")}


async def eventually(look: Callable[[], Any], what: str) -> None:
    """Until the coroutine function says yes."""
    deadline = time.monotonic() + WITHIN_S
    while not await look():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        await asyncio.sleep(0.05)


async def attached(layer: RedisChannelLayer, *groups: str) -> str:
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    for group in groups:
        await layer.group_add(group, channel)
    return channel


async def test_members_of_a_killed_process_leave(
    make_queue: Make, wire: Any, redis_url: str, tmp_path: Path
) -> None:
    """Within the lease, though nobody sends to their groups; a member of ours and a foreign one stay."""
    layer = make_queue(lease=2)
    mine = await attached(layer, "room")
    foreign = "specific.0123456789abcdef!fedcba"
    await layer.group_add("room", foreign)
    await layer.group_add("room", "plain")
    command = [sys.executable, "-c", MEMBER, redis_url, layer.prefix]
    with Process(command, cwd=REPO, log=tmp_path / "log") as process:
        await asyncio.to_thread(process.wait_log, "joined")  # the layer renews its lease meanwhile
        assert len(await members(wire, layer)) == 23
        process.stop(signal.SIGKILL)

    async def left() -> bool:
        return sorted(await members(wire, layer)) == sorted([mine, foreign, "plain"])

    await eventually(left, "the dead have left")
    assert {key for key in await keys(wire, layer) if key.startswith(":group")} == {":group:room"}


@pytest.mark.parametrize("options", [{}, {"channel_capacity": {"x": 1}}], ids=["one script", "two steps"])
async def test_nothing_is_sent_to_the_dead(
    make_queue: Make, wire: Any, redis_url: str, tmp_path: Path, options: Any
) -> None:
    """Before anybody has cleaned up: a lease that has run out is enough."""
    layer = make_queue(**options)
    command = [sys.executable, "-c", MEMBER, redis_url, layer.prefix]
    with Process(command, cwd=REPO, log=tmp_path / "log") as process:
        await asyncio.to_thread(process.wait_log, "joined")
        assert (await layer.group_send("room", {"type": "x"})).delivered == 20
        process.stop(signal.SIGKILL)

    async def unreached() -> bool:
        return (await layer.group_send("room", {"type": "x"})) == (0, 0)

    await eventually(unreached, "nobody is reached")
    assert len(await members(wire, layer)) == 20


async def test_a_loop_that_is_closed_takes_its_members_along(
    make_queue: Make, wire: Any, redis_url: str
) -> None:
    layer = make_queue()
    joined: list[list[str]] = []

    async def life() -> None:
        other = RedisChannelLayer(hosts=[redis_url], prefix=layer.prefix)
        for _ in range(3):
            await attached(other, "room")
        joined.append(await members(wire_there, other))
        await wire_there.aclose()

    def run_and_close() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(life())
        loop.close()

    wire_there = redis.asyncio.Redis.from_url(redis_url)
    await asyncio.to_thread(run_and_close)
    assert len(joined[0]) == 3
    assert await members(wire, layer) == []


async def test_what_redis_forgot_is_entered_again(make_queue: Make, wire: Any) -> None:
    layer = make_queue(lease=2)
    channel = await attached(layer, "room", "other")
    await wire.delete(f"{layer.prefix}:group:room", f"{layer.prefix}:leases")

    async def back() -> bool:
        return await members(wire, layer) == [channel]

    await eventually(back, "the member is back")


async def test_only_who_still_is_a_member_is_entered_again(make_queue: Make, wire: Any) -> None:
    layer = make_queue(lease=2)
    channel = await attached(layer, "room", "other")
    await layer.group_discard("room", channel)
    await wire.delete(f"{layer.prefix}:leases", f"{layer.prefix}:group:other")

    async def back() -> bool:
        return await members(wire, layer, "other") == [channel]

    await eventually(back, "the member is back")
    assert await members(wire, layer) == []


async def test_detach_leaves_no_trace(make_queue: Make, wire: Any) -> None:
    layer = make_queue(lease=2)
    channels = [await attached(layer, "room", f"own{number}") for number in range(10)]
    assert ":leases" in await keys(wire, layer)
    for channel in channels:
        await layer.detach(channel)

    async def clean() -> bool:
        return await keys(wire, layer) == set()

    await eventually(clean, "no key is left")


async def test_a_member_that_joins_while_the_lease_is_given_up(make_queue: Make, wire: Any) -> None:
    """Was: without a lease for a quarter of its time; if the process died then, its members stayed."""
    layer = make_queue(lease=240)
    channel = await attached(layer, "room")
    (membership,) = layer._stations.all()[0]._memberships.values()

    async def has_lease() -> bool:
        return await wire.zscore(f"{layer.prefix}:leases", lease_of(channel)) is not None

    await eventually(has_lease, "it has a lease")
    await layer.group_discard("room", channel)
    membership.look_soon()
    while any(membership.leases._ends.values()):  # it is given up
        await turns(1)
    await layer.group_add("room", channel)
    await eventually(has_lease, "it has a lease again")


async def test_a_member_that_joins_again_after_a_pause(make_queue: Make, wire: Any) -> None:
    """The lease that was given up when the last member left must not hide the next one."""
    layer = make_queue(lease=2)
    for _ in range(3):
        channel = await attached(layer, "room")
        assert (await layer.group_send("room", {"type": "x"})).delivered == 1
        await layer.detach(channel)

        async def clean() -> bool:
            return ":leases" not in await keys(wire, layer)

        await eventually(clean, "the lease is given up")


@pytest.mark.parametrize("options", [{}, {"channel_capacity": {"x": 1}}], ids=["one script", "two steps"])
async def test_a_member_that_another_process_removes_stays_out(
    make_queue: Make, wire: Any, options: Any
) -> None:
    """Also the only one of its group, which is no outage; one that joins again itself stays in."""
    layer = make_queue(lease=2, **options)
    other = make_queue(prefix=layer.prefix, **options)
    removed, stays = await member(layer, "room", "own", "back"), await member(layer, "room")
    for group in ("room", "own", "back", "nobody"):
        await other.group_discard(group, removed.channel)
    await layer.group_add("back", removed.channel)
    assert (await other.group_send("room", {"type": "x"})).delivered == 1
    await until_async(lambda: removed.groups == {"back"}, "its process has learned of it")
    await wire.delete(f"{layer.prefix}:group:back")

    async def entered() -> bool:
        return await members(wire, layer, "back") == [removed.channel]

    await eventually(entered, "all are entered again")
    assert await members(wire, layer) == [stays.channel] and await members(wire, layer, "own") == []
    assert (await layer.group_send("own", {"type": "x"})).delivered == 0
    assert [event[1] for event in removed.events] == [] and len(stays.events) == 1
    assert len(layer.metrics.gaps) == 1, "that of the group that was deleted"
    assert not {key for key in await keys(wire, layer) if key == ":census:own"}, "no note is left"
    await close(layer)


async def test_a_member_that_another_process_removes_is_absent(make_queue: Make) -> None:
    """Was: present until the end of its connection."""
    options: dict[str, Any] = {"lease": 1, "presence": {"room": {"key": "user"}}}
    layer = make_queue(**options)
    other = make_queue(prefix=layer.prefix, **options)
    channel = await attached(layer)
    layer.attend(channel, {"user": "ada"}, hears=False)
    await layer.group_add("room", channel)
    assert "ada" in await other.presence("room")
    await other.group_discard("room", channel)

    async def absent() -> bool:
        return not await other.presence("room")

    await eventually(absent, "it has left")
    assert layer.present() == 0


async def test_a_channel_of_another_loop_joins_where_it_is_read(make_queue: Make) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)

    async def join() -> None:
        await layer.group_add("room", channel)

    await asyncio.to_thread(asyncio.run, join())
    assert inbox.groups == {"room"}
    await layer.group_send("room", {"type": "x"})
    assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "x"}


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_what_is_owed_goes_in_parts_and_what_is_done_is_done(
    make_queue: Make, wire: Any, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """Was: one command for all of a group, and all again if it took Redis too long."""
    monkeypatch.setattr(parts, "MEMBERS_AT_ONCE", 10)
    layer = make_queue()
    mine = await attached(layer, "room")
    (membership,) = layer._stations.all()[0]._memberships.values()
    names = [f"{mine}{number}" for number in range(35)]
    await wire.zadd(f"{layer.prefix}:group:room", dict.fromkeys(names, time.time()))
    calls, asked = membership.shards.calls_now, []

    async def counted(index: int, make: Any) -> Any:
        asked.append(max(map(len, make())))
        if len(asked) == fails_at:
            raise RedisUnavailable("not now", "as asked")
        return await calls(index, make)

    for name in names:
        membership._owed.add("room", name)
    with monkeypatch.context() as failing:
        failing.setattr(membership.shards, "calls_now", counted)
        with pytest.raises(RedisUnavailable):
            await membership._settle()
    assert max(asked) <= 10 + 2
    assert len(await members(wire, layer)) == 1 + 35 - 10 * (fails_at - 1)
    await membership._settle()
    assert await members(wire, layer) == [mine] and not membership._owed


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_no_more_is_owed_than_memory_has_room_for(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    monkeypatch.setattr(owed_module, "MOST", 10)
    owed = owed_module.Owed()
    names = [f"channel{number}" for number in range(10 + more)]
    for name in names:
        owed.add("room", name)
    with pytest.raises(RedisUnavailable), owed.telling() as taken:
        assert taken == {"room": names[max(more, 0) :]} and owed
        taken["room"] = names
        raise RedisUnavailable("not now", "as asked")
    assert owed
    with owed.telling() as taken:
        assert len(taken["room"]) == min(10, 10 + more) and owed
    assert not owed


Calls = list[tuple[str, str]]
OVERTAKEN: dict[str, tuple[Calls, Calls, Calls]] = {
    "a departure": ([], [("add", "a")], [("discard", "a")]),
    "a return": ([("add", "a")], [("discard", "a")], [("add", "a")]),
    "the return of the last one": ([("add", "a"), ("add", "b")], [("discard", "a")], [("add", "a")]),
    "two first members, one of which leaves": ([], [("add", "a"), ("add", "b")], [("discard", "a")]),
    "a removal": ([("add", "b"), ("add", "a")], [("owe", "a")], [("add", "a")]),
    "another member": ([], [("add", "a")], [("add", "b")]),
    "who is entered again, and leaves": ([("add", "a")], [("enter", "")], [("discard", "a")]),
    "who is entered again, and another member": ([("add", "a")], [("enter", "")], [("add", "b")]),
}


@pytest.mark.parametrize("what", OVERTAKEN)
async def test_who_waits_for_a_connection_may_be_overtaken(make_queue: Make, wire: Any, what: str) -> None:
    """By a call that finds it open; Redis has what is true in the end."""
    before, waiting, then = OVERTAKEN[what]
    layer = make_queue()
    channels = {name: await attached(layer) for name in "ab"}
    station: Any = layer._stations.all()[0]
    await layer.ping()

    async def call(kind: str, name: str) -> None:
        membership = station._membership("room")
        if kind == "add":
            await layer.group_add("room", channels[name])
        elif kind == "discard":
            await layer.group_discard("room", channels[name])
        elif kind == "enter":
            await membership._enter_groups(["room"])
        else:
            membership.withdraw("room", channels[name])

    for kind, name in before:
        await call(kind, name)
    index = layer.keys.group_shard("room")
    station.shards._links[index].end("cut for the test")
    calls = [asyncio.ensure_future(call(kind, name)) for kind, name in waiting]
    while not station.shards.is_open(index):
        await turns(1)
    for kind, name in then:
        await call(kind, name)
    await asyncio.gather(*calls)
    membership = station._membership("room")
    await until_async(lambda: not membership._owed, "nothing is owed")
    stay = sorted(membership.groups.get("room", ()))
    assert sorted(await members(wire, layer)) == stay
    assert (await layer.group_send("room", {"type": "x"})).delivered == len(stay)
    listed = await wire.smembers(membership.keys.joined(lease_of(channels["a"])))
    assert listed == ({b"room"} if stay else set())
