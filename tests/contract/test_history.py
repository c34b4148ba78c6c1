"""Histories of groups, on every layer of ours: what newcomers get first, and what can be asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.exceptions import ImproperlyConfigured
from compat.layers.history import History
from compat.names import CLOSE
from tests.support.layers import Kind
from tests.support.waiting import until_async

Make = Callable[..., Any]
WITHIN_S = 20.0
pytestmark = pytest.mark.layers(ours=True)


def ruled(**rule: Any) -> dict[str, Any]:
    return {"history": {"chat_*": rule}}


async def say(layer: Any, first: int, last: int, group: str = "chat_x", **also: Any) -> None:
    for number in range(first, last + 1):
        await layer.group_send(group, {"type": "chat.message", "n": number, **also})


async def attached(layer: Any) -> tuple[str, Inbox]:
    channel, inbox = await layer.new_channel(), inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    return channel, inbox


async def got(layer: Any, channel: str, count: int) -> list[int]:
    found = []
    for _ in range(count):
        found.append((await asyncio.wait_for(layer.receive(channel), WITHIN_S))["n"])
    return found


def waiting(inbox: Inbox) -> list[int]:
    return [event[1]["n"] for event in inbox.events if "n" in event[1]]


async def has_come(inbox: Inbox, expected: list[int], newest: int = 0) -> None:
    """What waits, or the newest of it, is ``expected``."""
    await until_async(lambda: waiting(inbox)[-newest:] == expected, f"{expected} has come")


@pytest.mark.parametrize(("on_join", "expected"), [(0, []), (1, [60]), (2, [59, 60]), (3, [58, 59, 60])])
async def test_history_h1_a_newcomer_sees_the_last_ones_and_then_what_is_new(
    make: Make, on_join: int, expected: list[int]
) -> None:
    layer = make(**ruled(on_join=on_join))
    await say(layer, 1, 60)
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel)
    await say(layer, 61, 62)
    assert await got(layer, channel, len(expected) + 2) == [*expected, 61, 62]


async def test_fifty_messages_do_not_count_against_the_capacity(make: Make) -> None:
    layer = make(capacity=10, **ruled(on_join=50))
    await say(layer, 1, 60)
    channel, inbox = await attached(layer)
    await layer.group_add("chat_x", channel)
    await say(layer, 61, 70)
    await until_async(lambda: len(waiting(inbox)) == 60, "all are there")
    assert waiting(inbox) == list(range(11, 71))
    assert not layer.metrics.dropped


async def test_a_group_that_no_pattern_names_keeps_nothing(make: Make) -> None:
    layer = make(**ruled(on_join=5))
    await say(layer, 1, 3, "other")
    channel = await layer.new_channel()
    await layer.group_add("other", channel)
    await say(layer, 4, 4, "other")
    assert await got(layer, channel, 1) == [4]
    for call in (layer.history("other"), layer.forget("other"), layer.group_add("other", channel, 5)):
        with pytest.raises(ImproperlyConfigured, match=r"'other'.*CONFIG"):
            await call


async def test_what_is_no_number_of_messages(make: Make) -> None:
    """As from a query string."""
    layer = make(**ruled())
    channel = await layer.new_channel()
    for count, error in ((-1, ValueError), ("5", TypeError), (1.5, TypeError), (True, ValueError)):
        for call in (layer.history("chat_x", count), layer.group_add("chat_x", channel, count)):
            with pytest.raises(error, match=f"the number of messages must be an int, .*not {count!r}"):
                await call


async def test_one_group_is_no_list_of_groups(make: Make) -> None:
    with pytest.raises(TypeError, match=r"groups is a list, such as \['chat_x'\]"):
        await make(**ruled()).ticket("chat_x")


async def test_a_member_that_joins_again_gets_nothing_twice_unless_it_asks(make: Make) -> None:
    layer = make(**ruled(on_join=5))
    await say(layer, 1, 3)
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel)
    await layer.group_add("chat_x", channel)
    await say(layer, 4, 4)
    assert await got(layer, channel, 4) == [1, 2, 3, 4]
    await layer.group_add("chat_x", channel, last=2)
    assert await got(layer, channel, 2) == [3, 4]


async def test_more_can_be_asked_for_than_newcomers_get(make: Make) -> None:
    layer = make(capacity=10, **ruled(count=300, on_join=1))
    await say(layer, 1, 250)
    first, second = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("chat_x", first)
    await layer.group_add("chat_x", second, last=240)
    assert await got(layer, first, 1) == [250]
    assert await got(layer, second, 240) == list(range(11, 251))


async def test_what_was_said_can_be_read(make: Make) -> None:
    layer = make(**ruled(count=10))
    empty = await layer.history("chat_x")
    assert (list(empty), empty.complete, empty.position) == ([], True, "")
    await say(layer, 1, 5)
    all_of_it = await layer.history("chat_x")
    assert isinstance(all_of_it, History)
    assert [dict(entry) for entry in all_of_it] == [{"type": "chat.message", "n": n} for n in range(1, 6)]
    assert all_of_it.complete
    assert all_of_it.position == all_of_it[-1].id
    two = await layer.history("chat_x", 2)
    assert ([entry["n"] for entry in two], two.complete) == ([4, 5], False)
    later = await layer.history("chat_x", since=all_of_it[2].id)
    assert ([entry["n"] for entry in later], later.complete) == ([4, 5], True)
    page = await layer.history("chat_x", count=1, since=all_of_it[2].id)
    assert ([entry["n"] for entry in page], page.complete) == ([4], False)
    nothing = await layer.history("chat_x", since=all_of_it.position)
    assert (list(nothing), nothing.complete) == ([], True)
    await say(layer, 6, 14)
    trimmed = await layer.history("chat_x", since=all_of_it[1].id)
    assert ([entry["n"] for entry in trimmed], trimmed.complete) == (list(range(5, 15)), False)
    assert not (await layer.history("chat_x")).complete


async def test_a_position_of_another_epoch_is_never_complete(make: Make) -> None:
    layer = make(**ruled())
    await say(layer, 1, 3)
    for since in ("0123456789abcdef-1", "0123456789abcdef-3", "0123456789abcdef-9"):
        found = await layer.history("chat_x", since=since)
        assert ([entry["n"] for entry in found], found.complete) == ([1, 2, 3], False)
    position = (await layer.history("chat_x")).position
    ahead = f"{position.rpartition('-')[0]}-4"
    assert not (await layer.history("chat_x", since=ahead)).complete
    for bad in ("7", "x", "a-b", "a--1", position + "9" * 20):
        with pytest.raises(ValueError, match="id of an entry"):
            await layer.history("chat_x", since=bad)


async def test_an_error_shows_only_the_beginning_of_what_is_no_id(make: Make) -> None:
    """As from a query string."""
    layer = make(**ruled())
    for bad in ("x" * 100_000, b"x" * 100_000):
        for call in (layer.history("chat_x", since=bad), layer.forget("chat_x", bad)):
            with pytest.raises(ValueError, match=r"xxx….* is not the id of an entry") as caught:
                await call
            assert len(str(caught.value)) < 400


async def test_history_h5_count_and_seconds_bound_what_is_kept(make: Make) -> None:
    layer = make(**ruled(count=3, seconds=3))
    await say(layer, 1, 9)
    assert [entry["n"] for entry in await layer.history("chat_x", 100)] == [7, 8, 9]

    async def gone() -> bool:
        return not await layer.history("chat_x")

    for _ in range(600):
        if await gone():
            break
        await asyncio.sleep(0.01)
    assert await gone()
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel, last=3)
    await say(layer, 10, 10)
    assert await got(layer, channel, 1) == [10]


async def test_only_the_types_of_the_rule_are_kept(make: Make) -> None:
    layer = make(**ruled(types=["chat.message"], on_join=5))
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel)
    await say(layer, 1, 1)
    await layer.group_send("chat_x", {"type": "user.joined", "n": 2})
    await say(layer, 3, 3)
    assert sorted(await got(layer, channel, 3)) == [1, 2, 3], "members get all"
    assert [entry["n"] for entry in await layer.history("chat_x")] == [1, 3]
    other = await layer.new_channel()
    await layer.group_add("chat_x", other)
    assert await got(layer, other, 2) == [1, 3]


async def test_a_close_is_for_those_who_are_there(make: Make) -> None:
    """Was: replayed, so that nobody could join a room that had been closed once."""
    layer = make(**ruled(on_join=5))
    there = await layer.new_channel()
    await layer.group_add("chat_x", there)
    await say(layer, 1, 1)
    await layer.group_send("chat_x", {"type": CLOSE, "code": 4001, "reason": None})
    await say(layer, 2, 2)
    heard = [(await asyncio.wait_for(layer.receive(there), WITHIN_S))["type"] for _ in range(3)]
    assert sorted(heard) == ["chat.message", "chat.message", CLOSE]  # what is not kept may overtake
    later = await layer.new_channel()
    await layer.group_add("chat_x", later)
    await say(layer, 3, 3)
    assert await got(layer, later, 3) == [1, 2, 3]
    assert [message["n"] for message in await layer.history("chat_x")] == [1, 2, 3]


async def test_who_was_excluded_stays_so_and_the_history_does_not_show_it(make: Make) -> None:
    layer = make(**ruled(on_join=5))
    one, two = await layer.new_channel(), await layer.new_channel()
    for channel in (one, two):
        await layer.group_add("chat_x", channel)
    await layer.group_send("chat_x", {"type": "chat.message", "n": 1}, exclude=[one])
    await say(layer, 2, 2)
    assert (await got(layer, one, 1), await got(layer, two, 2)) == ([2], [1, 2])
    assert [dict(entry) for entry in await layer.history("chat_x")] == [
        {"type": "chat.message", "n": 1},
        {"type": "chat.message", "n": 2},
    ]


async def test_who_leaves_and_comes_again_does_not_get_what_it_was_excluded_from(make: Make) -> None:
    layer = make(**ruled(on_join=5))
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel)
    await layer.group_send("chat_x", {"type": "chat.message", "n": 1}, exclude=[channel])
    await layer.group_discard("chat_x", channel)
    await layer.group_add("chat_x", channel)
    await say(layer, 2, 2)
    assert await got(layer, channel, 1) == [2]


async def test_several_who_join_at_once_each_get_what_they_ask_for(make: Make) -> None:
    layer = make(**ruled(count=300, on_join=3))
    await say(layer, 1, 260)
    one, two, three = [await layer.new_channel() for _ in range(3)]
    await asyncio.gather(
        layer.group_add("chat_x", one),
        layer.group_add("chat_x", two, last=250),
        layer.group_add("chat_x", three),
        layer.group_add("chat_x", three),
    )
    await say(layer, 261, 261)
    assert await got(layer, one, 4) == [258, 259, 260, 261]
    assert await got(layer, two, 251) == list(range(11, 262))
    assert await got(layer, three, 4) == [258, 259, 260, 261], "joining twice is the same as once"


async def test_long_messages_are_given_to_newcomers_too(make: Make) -> None:
    layer = make(**ruled(on_join=40))
    await say(layer, 1, 50, text="x" * 20_000)
    for last in (None, 45):
        channel = await layer.new_channel()
        await layer.group_add("chat_x", channel, last)
        count = last or 40
        assert await got(layer, channel, count) == list(range(51 - count, 51))


async def test_more_than_fits_into_one_reply_can_be_read(make: Make) -> None:
    layer = make(**ruled(count=60))
    await say(layer, 1, 30)
    await say(layer, 31, 40, text="x" * 400_000)
    await say(layer, 41, 42, text="x" * 1_200_000)
    await say(layer, 43, 60)
    kept = await layer.history("chat_x")
    assert ([entry["n"] for entry in kept], kept.complete) == (list(range(1, 61)), True)
    assert [entry["n"] for entry in await layer.history("chat_x", 29)] == list(range(32, 61))
    for after in (0, 29, 40, 41):
        later = await layer.history("chat_x", since=kept[after].id)
        assert ([entry["n"] for entry in later], later.complete) == (list(range(after + 2, 61)), True)


async def test_a_flush_takes_histories_along(make: Make) -> None:
    layer = make(**ruled(on_join=5))
    await say(layer, 1, 3)
    await layer.flush()
    assert await layer.history("chat_x") == []


async def test_a_position_before_the_first_message(make: Make) -> None:
    layer = make(**ruled())
    position = await layer.position("chat_x")
    await say(layer, 1, 2)
    found = await layer.history("chat_x", since=position)
    assert ([entry["n"] for entry in found], found.complete) == ([1, 2], True)
    with pytest.raises(ValueError, match="at most 32"):
        await layer.ticket([f"chat_{number}" for number in range(33)])


async def test_the_position_of_a_group_without_messages_is_before_the_first_one(make: Make) -> None:
    layer = make(**ruled(count=5))
    empty = await layer.history("chat_x")
    nothing = await layer.history("chat_x", since=empty.position)
    assert (list(nothing), nothing.complete, nothing.position) == ([], True, "")
    await say(layer, 1, 4)
    for count, expected in ((None, [1, 2, 3, 4]), (4, [1, 2, 3, 4]), (2, [1, 2]), (0, [])):
        found = await layer.history("chat_x", count, since=empty.position)
        assert ([entry["n"] for entry in found], found.complete) == (expected, len(expected) == 4)
        assert found.position == (await layer.history("chat_x")).position
    await say(layer, 5, 6)
    trimmed = await layer.history("chat_x", since=empty.position)
    assert ([entry["n"] for entry in trimmed], trimmed.complete) == ([2, 3, 4, 5, 6], False)


async def test_an_entry_can_be_forgotten_and_all(make: Make) -> None:
    layer = make(**ruled(on_join=9))
    await say(layer, 1, 4)
    entries = await layer.history("chat_x")
    assert await layer.forget("chat_x", entries[1].id) == 1
    assert await layer.forget("chat_x", entries[1].id) == 0
    assert await layer.forget("chat_x", "0123456789abcdef-1") == 0
    assert [entry["n"] for entry in await layer.history("chat_x")] == [1, 3, 4]
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel)
    assert await got(layer, channel, 3) == [1, 3, 4]
    assert await layer.forget("chat_x") == 3
    assert await layer.history("chat_x") == []
    assert not (await layer.history("chat_x", since=entries[0].id)).complete
    await say(layer, 5, 5)
    assert await got(layer, channel, 1) == [5]
    assert [entry["n"] for entry in await layer.history("chat_x")] == [5]


async def left_s(layer: Any, group: str = "chat_x") -> float:
    """Return the seconds until Redis deletes the messages of a group."""
    layer = getattr(layer, "sending", layer)
    shard, (stream, _) = layer.recordings.where(group)
    left_ms: int = await layer._by_whom(lambda commands: commands.call(shard, b"PTTL", stream))
    return left_ms / 1000


async def test_what_is_kept_after_all_was_forgotten_is_deleted_in_time(make: Make, kind: Kind) -> None:
    if not kind.hosts:
        pytest.skip("there is no Redis that deletes it")
    layer = make(**ruled(seconds=100))
    await say(layer, 1, 1)
    assert 100 < await left_s(layer) <= 106
    assert await layer.forget("chat_x") == 1
    await say(layer, 2, 2)
    assert 100 < await left_s(layer) <= 106


@pytest.mark.parametrize(("before", "after"), [(100, 1000), (1000, 100)])
async def test_another_time_to_keep_messages_counts_from_the_next_one(
    make: Make, kind: Kind, before: int, after: int
) -> None:
    if not kind.hosts:
        pytest.skip("there is no Redis that deletes it")
    old = make(**ruled(seconds=before))
    await say(old, 1, 1)
    new = make(prefix=old.prefix, **ruled(seconds=after))
    await say(new, 2, 2)
    assert after < await left_s(new) <= after * 1.05 + 1


@pytest.mark.parametrize("which", [1, 2, 3])
async def test_what_was_forgotten_is_missing_from_what_was_asked_for(make: Make, which: int) -> None:
    layer = make(**ruled(types=["chat.message"]))
    before = await layer.position("chat_x")
    await say(layer, 1, 3)
    entries = await layer.history("chat_x")
    ids = [before, *(entry.id for entry in entries)]
    assert entries.complete and all([(await layer.history("chat_x", since=id)).complete for id in ids])
    await layer.forget("chat_x", ids[which])
    assert not (await layer.history("chat_x")).complete
    assert [(await layer.history("chat_x", since=id)).complete for id in ids] == [
        index >= which for index in range(4)
    ]
    await layer.group_send("chat_x", {"type": "chat.notice"})  # which is not kept, and so not missing
    await say(layer, 4, 4)
    assert [(await layer.history("chat_x", since=id)).complete for id in ids] == [
        index >= which for index in range(4)
    ]


async def test_what_a_client_says_of_places_is_not_believed(make: Make, kind: Kind) -> None:
    layer = make(**ruled(on_join=9))
    channel = await layer.new_channel()
    await layer.group_add("chat_x", channel)
    await say(layer, 1, 1)
    place = "1".zfill(16) + "0" * 32 + "chat_x"
    forged: dict[str, Any] = {
        "__compat__": place,
        "__exclude__": [channel],
    }
    travels = kind.hosts > 0
    if travels:
        await say(layer, 2, 2, **forged)
        await say(layer, 3, 3, "other", **forged)
    await say(layer, 4, 4)
    expected = [1, 2, 4] if travels else [1, 4]
    assert await got(layer, channel, len(expected)) == expected
    for entry in await layer.history("chat_x"):
        assert set(entry) == {"type", "n"}


async def test_nobody_changes_what_is_kept(make: Make) -> None:
    layer = make(**ruled(on_join=9))
    await layer.group_send("chat_x", {"type": "chat.message", "n": 1, "list": [1]})
    for _ in range(2):
        channel = await layer.new_channel()
        await layer.group_add("chat_x", channel)
        message = await asyncio.wait_for(layer.receive(channel), WITHIN_S)
        assert message["list"] == [1]
        message["list"].append(2)
    entry = (await layer.history("chat_x"))[0]
    entry["list"].append(3)
    assert (await layer.history("chat_x"))[0]["list"] == [1]


async def test_a_channel_that_leaves_while_it_joins_is_no_member(make: Make) -> None:
    layer = make(**ruled(on_join=9))
    await say(layer, 1, 1)
    channel, inbox = await attached(layer)
    joining = asyncio.ensure_future(layer.group_add("chat_x", channel))
    await asyncio.sleep(0)
    await layer.detach(channel)
    await asyncio.wait([joining])
    other = await layer.new_channel()
    await layer.group_add("chat_x", other, last=0)
    before = len(inbox.events)
    await say(layer, 2, 2)
    assert await got(layer, other, 1) == [2]
    assert len(inbox.events) == before


@pytest.mark.parametrize("senders", [1, 4])
async def test_history_h2_who_joins_in_a_storm_of_messages_misses_none(make: Make, senders: int) -> None:
    layer = make(capacity=10_000, **ruled(count=1000, on_join=20))
    said = [0]

    async def send(sender: int) -> None:
        for number in range(250):
            said[0] += 1
            await layer.group_send("chat_x", {"type": "chat.message", "n": sender * 1000 + number})

    sending = asyncio.gather(*(send(sender) for sender in range(senders)))
    joined: list[tuple[str, Inbox]] = []
    while not sending.done() and len(joined) < 25:
        joined.append(await attached(layer))
        await layer.group_add("chat_x", joined[-1][0])
        await asyncio.sleep(0)
    await sending
    order = [entry["n"] for entry in await layer.history("chat_x", 1000)]
    assert len(order) == said[0] == 250 * senders
    for _, inbox in joined:
        await has_come(inbox, order[-1:], 1)
        seen = waiting(inbox)
        assert seen == order[len(order) - len(seen) :]
        assert len(seen) >= min(20, len(order))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_order_of_joining_leaving_and_sending(make: Make, data: st.DataObject) -> None:
    count, on_join = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 5))
    layer = make(**ruled(count=count, on_join=min(on_join, count)))
    said: list[int] = []
    seen: dict[str, list[int]] = {}
    boxes: dict[str, Inbox] = {}
    for _ in range(data.draw(st.integers(1, 12))):
        step = data.draw(st.sampled_from(["send", "join", "leave"]))
        if step == "send":
            said.append(len(said))
            await layer.group_send("chat_x", {"type": "chat.message", "n": said[-1]})
            for expected in seen.values():
                expected.append(said[-1])
        elif step == "join":
            channel, boxes_of = await attached(layer)
            boxes[channel], first = boxes_of, min(on_join, count)
            await layer.group_add("chat_x", channel)
            seen[channel] = said[-first:] if first else []
        elif seen:
            channel = next(iter(seen))
            expected = seen.pop(channel)
            await has_come(boxes[channel], expected)
            await layer.group_discard("chat_x", channel)
    for channel, expected in seen.items():
        await has_come(boxes[channel], expected)


async def test_the_blocking_forms(make: Make, kind: Kind) -> None:
    layer = make(**ruled())
    await say(layer, 1, 3)
    found = await asyncio.to_thread(layer.history_sync, "chat_x", 2)
    assert [entry["n"] for entry in found] == [2, 3]
    assert await asyncio.to_thread(layer.forget_sync, "chat_x", found[0].id) == 1
    assert [entry["n"] for entry in await layer.history("chat_x")] == [1, 3]


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (["chat_*"], "dict of pattern"),
        ({"chat_*": 5}, r"history\['chat_\*'\] must be a dict"),
        ({5: {}}, "a pattern is a glob"),
        ({re.compile(b"chat_"): {}}, "history: the names of groups are text"),
        ({"chat_*": {"on_jion": 5}}, "on_join"),
        ({"chat_*": {"count": 0}}, "'count'"),
        ({"chat_*": {"seconds": float("inf")}}, "'seconds'"),
        ({"chat_*": {"types": "chat.message"}}, "'types'"),
        ({"chat_*": {"on_join": True}}, "'on_join'"),
        ({"chat_*": {"count": 5, "on_join": 6}}, "only 5 are kept"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(kind: Kind, redis_url: str, rule: Any, names: str) -> None:
    from tests.support.layers import make_layer

    with pytest.raises((TypeError, ValueError), match=names):
        make_layer(kind, redis_url, history=rule)
