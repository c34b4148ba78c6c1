"""Who the members of a group were, for a message that says only how many there were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import unpackb  # type: ignore[import-untyped]

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.layers.redis import RedisChannelLayer
from compat.layers.redis.census import Census
from tests.support.waiting import turns, until_async, until_awaited

Make = Callable[..., RedisChannelLayer]
QUEUE = "specific.lease!"
CHANNELS = [f"{QUEUE}{number}" for number in range(4)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "two"]), st.sampled_from([*CHANNELS, "plain"]), st.booleans()),
        max_size=30,
    )
)
def test_the_members_at_each_version(steps: list[tuple[str, str, bool]]) -> None:
    """Any order of joins and leaves; what was told is looked up when all of it has happened."""
    census = Census(QUEUE, lambda: 0)
    now: dict[str, set[str]] = {"one": set(), "two": set()}
    told: list[tuple[str, int, set[str]]] = []
    for group, channel, joins in steps:
        if joins:
            census.joined(group, channel)
            now[group] |= {channel} - {"plain"}
        else:
            census.left(group, channel)
            now[group] -= {channel}
        for name in now:
            said = census.told(name)
            assert (said is None) == (not now[name])
            if said is not None:
                count, _, version = said.partition(":")
                assert int(count) == len(now[name])
                told.append((name, int(version), set(now[name])))
    for name, at, members in told:
        assert set(census.members(name, at)) == members


def test_nobody_is_counted_without_a_queue() -> None:
    census = Census("", lambda: 0)
    census.joined("room", CHANNELS[0])
    assert census.told("room") is None and census.members("room", 1) == []


async def test_nothing_is_kept_of_groups_that_nobody_has_joined(make_queue: Make) -> None:
    """Was: a roll of each until the next sweep, and one of a layer without members is never swept."""
    layer = make_queue()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for number in range(10):
        await layer.group_discard(f"room{number}", channel)
    (membership,) = layer._stations.here()._memberships.values()  # type: ignore[union-attr]
    assert list(membership.census._rolls) == ["room"]


def test_changes_are_forgotten_when_no_message_can_be_on_its_way() -> None:
    arrived = 0.0
    census = Census(QUEUE, lambda: arrived)
    census.joined("room", CHANNELS[0])
    census.left("room", CHANNELS[0])
    census.sweep()
    assert census.members("room", 1) == [CHANNELS[0]]
    arrived = steady() + 1
    census.sweep()
    assert census.members("room", 1) == []


async def member(layer: RedisChannelLayer, group: str = "room") -> tuple[str, Inbox]:
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    await layer.group_add(group, channel)
    return channel, inbox


async def receivers(wire: Any, layer: RedisChannelLayer, of: RedisChannelLayer) -> list[Any]:
    """What each entry of the queue of ``of`` says about its receivers."""
    entries = await wire.zrange(f"{layer.prefix}specific.{of.client_prefix}!", 0, -1)
    return [unpackb(entry[12:])["__asgi_channel__"] for entry in entries]


async def hung(layer: RedisChannelLayer, wire: Any) -> None:
    """Let the layer take no more messages, nor Redis give one to a connection that is being closed."""
    (station,) = layer._stations.all()
    closed = {reader._client_id for reader in station._readers.values()}
    for reader in station._readers.values():
        await reader.aclose()

    async def are_gone() -> bool:
        return closed.isdisjoint(int(client["id"]) for client in await wire.client_list())

    await until_awaited(are_gone, True)


@pytest.mark.parametrize("others", [0, 2])
async def test_a_channel_that_joins_while_another_one_ends(make_queue: Make, wire: Any, others: int) -> None:
    """Was: the count of before was written last, and the group was sent to by names until the refresh."""
    layer = make_queue()
    ending, *_ = [(await member(layer))[0] for _ in range(1 + others)]
    leaving = asyncio.ensure_future(layer.detach(ending))
    await turns(2)  # it has left, and Redis is told in the next turn
    await member(layer)
    await leaving
    count, _, _ = (await wire.hvals(f"{layer.prefix}:census:room"))[0].partition(b":")
    assert int(count) == await wire.zcard(f"{layer.prefix}:group:room") == 1 + others
    joined = await wire.smembers(f"{layer.prefix}:joined:{layer.client_prefix}")
    assert joined == {b"room"}


@pytest.mark.parametrize("how", [{}, {"serializer_format": "json"}], ids=["msgpack", "json"])
async def test_faults_redis_07_an_entry_without_names(make_queue: Make, wire: Any, how: Any) -> None:
    """While all members are counted, an entry has one size for any number of them; else it has names."""
    sender = make_queue(**how)
    reader = make_queue(**how, prefix=sender.prefix)
    inboxes = dict([await member(reader) for _ in range(3)])
    one, two, three = inboxes
    await hung(reader, wire)
    assert await sender.group_send("room", {"type": "to all"}) == (3, 0)
    assert await sender.group_send("room", {"type": "to two"}, exclude=[one, "nobody!x"]) == (2, 0)
    assert await sender.group_send("room", {"type": "to none"}, exclude=list(inboxes)) == (0, 0)
    await reader.group_discard("room", two)
    fourth = await reader.new_channel()
    await reader.group_add("room", fourth)
    assert await sender.group_send("room", {"type": "later"}) == (3, 0)
    await reader.group_add("room", "plain")
    assert await sender.group_send("room", {"type": "by name"}) == (4, 0)
    if not how:
        *marks, names = await receivers(wire, sender, reader)
        assert [set(mark) for mark in marks] == [
            {"group", "version"},
            {"group", "version", "but"},
            {"group", "version"},
        ]
        assert sorted(names) == sorted([one, three, fourth])

    inboxes[fourth] = inbox_of(asyncio.get_running_loop())
    reader.attach(fourth, inboxes[fourth])  # its layer takes messages again
    await until_async(lambda: len(inboxes[fourth].events) == 2, "all have come")
    came = {name: [event[1]["type"] for event in box.events] for name, box in inboxes.items()}
    assert came == {
        one: ["to all", "later", "by name"],
        two: ["to all", "to two"],
        three: ["to all", "to two", "later", "by name"],
        fourth: ["later", "by name"],
    }


@pytest.mark.parametrize("counted", [True, False])
async def test_faults_redis_07_what_a_hung_reader_costs(make_queue: Make, wire: Any, counted: bool) -> None:
    """A thousand members: by name, Redis keeps as many entries as for channels_redis."""
    sender = make_queue()
    reader = make_queue(prefix=sender.prefix)
    for _ in range(1000):
        await reader.group_add("room", await reader.new_channel())
    if not counted:
        await sender.group_add("room", "specific.foreign!x")
    for number in range(300):
        await sender.group_send("room", {"type": "x", "n": number})
    queue = f"{sender.prefix}specific.{reader.client_prefix}!"
    assert await wire.zcard(queue) == (300 if counted else 100)
    assert await wire.memory_usage(queue) < (100_000 if counted else 12_000_000)
    assert sender.metrics.dropped == ({} if counted else {"queue full": 200_000})


async def test_members_that_another_process_has_swapped(make_queue: Make, wire: Any) -> None:
    """The number of members is the same, and the process counts others: they are sent to by name."""
    layer = make_queue(lease=60, group_expiry=6)
    other = make_queue(prefix=layer.prefix)
    (out, left), (_, stays) = await member(layer), await member(layer)
    into = await layer.new_channel()
    await layer.group_add("elsewhere", into)
    layer.attach(into, inbox := inbox_of(asyncio.get_running_loop()))
    await other.group_discard("room", out)
    await other.group_add("room", into)
    _, newest = await member(layer)
    assert await other.group_send("room", {"type": "x"}) == (3, 0)
    await until_async(lambda: inbox.events and stays.events and newest.events, "it has come")
    assert not left.events

    await until_async(lambda: "room" not in left.groups, "its process has learned of it")
    await layer.group_discard("room", into)  # it was not counted

    async def noted() -> bool:
        fields: list[bytes] = await wire.hkeys(f"{layer.prefix}:census:room")
        return any(field.startswith(b"-") for field in fields)

    await until_awaited(noted, False)
    await hung(layer, wire)
    assert await other.group_send("room", {"type": "by count"}) == (2, 0)
    assert [set(names) for names in await receivers(wire, layer, layer)] == [{"group", "version"}]


async def test_a_count_that_was_lost_is_told_again(make_queue: Make, wire: Any) -> None:
    layer = make_queue(lease=60, group_expiry=12)  # it is told again in time with the shorter one
    await member(layer)
    await wire.delete(f"{layer.prefix}:census:room", f"{layer.prefix}:leases")
    assert await layer.group_send("room", {"type": "by name"}) == (1, 0)

    (station,) = layer._stations.all()
    membership = station._memberships[0]
    before = membership._refreshed
    await until_async(lambda: membership._refreshed != before, "it is told again")
    await hung(layer, wire)
    await layer.group_send("room", {"type": "by count"})
    assert [set(names) for names in await receivers(wire, layer, layer)] == [{"group", "version"}]
