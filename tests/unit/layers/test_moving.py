"""The layer of a move: its options and errors; what it does is in tests/contract."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compat.engine.parts import inbox_of
from compat.exceptions import InvalidChannelLayerError, LayerUnavailable
from compat.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from compat.layers.moving import MovingChannelLayer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer
from compat.metrics import snapshot
from compat.settings import override
from tests.faults.rooms import QUICK
from tests.support.layers import ReceiveOnlyLayer, close, member, moving, unique_prefix
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import turns, until_async, until_awaited

MEMORY = {"BACKEND": "compat.layers.InMemoryChannelLayer"}
BACKEND = "compat.layers.moving.MovingChannelLayer"


class Slow(InMemoryChannelLayer):
    """One of its calls, ``slow``, waits until it may go on."""

    slow = ""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def _wait(self, call: str) -> None:
        if call == self.slow:
            self.called.set()
            await self.may_go_on.wait()

    async def new_channel(self, prefix: str = "specific.") -> str:
        await self._wait("new_channel")
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        await self._wait("group_add")
        await super().group_add(group, channel, last)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with override(CHANNEL_LAYERS={}):
        yield


def layers(config: Any, **entries: Any) -> Any:
    return override(CHANNEL_LAYERS={"default": {"BACKEND": BACKEND, "CONFIG": config}, **entries})


def test_from_the_settings() -> None:
    after = {**MEMORY, "CONFIG": {"capacity": 7, "expiry": 5, "on_overflow": "close"}}
    with layers({"old": "before", "new": "after", "send": "new"}, before=MEMORY, after=after):
        layer = get_channel_layer()
        assert layer.old is channel_layers["before"] and layer.sending is channel_layers["after"]
        assert (layer.get_capacity("x"), layer.expiry, layer.on_overflow) == (7, 5, "close")
        assert set(snapshot()["layers"]) == {"default", "before", "after"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"old": "before", "new": "after"},
            "send='': expected 'old' (first restart) or 'new' (second restart)",
        ),
        ({"old": "before", "new": "after", "send": "both"}, "send='both': expected 'old'"),
        ({"old": "before", "new": "before", "send": "old"}, "old and new are both 'before'"),
        ({"old": "befor", "new": "after", "send": "old"}, "old='befor': expected an alias of CHANNEL_LAYERS"),
        ({"old": "before", "new": "default", "send": "old"}, "new='default' is a moving layer"),
        (
            {"old": "before", "new": "wrong", "send": "old"},
            "CHANNEL_LAYERS['wrong'] must be a dict with a BACK",
        ),
        (
            {"old": "before", "new": "foreign", "send": "old"},
            "new='foreign' is ReceiveOnlyLayer: only the lay",
        ),
    ],
)
def test_what_cannot_be_moved(config: Any, said: str) -> None:
    foreign = {"BACKEND": f"{ReceiveOnlyLayer.__module__}.{ReceiveOnlyLayer.__name__}"}
    with layers(config, before=MEMORY, after=MEMORY, foreign=foreign, wrong="no dict"):
        with pytest.raises(InvalidChannelLayerError, match=re.escape(said)):
            get_channel_layer()


def test_an_unknown_option_is_named() -> None:
    with layers({"old": "before", "new": "after", "sent": "old"}, before=MEMORY, after=MEMORY):
        with pytest.raises(TypeError, match=r"unexpected option 'sent'.*did you mean 'send'"):
            get_channel_layer()


async def test_a_channel_of_another_process_joins_by_its_own_consumer(redis_url: str) -> None:
    def process() -> MovingChannelLayer:
        return moving(RedisChannelLayer([redis_url]), InMemoryChannelLayer(), "old")

    here, there = process(), process()
    channel = await there.new_channel()
    with pytest.raises(RuntimeError, match="takes channels of this process while a layer moves"):
        await here.group_add("room", channel)
    await here.close_pools()
    await there.close_pools()


@pytest.mark.parametrize("send", ["old", "new"])
async def test_who_cannot_join_on_both_is_a_member_of_neither(send: str) -> None:
    away = RedisChannelLayer([f"redis://127.0.0.1:{free_port()}"])
    memory = InMemoryChannelLayer()
    layer = moving(memory, away, send)
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    with pytest.raises(LayerUnavailable):
        await layer.group_add("room", channel)
    assert not memory.groups
    await layer.detach(channel)
    for station in away._stations.all():
        await station.aclose()


async def test_two_layers_that_take_any_name(redis_url: str) -> None:
    """As channels_redis' pub/sub layer does."""
    old, new = (RedisPubSubChannelLayer([redis_url], prefix=unique_prefix()) for _ in range(2))
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    await layer.group_add("a room", channel)
    await layer.group_send("a room", {"type": "hello"})
    assert await layer.receive(channel) == {"type": "hello"}
    with pytest.raises((TypeError, RuntimeError)):
        await layer.group_add("a room", 5)  # type: ignore[arg-type]
    await layer.flush()
    await layer.close_pools()


async def test_a_name_that_one_layer_refuses_joins_neither(redis_url: str) -> None:
    old = RedisPubSubChannelLayer([redis_url], prefix=unique_prefix())
    layer = moving(old, InMemoryChannelLayer(), "old")
    channel = await layer.new_channel()
    with pytest.raises(TypeError, match="Group name must be a valid unicode string"):
        await layer.group_add("a room", channel)
    assert not old.groups
    with pytest.raises((TypeError, RuntimeError)):
        await layer.group_add("a room", 5)  # type: ignore[arg-type]
    await layer.flush()
    await layer.close_pools()


async def test_what_has_ended_leaves_nothing_behind() -> None:
    old, new = InMemoryChannelLayer(), InMemoryChannelLayer()
    layer = moving(old, new, "old")
    for _ in range(3):
        channel = await layer.new_channel()
        layer.attach(channel, inbox_of(asyncio.get_running_loop()))
        await layer.group_add("room", channel)
        await layer.detach(channel)
        unread = await layer.new_channel()
        await layer.group_add("room", unread)
        await layer.group_discard("room", unread)
    assert not layer._own and not old.groups and not new.groups and not new.channels


@pytest.mark.parametrize("slow", ["new_channel", "group_add"])
async def test_a_consumer_that_ends_while_it_joins_is_a_member_of_neither(slow: str) -> None:
    old, new = InMemoryChannelLayer(), Slow()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    new.slow = slow
    joining = asyncio.create_task(layer.group_add("room", channel))
    await new.called.wait()
    await layer.detach(channel)
    new.may_go_on.set()
    await joining
    assert not layer._own and not old.groups and not new.groups and not new.channels


@pytest.mark.parametrize("leaves", [False, True])
async def test_who_leaves_a_group_while_it_joins_is_a_member_of_neither(leaves: bool) -> None:
    old, new = InMemoryChannelLayer(), Slow()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    new.slow = "group_add"
    joining = asyncio.create_task(layer.group_add("room", channel))
    await new.called.wait()
    if leaves:
        await layer.group_discard("room", channel)
    new.may_go_on.set()
    await joining
    assert ("room" in old.groups) is ("room" in new.groups) is (not leaves)
    await layer.detach(channel)
    assert not layer._own and not old.groups and not new.groups


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_who_joins_again_while_it_leaves_is_a_member_of_both(after: int) -> None:
    """Was: a removal that began after the second call took out what this one had added."""
    old, new = InMemoryChannelLayer(), InMemoryChannelLayer()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    await layer.group_add("room", channel)
    leaving = asyncio.create_task(layer.group_discard("room", channel))
    await turns(after)
    await layer.group_add("room", channel)
    await leaving
    assert list(old.groups["room"]) == [channel] and len(new.groups["room"]) == 1
    await layer.detach(channel)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_that_ends_late_leaves_no_former_twin_behind(fails: bool) -> None:
    """The channel has left meanwhile, which ended its twin, and has joined again with another one."""

    class Slow(InMemoryChannelLayer):
        late = True

        async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
            if not self.late:
                await super().group_add(group, channel, last)
                return
            self.late = False
            await goes_on.wait()
            await super().group_add(group, channel, last)
            if fails:
                raise LayerUnavailable("away")

    goes_on, old, new = asyncio.Event(), InMemoryChannelLayer(), Slow()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    late = asyncio.create_task(layer.group_add("room", channel))
    await turns()
    await layer.group_discard("room", channel)
    await layer.group_add("room", channel)
    goes_on.set()
    await asyncio.wait([late])
    assert isinstance(late.exception(), LayerUnavailable) is fails
    assert list(old.groups["room"]) == [channel]
    assert list(new.groups["room"]) == [layer._own[channel].twin]


async def test_a_call_that_is_cancelled_after_a_flush_leaves_no_member_behind() -> None:
    """Was: it counted as one of those before the flush, and these added its channel."""

    class Slow(InMemoryChannelLayer):
        async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
            await goes_on.wait()
            await super().group_add(group, channel, last)

    goes_on, old, new = asyncio.Event(), InMemoryChannelLayer(), Slow()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    before = asyncio.create_task(layer.group_add("room", channel))
    await turns()
    await layer.flush()
    after = asyncio.create_task(layer.group_add("room", channel))
    await turns()
    after.cancel()
    await asyncio.wait([after])
    goes_on.set()
    await before
    assert not old.groups and not new.groups
    await layer.detach(channel)


@pytest.mark.parametrize("pause", [0, 5])
async def test_a_twin_that_was_there_for_a_call_that_failed_is_made_again(pause: int) -> None:
    """Was: the second call returned, and its channel was in no group."""

    class Failing(InMemoryChannelLayer):
        fails = True

        async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
            if self.fails:
                self.fails = False
                await turns(pause)
                raise LayerUnavailable("away")
            await super().group_add(group, channel, last)

    class Other(InMemoryChannelLayer):
        async def new_channel(self, prefix: str = "specific.") -> str:
            await both.wait()
            return await super().new_channel(prefix)

        async def detach(self, channel: str) -> None:
            await turns()
            await super().detach(channel)

    both, old, new = asyncio.Event(), Failing(), Other()
    layer = moving(old, new, "old")
    channel = await layer.new_channel()
    calls = [asyncio.create_task(layer.group_add("room", channel)) for _ in range(2)]
    await turns()
    both.set()
    first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, LayerUnavailable) and second is None
    assert list(old.groups["room"]) == [channel] and len(new.groups["room"]) == 1


@pytest.mark.parametrize("send", ["old", "new"])
@pytest.mark.parametrize("was_member", [False, True])
async def test_a_call_that_fails_takes_no_member_out(
    redis_server: RedisServer, send: str, was_member: bool
) -> None:
    """One of the two Redis goes away; the group of the other layer stays as it was."""
    mortal, memory = RedisPubSubChannelLayer([redis_server.url + QUICK]), InMemoryChannelLayer()
    layer = moving(memory, mortal, send)
    channel = await layer.new_channel()
    layer.attach(channel, inbox_of(asyncio.get_running_loop()))
    if was_member:
        await layer.group_add("room", channel)
    await asyncio.to_thread(redis_server.kill)

    async def is_refused() -> bool:
        try:
            await layer.group_add("room", channel)
        except LayerUnavailable:
            return True
        return False

    await until_awaited(is_refused, True)
    assert ("room" in memory.groups) is was_member
    await layer.detach(channel)
    await close(mortal)


@pytest.mark.parametrize("cancelled", ["first", "second", "both"])
@pytest.mark.parametrize("was_member", [False, True])
@pytest.mark.parametrize("after", range(1, 12, 2))
async def test_a_call_that_is_cancelled_takes_no_member_out(
    redis_url: str, cancelled: str, was_member: bool, after: int
) -> None:
    old, new = (
        kind([redis_url], prefix=unique_prefix()) for kind in (RedisChannelLayer, RedisStreamsChannelLayer)
    )
    layer: Any = moving(old, new, "old")
    inbox = await member(layer, *(["room"] if was_member else []))
    ((channel, own),) = layer._own.items()
    calls = [asyncio.ensure_future(layer.group_add("room", channel)) for _ in range(2)]
    await turns(after)
    for call in calls[cancelled == "second" : 1 if cancelled == "first" else 2]:
        call.cancel()
    await asyncio.wait(calls)
    is_member = was_member or not all(call.cancelled() for call in calls)
    for there, name in ((old, channel), (new, str(own.twin))):
        await there.group_send("room", {"type": "to.group"})
        await there.send(name, {"type": "to.channel"})
        heard = [(await asyncio.wait_for(inbox.get(), 15))["type"] for _ in range(1 + is_member)]
        assert heard == ["to.group"] * is_member + ["to.channel"]
    await layer.detach(channel)
    await close(old, new)


async def test_messages_that_came_on_both_at_once_come_one_after_the_other() -> None:
    old, new = InMemoryChannelLayer(), InMemoryChannelLayer()
    layer = moving(old, new, "old")
    waiting = asyncio.ensure_future(layer.receive("jobs"))
    await until_async(lambda: "jobs" in old.channels and "jobs" in new.channels, "it waits on both")
    await old.send("jobs", {"type": "x", "n": 0})
    await new.send("jobs", {"type": "x", "n": 1})
    got = [(await waiting)["n"], (await layer.receive("jobs"))["n"]]
    assert sorted(got) == [0, 1] and not layer._kept
