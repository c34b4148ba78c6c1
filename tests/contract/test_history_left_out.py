"""A message that leaves out all members of a process: it has to know of it, for those who join later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compat.clock import wall
from compat.layers.redis import kept_groups
from compat.layers.redis.keys import lease_of
from compat.layers.redis.queue_sending import QueueSending
from compat.names import non_local_name
from tests.contract.test_history import has_come, ruled, say, waiting
from tests.support.layers import Kind, member
from tests.support.waiting import until_async

Make = Callable[..., Any]
pytestmark = pytest.mark.layers(ours=True)
ON_RESET = {"type": "room.reset", "n": "reset"}
OF_OTHERS = "specific.0123456789abcdef0123456789abcdef!other"
"""A channel that no process reads, so that what is put into its queue stays there."""


def several(make: Make, kind: Kind, **options: Any) -> tuple[Any, Any]:
    """Two processes of one fleet."""
    if not kind.hosts:
        pytest.skip("it has one process")
    here = make(**options)
    return here, make(prefix=here.prefix, **options)


def queues_only(kind: Kind) -> None:
    if not kind.name.startswith("queue") or "-to-" in kind.name:
        pytest.skip("its processes share no queue")


@pytest.mark.parametrize("stranger", [False, True], ids=["counted", "by name"])
async def test_who_joins_gets_what_those_before_were_excluded_from(
    make: Make, kind: Kind, stranger: bool
) -> None:
    here, there = several(make, kind, **ruled(on_join=5))
    one = await member(here, "chat_x")
    if stranger and kind.name == "queue":
        await there.group_add("chat_x", OF_OTHERS)
    await say(there, 1, 1)
    await has_come(one, [1])
    for number in (2, 3):
        message = {"type": "chat.message", "n": number}
        result = await there.group_send("chat_x", message, exclude=[one.channel, OF_OTHERS])
        assert not kind.at_once or result == (0, 0), "nobody has got it"
    await has_come(await member(here, "chat_x"), [1, 2, 3])
    await say(there, 4, 4)
    await has_come(one, [1, 4])


async def test_more_than_is_kept_was_sent_to_others(make: Make, kind: Kind) -> None:
    """Was: a reset without an outage, and what was sent at once after it was lost."""
    here, there = several(make, kind, **ruled(count=3))
    sides = [getattr(here, "sending", here), getattr(here, "other", here)]
    one = await member(here, "chat_x")
    await say(there, 1, 1)
    await has_come(one, [1])
    for number in range(2, 9):
        message = {"type": "chat.message", "n": number}
        await there.group_send("chat_x", message, exclude=[one.channel])
    await say(there, 9, 9)
    await has_come(one, [1, 9])
    assert not any(side.metrics.dropped or side.metrics.gaps for side in sides)


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "by name"])
@pytest.mark.parametrize(
    ("group", "ours", "entries"), [("chat_x", True, 1), ("chat_x", False, 0), ("other", True, 0)]
)
async def test_only_a_process_of_ours_hears_of_it_and_only_with_a_history(
    make: Make, kind: Kind, serializer: str, counted: bool, group: str, ours: bool, entries: int
) -> None:
    queues_only(kind)
    if counted and (kind.name != "queue" or not ours):
        pytest.skip("nobody is counted")
    layer = make(serializer_format=serializer, **ruled())
    keys, shard = layer.keys, layer.keys.group_shard(group)

    async def call(where: int, *arguments: Any) -> Any:
        return await layer._by_whom(lambda commands: commands.call(where, *arguments))

    await call(shard, b"ZADD", keys.group(group), repr(wall()), OF_OTHERS)
    if ours:
        await call(shard, b"ZADD", keys.at(shard).leases, repr(wall() + 60), lease_of(OF_OTHERS))
    if counted:
        await call(shard, b"HSET", keys.census(group), non_local_name(OF_OTHERS), "1:1")
    message = {"type": "chat.message", "n": 1}
    assert await layer.group_send(group, message, exclude=[OF_OTHERS]) == (0, 0)
    queue = keys.queue(OF_OTHERS)
    there = keys.queue_shard(OF_OTHERS)
    waits = await call(there, b"ZRANGE", queue, 0, -1)
    assert len(waits) == entries
    if waits:
        names = layer.deserialize(waits[0])["__asgi_channel__"]
        but = {"group": group, "version": 1, "but": [OF_OTHERS]}
        assert names == (but if counted else [])
        assert await layer.group_send(group, message) == (1, 0)


async def test_what_a_sender_that_died_has_only_recorded(
    make: Make, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On several hosts it is recorded first, and then put into the queues."""
    queues_only(kind)
    if kind.name == "queue":
        pytest.skip("there is one script")
    here, there = several(make, kind, **ruled(on_join=5))
    monkeypatch.setattr(kept_groups, "FRESH_S", 0)
    one = await member(here, "chat_x")
    await say(there, 1, 1)
    await has_come(one, [1])

    async def dies(*_: Any) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(QueueSending, "_group_send_in_two", dies)
        with pytest.raises(SystemError):
            await say(there, 2, 2)
    two = await member(here, "chat_x")
    assert waiting(two) == [1, 2]
    await until_async(lambda: waiting(one) == [1, 2], "those who were there get it too")
