"""What every channel layer does, whatever carries its messages: what consumers of Channels lean on."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import reduce
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.engine.direct_inbox import attached
from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.engine.subscription import pushes
from compat.exceptions import ChannelFull, MessageTooLarge
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import PushLayer, register_channel_layer, unregister_channel_layer
from compat.names import LIVE, require_valid_channel_name
from compat.testing.websocket import WebsocketCommunicator
from tests.support.layers import MOVING, Kind
from tests.support.waiting import turns, until_async, until_awaited

Make = Callable[..., Any]
WITHIN_S = 20.0
EVERYTHING = {
    "type": "every.thing",
    "none": None,
    "bool": True,
    "int": -(2**63),
    "float": 0.1,
    "str": "é\u2028\U0001f600",
    "list": [1, [2, {"three": []}]],
    "dict": {"nested": {"deep": [{}]}, "": "empty key"},
}


async def receive(layer: Any, channel: str) -> Any:
    return await asyncio.wait_for(layer.receive(channel), WITHIN_S)


async def arrived(layer: Any, count: int) -> None:
    await until_async(lambda: layer.depth() == count, f"{count} messages have arrived")


async def quiet(layer: Any, *channels: str) -> None:
    """Each channel has got all that was sent before: what is sent now is what comes next."""
    for channel in channels:
        await layer.send(channel, {"type": "nothing.before.this"})
    for channel in channels:
        assert await receive(layer, channel) == {"type": "nothing.before.this"}


def attach(layer: Any, channel: str) -> Inbox:
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    return inbox


# Channels


async def test_new_channels_are_valid_and_different(layer: Any) -> None:
    names = [await layer.new_channel() for _ in range(3)]
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith(getattr(layer, "prefix", "") if "!" not in name else "specific")
        assert require_valid_channel_name(name)
    assert "other" in await layer.new_channel("other")


async def test_what_is_sent_arrives_as_it_was(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.send(channel, EVERYTHING)
    assert await receive(layer, channel) == EVERYTHING


@pytest.mark.layers(ours=True)
async def test_what_is_deep_is_refused_where_it_is_sent(layer: Any) -> None:
    """A client's JSON that its own consumer just read closed everybody else: they could not write it."""
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for kind in (lambda value: [value], lambda value: {"down": value}, lambda value: (value,)):
        value: Any = "leaf"
        for _ in range(199):
            value = kind(value)
        for refused in (kind(value), reduce(lambda inner, _: kind(inner), range(2000), value)):
            with pytest.raises(MessageTooLarge, match="nested deeper than 200"):
                await layer.group_send("room", {"type": "x", "value": refused})
            with pytest.raises(MessageTooLarge, match="nested deeper than 200"):
                await layer.send(channel, {"type": "x", "value": refused})
        await layer.group_send("room", {"type": "x", "value": value})
        assert (await receive(layer, channel))["type"] == "x"


@pytest.mark.layers(ours=True)
@pytest.mark.parametrize(
    "value", ["half \ud800", ["\udfff"], {"a": "\ud83d"}, {"\ud83d": 1}, ({"a": ["\ud83d\u00e9"]},)]
)
async def test_half_a_surrogate_pair_is_refused_where_it_is_sent(layer: Any, value: Any) -> None:
    r"""One client's "\ud800" closed everybody in the room whose handler sent it on as it was."""
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    with pytest.raises(UnicodeEncodeError):
        await layer.group_send("room", {"type": "x", "value": value})
    with pytest.raises(UnicodeEncodeError):
        await layer.send(channel, {"type": "x", "value": value})
    await layer.send(channel, {"type": "whole", "value": "\U0001f600", "again": ["\u00e9"]})
    assert await receive(layer, channel) == {"type": "whole", "value": "\U0001f600", "again": ["\u00e9"]}


@pytest.mark.layers(serializes=True)
async def test_bytes_travel_and_tuples_become_lists(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "x", "bytes": b"\x00\xff", "tuple": (1, 2)})
    assert await receive(layer, channel) == {"type": "x", "bytes": b"\x00\xff", "tuple": [1, 2]}


@pytest.mark.layers(stores=True)
async def test_a_plain_channel_keeps_messages_for_whoever_comes(kind: Kind, layer: Any) -> None:
    for number in range(10):
        await layer.send("plain", {"type": "x", "n": number})
    got = [(await receive(layer, "plain"))["n"] for _ in range(10)]
    assert (got if kind.hosts < 2 else sorted(got)) == list(range(10)), "several hosts have no common order"


async def test_a_receiver_that_waits_is_woken(layer: Any) -> None:
    channel = await layer.new_channel()
    waiting = asyncio.ensure_future(receive(layer, channel))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "x"})
    assert await waiting == {"type": "x"}


async def test_channels_do_not_mix(layer: Any) -> None:
    channels = [await layer.new_channel() for _ in range(5)]
    for number, channel in enumerate(channels):
        await layer.send(channel, {"type": "x", "n": number})
    for number, channel in reversed(list(enumerate(channels))):
        assert (await receive(layer, channel))["n"] == number


async def test_one_senders_messages_keep_their_order(make: Make, kind: Kind) -> None:
    layer = make(capacity=2000)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    have_two_ways = kind.in_cluster and not kind.at_once  # two nodes pass on the group's and the direct ones
    for number in range(1000):
        if number % 2 or have_two_ways:
            await layer.group_send("room", {"type": "x", "n": number})
        else:
            await layer.send(channel, {"type": "x", "n": number})
    assert [(await receive(layer, channel))["n"] for _ in range(1000)] == list(range(1000))


async def test_a_cancelled_receive_loses_nothing(kind: Kind, layer: Any) -> None:
    """Wherever it is cancelled: before and after each turn of the loop."""
    if kind.name == "upstream-queue":
        pytest.skip("channels_redis' queue layer loses a message that it is giving to a cancelled receive")
    channel = await layer.new_channel()
    got = []
    turns = [(before, after) for before in range(9) for after in range(11)]
    for number, (before, after) in enumerate(turns):
        waiting = asyncio.ensure_future(layer.receive(channel))
        for _ in range(before):
            await asyncio.sleep(0)
        sending = asyncio.ensure_future(layer.send(channel, {"type": "x", "n": number}))
        for _ in range(after):
            await asyncio.sleep(0)
        waiting.cancel()
        await sending
        try:
            got.append((await waiting)["n"])
        except asyncio.CancelledError:
            pass
    while len(got) < len(turns):
        got.append((await receive(layer, channel))["n"])
    assert sorted(got) == list(range(len(turns)))


async def test_the_senders_dict_stays_its_own(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    message = {"type": "x", "list": []}
    await layer.send(channel, message)
    await layer.group_send("room", message)
    assert message == {"type": "x", "list": []}
    assert await receive(layer, channel) == message
    assert await receive(layer, channel) == message


@pytest.mark.layers(ours=True)
async def test_receivers_do_not_see_each_others_changes(layer: Any) -> None:
    channels = [await layer.new_channel() for _ in range(3)]
    for channel in channels:
        await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x", "list": [{"deep": []}]})
    first = await receive(layer, channels[0])
    first["list"][0]["deep"].append("changed")
    for channel in channels[1:]:
        assert await receive(layer, channel) == {"type": "x", "list": [{"deep": []}]}


# Groups


async def test_a_group_reaches_its_members_and_nobody_else(layer: Any) -> None:
    inside, outside = [await layer.new_channel() for _ in range(3)], await layer.new_channel()
    for channel in inside:
        await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"})
    for channel in inside:
        assert await receive(layer, channel) == {"type": "x"}
    await quiet(layer, *inside, outside)


async def test_joining_twice_is_joining_once(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}
    await quiet(layer, channel)
    await layer.group_discard("room", channel)
    await layer.group_send("room", {"type": "x"})
    await quiet(layer, channel)


async def test_leaving_what_one_is_not_in(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.group_discard("no-such-room", channel)
    await layer.group_add("room", channel)
    await layer.group_discard("room", await layer.new_channel())
    await layer.group_send("room", {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}


async def test_one_channel_in_many_groups(layer: Any) -> None:
    channel = await layer.new_channel()
    for number in range(20):
        await layer.group_add(f"room{number}", channel)
    for number in range(20):
        await layer.group_send(f"room{number}", {"type": "x", "n": number})
    got = [(await receive(layer, channel))["n"] for _ in range(20)]
    assert sorted(got) == list(range(20))


async def test_a_group_without_members(layer: Any) -> None:
    await layer.group_send("nobody", {"type": "x"})


async def test_two_layers_of_one_fleet(kind: Kind, make: Make) -> None:
    if not kind.hosts:
        pytest.skip(f"{kind.name}: one process only")
    here = make()
    there = make(prefix=here.prefix)
    mine, theirs = await here.new_channel(), await there.new_channel()
    await here.group_add("room", mine)
    await there.group_add("room", theirs)
    await here.group_send("room", {"type": "from.here"})
    assert await receive(here, mine) == await receive(there, theirs) == {"type": "from.here"}
    await there.send(mine, {"type": "direct"})
    assert await receive(here, mine) == {"type": "direct"}
    await there.group_discard("room", theirs)
    await here.group_send("room", {"type": "again"})
    assert await receive(here, mine) == {"type": "again"}
    await quiet(there, theirs)


async def test_prefixes_keep_fleets_apart(kind: Kind, make: Make) -> None:
    if not kind.hosts:
        pytest.skip(f"{kind.name}: no prefix")
    here, there = make(), make()
    mine, theirs = await here.new_channel(), await there.new_channel()
    await here.group_add("room", mine)
    await there.group_add("room", theirs)
    await there.group_send("room", {"type": "x"})
    assert await receive(there, theirs) == {"type": "x"}
    await quiet(here, mine)


@pytest.mark.layers(ours=True)
async def test_exclude(layer: Any) -> None:
    channels = [await layer.new_channel() for _ in range(4)]
    for channel in channels:
        await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"}, exclude=channels[:2])
    for channel in channels[2:]:
        assert await receive(layer, channel) == {"type": "x"}
    await quiet(layer, *channels[:2])


@pytest.mark.layers(ours=True)
async def test_the_result_of_a_group_send(kind: Kind, layer: Any) -> None:
    channels = [await layer.new_channel() for _ in range(3)]
    for channel in channels:
        await layer.group_add("room", channel)
    result = await layer.group_send("room", {"type": "x"}, exclude=channels[:1])
    assert result.dropped == 0
    assert result.delivered == (None if kind.name.startswith(("pubsub", "streams")) else 2)


# What is not a message, or not a name


@pytest.mark.layers(ours=True)
async def test_only_dicts_are_messages(layer: Any) -> None:
    channel = await layer.new_channel()
    for wrong in ("text", None, [("type", "x")], 5):
        with pytest.raises(TypeError, match="is not a dict"):
            await layer.send(channel, wrong)
        with pytest.raises(TypeError, match="is not a dict"):
            await layer.group_send("room", wrong)


@pytest.mark.layers(serializes=True, ours=True)
@pytest.mark.parametrize(
    "value", [object(), {1, 2}, {"deep": [{1: "int key"}]}], ids=["object", "set", "key"]
)
async def test_what_cannot_travel_is_refused_at_the_sender(layer: Any, value: Any) -> None:
    channel = await layer.new_channel()
    for send, target in ((layer.send, channel), (layer.group_send, "room")):
        with pytest.raises(TypeError, match="this message cannot travel through Redis"):
            await send(target, {"type": "x", "value": value})


async def test_names(kind: Kind, layer: Any) -> None:
    if kind.name == "upstream-pubsub":
        pytest.skip("channels_redis' pub/sub layer looks at no name")
    if kind.name.startswith("pubsub"):
        with pytest.raises(TypeError, match="group name must be a non-empty str"):
            await layer.group_send(5, {"type": "x"})
        return
    for wrong in ("a room", "room/1", "x" * 100, "", 5):
        with pytest.raises(TypeError, match="Group name must be a valid unicode string"):
            await layer.group_add(wrong, "channel")
        with pytest.raises(TypeError, match="Channel name must be a valid unicode string"):
            await layer.send(wrong, {"type": "x"})


# Limits


@pytest.mark.layers(ours=True)
@pytest.mark.parametrize("capacity", [1, 5])
async def test_a_full_channel(kind: Kind, make: Make, capacity: int) -> None:
    """`send` says so; nobody else's channel is affected, in the same process either."""
    layer = make(capacity=capacity)
    channel, other = await layer.new_channel(), await layer.new_channel()
    for number in range(capacity):
        await layer.send(channel, {"type": "x", "n": number})
        if not kind.at_once:
            await arrived(layer, number + 1)
    with pytest.raises(ChannelFull):
        await layer.send(channel, {"type": "one too many"})
    for _ in range(capacity):
        await layer.send(other, {"type": "y"})
    assert [(await receive(layer, channel))["n"] for _ in range(capacity)] == list(range(capacity))
    assert await receive(layer, other) == {"type": "y"}


@pytest.mark.layers(ours=True)
@pytest.mark.parametrize("policy", ["drop", "drop_oldest", "close"])
async def test_a_full_inbox(make: Make, policy: str) -> None:
    """Exactly what does not fit is lost, by the policy, and every loss is counted."""
    layer = make(capacity=10, on_overflow=policy)
    full, reading = await layer.new_channel(), await layer.new_channel()
    inbox, other = attach(layer, full), attach(layer, reading)
    for channel in (full, reading):
        await layer.group_add("room", channel)
    got = []
    for number in range(25):
        await layer.group_send("room", {"type": "x", "n": number})
        got.append((await asyncio.wait_for(other.get(), WITHIN_S))["n"])
    assert got == list(range(25))
    await until_async(lambda: layer.metrics.dropped.get("overflow") == 15, "15 losses are counted")
    kept = [(await inbox.get())["n"] for _ in range(10)]
    assert kept == (list(range(15, 25)) if policy == "drop_oldest" else list(range(10)))
    assert inbox.overflowed is (policy == "close")
    await layer.detach(full)
    await layer.detach(reading)


@pytest.mark.layers(ours=True)
@pytest.mark.parametrize("capacity", [float("inf"), 1e30])
async def test_a_capacity_without_a_bound(kind: Kind, make: Make, capacity: float) -> None:
    """Was: the streams layer raised OverflowError, or Redis refused what it sent."""
    layer = make(capacity=capacity)
    channel = await layer.new_channel()
    inbox = attach(layer, channel)
    await layer.send(channel, {"type": "direct"})
    assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "direct"}
    if kind.stores:
        await layer.send("work", {"type": "job"})
        assert await receive(layer, "work") == {"type": "job"}
    await layer.detach(channel)


@pytest.mark.layers(ours=True)
async def test_a_burst_for_many_channels_of_one_process(make: Make) -> None:
    """Capacity is each channel's own: a hundred full rooms do not make another one full."""
    layer = make(capacity=10)
    channels = [await layer.new_channel() for _ in range(100)]
    inboxes = [attach(layer, channel) for channel in channels]
    for number, channel in enumerate(channels):
        await layer.group_add(f"room{number}", channel)
    sends = [layer.group_send(f"room{room}", {"type": "x", "n": n}) for n in range(10) for room in range(100)]
    await asyncio.gather(*sends)
    for inbox in inboxes:
        got = [(await asyncio.wait_for(inbox.get(), WITHIN_S))["n"] for _ in range(10)]
        assert got == list(range(10))
    assert not layer.metrics.dropped
    for channel in channels:
        await layer.detach(channel)


@pytest.mark.layers(ours=True)
async def test_capacity_by_pattern(kind: Kind, make: Make) -> None:
    layer = make(capacity=5, channel_capacity={"*tiny*": 1})
    tiny = await layer.new_channel("tiny.")
    await layer.send(tiny, {"type": "x"})
    if not kind.at_once:
        await until_async(lambda: layer.depth() == 1, "it has arrived")
    with pytest.raises(ChannelFull):
        await layer.send(tiny, {"type": "x"})
    assert await receive(layer, tiny) == {"type": "x"}


# Pushing


async def test_which_layers_push(kind: Kind, layer: Any) -> None:
    assert isinstance(layer, PushLayer) is kind.ours


@pytest.mark.layers(ours=True)
async def test_who_receives_while_the_channel_is_removed_waits_for_the_next_message(layer: Any) -> None:
    """Was: for ever, as nothing came to what it waited for any more."""
    channel = await layer.new_channel()
    receiving = asyncio.ensure_future(layer.receive(channel))
    await asyncio.wait((receiving,), timeout=0.2)
    await layer.detach(channel)

    async def is_received() -> bool:  # over pub/sub, not before the channel is subscribed to again
        await layer.send(channel, {"type": "x"})
        await asyncio.wait((receiving,), timeout=0.1)
        return bool(receiving.done())

    await until_awaited(is_received, True)
    assert await receiving == {"type": "x"}


@pytest.mark.layers(ours=True)
async def test_attach_and_detach(kind: Kind, layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "before"})
    inbox = attach(layer, channel)
    await layer.group_add("a", channel)
    await layer.group_add("b", channel)
    await layer.send(channel, {"type": "direct"})
    await layer.group_send("a", {"type": "group"})
    got = [(await asyncio.wait_for(inbox.get(), WITHIN_S))["type"] for _ in range(3)]
    if kind.hosts > 1 and not kind.at_once:  # from different hosts, which promise no order
        got[1:] = sorted(got[1:])
    assert got == ["before", "direct", "group"]
    assert inbox.groups == {"a", "b"} and inbox.channel == channel

    with pytest.raises(RuntimeError, match="is read by a consumer"):
        await layer.receive(channel)

    other = await layer.new_channel()
    await layer.group_add("a", other)
    await layer.detach(channel)
    await layer.group_send("a", {"type": "after"})
    assert await receive(layer, other) == {"type": "after"}
    result = await layer.group_send("b", {"type": "after"})
    assert not result.delivered
    assert not inbox.events


class Member(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("members", self.channel_name)
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("members", {"type": "said", "what": content})

    async def said(self, event: Any) -> None:
        await self.send_json(event["what"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("members", self.channel_name)


async def test_consumers_talk_through_it(layer: Any) -> None:
    register_channel_layer("default", layer)
    try:
        members = [WebsocketCommunicator(Member.as_asgi(), "/") for _ in range(3)]
        for member in members:
            assert (await member.connect(timeout=WITHIN_S))[0]
        for number in range(10):
            await members[number % 3].send_json_to(number)
            for member in members:
                assert await member.receive_json_from(timeout=WITHIN_S) == number
        for member in members:
            await member.disconnect(timeout=WITHIN_S)
    finally:
        unregister_channel_layer("default")


# Event loops and threads


def test_one_event_loop_after_another(kind: Kind, redis_url: str) -> None:
    """As in a shell: each call has a loop of its own, and what one of them sent another receives."""
    from tests.support.layers import make_layer

    layer = make_layer(kind, redis_url)
    try:
        if kind.stores and kind.ours:  # channels_redis' queue layer delivers the first one twice
            for number in range(3):
                async_to_sync(layer.send)("test_channel", {"type": "hello", "n": number})
                assert async_to_sync(layer.receive)("test_channel") == {"type": "hello", "n": number}
        if kind.ours:
            channel = async_to_sync(layer.new_channel)()
            async_to_sync(layer.group_add)("room", channel)
            async_to_sync(layer.group_send)("room", {"type": "hello"})
            assert async_to_sync(layer.receive)(channel) == {"type": "hello"}
    finally:
        async_to_sync(layer.flush)()


@pytest.mark.layers(ours=True)
def test_blocking_forms(kind: Kind, redis_url: str) -> None:
    from tests.support.layers import make_layer

    layer = make_layer(kind, redis_url)
    try:
        channel = async_to_sync(layer.new_channel)()
        layer.group_add_sync("room", channel)
        layer.send_sync(channel, {"type": "direct"})
        assert async_to_sync(layer.receive)(channel) == {"type": "direct"}
        layer.group_send_sync("room", {"type": "group"})
        assert async_to_sync(layer.receive)(channel) == {"type": "group"}
        layer.group_discard_sync("room", channel)
        layer.group_send_sync("room", {"type": "nobody"})
        layer.send_sync(channel, {"type": "direct"})
        assert async_to_sync(layer.receive)(channel) == {"type": "direct"}
    finally:
        async_to_sync(layer.flush)()


@pytest.mark.layers(ours=True)
async def test_blocking_forms_refuse_to_stop_an_event_loop(layer: Any) -> None:
    with pytest.raises(RuntimeError, match="await"):
        layer.group_send_sync("room", {"type": "x"})


@pytest.mark.layers(ours=True)
async def test_threads_send_to_a_loop(make: Make) -> None:
    layer = make(capacity=1000)
    channel = await layer.new_channel()
    inbox = attach(layer, channel)
    await layer.group_add("room", channel)

    def work(start: int) -> None:
        for number in range(start, start + 20):
            if number % 2:
                layer.group_send_sync("room", {"type": "x", "n": number})
            else:
                async_to_sync(layer.group_send)("room", {"type": "x", "n": number})

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 100, 20)]
    for thread in threads:
        thread.start()
    got = [(await asyncio.wait_for(inbox.get(), WITHIN_S))["n"] for _ in range(100)]
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sorted(got) == list(range(100))
    for start in range(0, 100, 20):
        mine = [number for number in got if start <= number < start + 20]
        assert mine == sorted(mine), "each thread's in its order"
    await layer.detach(channel)


@pytest.mark.layers(ours=True)
async def test_two_event_loops_at_once(kind: Kind, make: Make) -> None:
    layer = make()
    here = await layer.new_channel()
    await layer.group_add("room", here)

    async def there() -> Any:
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "from.there"})
        got = await receive(layer, channel)
        await layer.send(here, {"type": "direct"})
        await layer.group_discard("room", channel)
        return got

    assert await asyncio.to_thread(asyncio.run, there()) == {"type": "from.there"}
    assert await receive(layer, here) == {"type": "from.there"}
    assert await receive(layer, here) == {"type": "direct"}


# Upkeep


async def test_flush(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.flush()
    await layer.group_send("room", {"type": "x"})
    fresh = await layer.new_channel()
    await layer.send(fresh, {"type": "y"})
    assert await receive(layer, fresh) == {"type": "y"}


@pytest.mark.layers(ours=True)
async def test_a_receive_that_waits_while_the_layer_is_flushed(layer: Any) -> None:
    channel = await layer.new_channel()
    receiving = asyncio.create_task(receive(layer, channel))
    await layer.send(channel, {"type": "before"})
    assert await receiving == {"type": "before"}
    receiving = asyncio.create_task(receive(layer, channel))
    await turns()  # it waits
    await layer.flush()
    await layer.send(channel, {"type": "after"})
    assert await receiving == {"type": "after"}


@pytest.mark.layers(ours=True)
async def test_a_receive_that_waits_is_told_that_a_consumer_has_come(layer: Any) -> None:
    channel = await layer.new_channel()
    receiving = asyncio.create_task(receive(layer, channel))
    await layer.send(channel, {"type": "x"})
    assert await receiving == {"type": "x"}
    receiving = asyncio.create_task(receive(layer, channel))
    await turns()  # it waits
    inbox = attach(layer, channel)
    with pytest.raises(RuntimeError, match="is read by a consumer"):
        await receiving
    await layer.send(channel, {"type": "to.it"})
    assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "to.it"}
    await layer.detach(channel)


@pytest.mark.layers(ours=True)
async def test_an_unknown_option_names_the_nearest(make: Make) -> None:
    with pytest.raises(TypeError, match=r"unexpected option 'capacty'.*did you mean 'capacity'"):
        make(capacty=5)
    with pytest.raises(ValueError, match=r"on_overflow='block': expected one of"):
        make(on_overflow="block")


@pytest.mark.layers(ours=True)
def test_messages_are_pushed_into_inboxes(layer: Any) -> None:
    """And no task for each consumer calls ``receive()``, which is for layers that cannot push."""
    assert pushes(layer)


@pytest.mark.layers(ours=True, serializes=True)
@pytest.mark.quick_kinds
async def test_what_the_live_page_asks_counts_nowhere(make: Make, kind: Kind) -> None:
    if kind in MOVING:
        pytest.skip("each of its two layers counts for itself")
    layer, heard = make(), list[Any]()
    both = [await attached(layer, await layer.new_channel(word), heard.append) for word in (LIVE, "other")]
    for subscription in both:
        await layer.send(subscription.channel, {"type": "said"})
    await until_async(lambda: len(heard) == 2, "both have come")
    assert (layer.metrics.sent, layer.metrics.delivered) == (1, 1)
    for subscription in both:
        await subscription.end()


class Request:
    """What the context of a connection holds: its scope, and who its log records are about."""


current: ContextVar[Request | None] = ContextVar("current", default=None)


@pytest.mark.layers(ours=True)
@pytest.mark.quick_kinds
async def test_no_task_of_a_layer_holds_the_context_of_a_connection(make: Make) -> None:
    layer = make(presence={"room*": {"key": "channel"}})

    async def connection() -> weakref.ref[Request]:
        mine = Request()
        current.set(mine)
        channel = await layer.new_channel()
        layer.attach(channel, inbox_of(asyncio.get_running_loop()))
        layer.attend(channel, {}, hears=False)
        await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "x"})
        return weakref.ref(mine)

    held = await asyncio.create_task(connection())

    def is_free() -> bool:
        gc.collect()
        return held() is None

    await until_async(is_free, "the context is free, though the connection is still there")


@pytest.mark.layers(ours=True)
@pytest.mark.quick_kinds
async def test_a_message_to_one_consumer_is_counted_once(make: Make, kind: Kind) -> None:
    if kind in MOVING:
        pytest.skip("each of its two layers counts for itself")
    layer, heard = make(), list[Any]()
    subscription = await attached(layer, await layer.new_channel(), heard.append)
    await layer.send(subscription.channel, {"type": "said"})
    await until_async(lambda: len(heard) == 1, "it has come")
    assert (layer.metrics.sent, layer.metrics.delivered) == (1, 1)
    await subscription.end()
