"""The in-memory layer: what is its own, beside the contract that all layers keep."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from hypothesis import given
from hypothesis import strategies as st

from compat.clock import steady
from compat.engine.parts import inbox_of
from compat.exceptions import ChannelFull
from compat.layers import InMemoryChannelLayer
from compat.layers.copies import copier, private, sent
from compat.metrics import MOST_CAUSES, Throttle
from compat.types import Message
from tests.support.waiting import turns


class Name(str):
    """A name that lets another thread go on whenever a dict or a set looks for it."""

    __slots__ = ()

    def __hash__(self) -> int:
        time.sleep(0)
        return super().__hash__()


def in_threads(count: int, work: Callable[[int], Any]) -> None:
    """Call ``work(0)`` to ``work(count - 1)``, each in a thread of its own; raise what one of them raises."""
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(work, range(count)))


async def test_channel_names_are_upstreams() -> None:
    layer = InMemoryChannelLayer()
    assert re.fullmatch(r"specific\.\.inmemory![A-Za-z]{12}", await layer.new_channel())
    assert (await layer.new_channel("worker")).startswith("worker.inmemory!")


async def test_state_shows_and_goes() -> None:
    layer = InMemoryChannelLayer()
    await layer.group_add("room", "a")
    assert set(layer.groups) == {"room"} and set(layer.groups["room"]) == {"a"}
    await layer.group_send("room", {"type": "hello"})
    assert layer.depth() == 1 and set(layer.channels) == {"a"}
    assert await layer.receive("a") == {"type": "hello"}
    assert layer.channels == {}
    await layer.group_discard("room", "a")
    assert layer.groups == {}


async def test_capacity_by_pattern() -> None:
    layer = InMemoryChannelLayer(capacity=5, channel_capacity={"http.*": 1, re.compile(r"^ws\d$"): 2})
    for channel, capacity in (("http.request", 1), ("ws1", 2), ("other", 5)):
        for _ in range(capacity):
            await layer.send(channel, {"type": "x"})
        with pytest.raises(ChannelFull, match=re.escape(channel)):
            await layer.send(channel, {"type": "x"})


async def test_an_unread_message_expires() -> None:
    layer = InMemoryChannelLayer(expiry=-1)
    await layer.send("a", {"type": "x"})
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(layer.receive("a"), 0.05)
    assert layer.metrics.dropped == {"expired": 1}


async def test_a_member_that_nobody_reads_leaves_its_groups() -> None:
    layer = InMemoryChannelLayer(expiry=-1)
    await layer.group_add("room", "abandoned")
    await layer.group_send("room", {"type": "x"})
    await layer.send("other", {"type": "x"})  # a later send sweeps
    assert layer.groups == {}


async def test_a_live_member_never_expires() -> None:
    layer = InMemoryChannelLayer(expiry=-1, group_expiry=-1)
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("mine", inbox)
    await layer.group_add("room", "mine")
    await layer.group_add("room", "foreign")
    await layer.send("other", {"type": "x"})
    await layer.send("other", {"type": "x"})
    assert set(layer.groups["room"]) == {"mine"}


async def test_detach_leaves_all_groups() -> None:
    layer = InMemoryChannelLayer()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("mine", inbox)
    for group in ("a", "b", "c"):
        await layer.group_add(group, "mine")
    await layer.group_discard("b", "mine")
    await layer.detach("mine")
    assert layer.groups == {} and layer.channels == {}


async def test_what_waited_before_attach_comes_first() -> None:
    layer = InMemoryChannelLayer()
    await layer.send("mine", {"type": "early"})
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("mine", inbox)
    await layer.send("mine", {"type": "late"})
    assert [(await inbox.get())["type"], (await inbox.get())["type"]] == ["early", "late"]


async def test_receive_of_a_consumers_channel_is_an_error_that_says_so() -> None:
    layer = InMemoryChannelLayer()
    layer.attach("mine", inbox_of(asyncio.get_running_loop()))
    with pytest.raises(RuntimeError, match="'mine' is read by a consumer"):
        await layer.receive("mine")


async def test_the_result_of_a_group_send_is_exact(caplog: pytest.LogCaptureFixture) -> None:
    layer = InMemoryChannelLayer(capacity=1)
    for channel in ("a", "b", "c"):
        await layer.group_add("room", channel)
    await layer.send("b", {"type": "full"})
    assert await layer.group_send("room", {"type": "x"}, exclude=["c"]) == (1, 1)
    assert layer.metrics.dropped == {"overflow": 1}
    assert len(caplog.records) == 1 and "channel b lost a message" in caplog.text
    for _ in range(50):
        await layer.group_send("room", {"type": "x"})
    assert layer.metrics.dropped == {"overflow": 1 + 150 - 1}
    assert len(caplog.records) == 3, "one line per channel and minute"


async def test_events_are_private() -> None:
    layer = InMemoryChannelLayer()
    sent: dict[str, Any] = {"type": "x", "list": [1, {"deep": []}], "when": time.struct_time(range(9))}
    for channel in ("a", "b"):
        await layer.group_add("room", channel)
    await layer.group_send("room", sent)
    first, second = await layer.receive("a"), await layer.receive("b")
    assert first == second == sent
    first["list"][1]["deep"].append("changed")
    assert second["list"] == sent["list"] == [1, {"deep": []}]


def test_a_layer_serves_one_event_loop_after_another() -> None:
    layer = InMemoryChannelLayer()
    for number in range(3):
        async_to_sync(layer.send)("test_channel", {"type": "hello", "n": number})
        assert async_to_sync(layer.receive)("test_channel") == {"type": "hello", "n": number}


def test_sync_forms() -> None:
    layer = InMemoryChannelLayer()
    layer.group_add_sync("room", "a")
    assert layer.group_send_sync("room", {"type": "x"}) == (1, 0)
    layer.send_sync("a", {"type": "y"})
    layer.group_discard_sync("room", "a")
    assert layer.groups == {} and layer.depth() == 2


async def test_a_consumers_loop_that_is_gone() -> None:
    layer = InMemoryChannelLayer()
    dead = asyncio.new_event_loop()
    layer.attach("mine", inbox_of(dead))
    await layer.group_add("room", "mine")
    dead.close()
    await layer.group_send("room", {"type": "x"})
    assert layer.metrics.dropped == {"gone": 1} and layer.groups == {}


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"history\['chat_\*'\] got .* 'counts' .*did you mean 'count'"):
        InMemoryChannelLayer(history={"chat_*": {"counts": 3}})
    with pytest.raises(TypeError, match=r"presence\['chat_\*'\] got .* 'pubic' .*did you mean 'public'"):
        InMemoryChannelLayer(presence={"chat_*": {"pubic": True}})
    with pytest.raises(TypeError, match=r"unexpected option 'capacty'.*did you mean 'capacity'"):
        InMemoryChannelLayer(capacty=5)
    with pytest.raises(
        ValueError, match=r"on_overflow='block': expected one of 'drop', 'drop_oldest', 'close'"
    ):
        InMemoryChannelLayer(on_overflow="block")  # type: ignore[arg-type]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner) | st.sets(st.integers())
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES))
def test_a_copy_is_equal_and_of_its_own(message: dict[str, Any]) -> None:
    for copy in (copier(message)(), private(message), sent(message)):
        assert copy == message and copy is not message
        for key, value in message.items():
            if isinstance(value, list | dict | set):
                assert copy[key] is not value


def test_a_message_that_contains_itself_is_copied() -> None:
    message: dict[str, Any] = {"type": "x"}
    message["self"] = message
    for copy in (private(message), sent(message)):
        assert copy["self"] is copy and copy is not message


@pytest.mark.parametrize("kind", [list, tuple])
def test_faults_suspected_copies_of_what_is_shared_are_shared(kind: Any) -> None:
    """A list that holds the same list twice, and so on: it was copied a billion times."""
    leaf = ["leaf"]
    value: Any = leaf
    for _ in range(30):
        value = kind([value, value])
    message = {"type": "x", "value": value, "again": {"value": value}}
    for copied in (copier(message)(), private(message), sent(message)):
        assert copied["again"]["value"] is copied["value"]
        left = copied["value"]
        for _ in range(30):
            assert left[0] is left[1]
            left = left[0]
        assert left == leaf and left is not leaf


def test_faults_suspected_copies_of_what_holds_itself() -> None:
    loop: list[Any] = []
    loop.append({"back": loop})
    pair: Any = ([],)
    pair[0].append(pair)
    for make in (private, sent):
        copied = make({"type": "x", "loop": loop, "pair": pair})
        assert copied["loop"][0]["back"] is copied["loop"] is not loop
        assert copied["pair"][0][0] is copied["pair"] is not pair


@pytest.mark.parametrize("deep", [250, 20_000])
def test_faults_suspected_copies_of_what_is_very_deep(deep: int) -> None:
    """A receiver that is deeper in the stack than the sender was is not ended by it."""
    value: Any = "leaf"
    for number in range(deep):
        value = {"down": value} if number % 2 else [value]
    for copied in (copier({"type": "x", "value": value})(), private({"type": "x", "value": value})):
        left = copied["value"]
        assert left is not value
        for number in reversed(range(deep)):
            left = left["down"] if number % 2 else left[0]
        assert left == "leaf"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the layer's clock ahead by so many seconds."""
    ahead = 0.0

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    for module in ("layers.memory", "layers.unread", "engine.inbox", "engine.mailbox"):
        monkeypatch.setattr(f"compat.{module}.steady", lambda: steady() + ahead)
    return move


async def test_faults_engine_small_sweep_of_memberships_in_slices(later: Callable[[float], None]) -> None:
    """One sweep of 200,000 memberships blocked the loop for 141 ms."""
    count = 30_000
    layer = InMemoryChannelLayer(expiry=60, group_expiry=100)
    live = inbox_of(asyncio.get_running_loop())
    layer.attach("live", live)
    for channel in ("live", *(f"c{number}" for number in range(count))):
        await layer.group_add("room", channel)
    await layer.group_add("other", "live")
    later(200)
    await layer.send("x", {"type": "x"})
    await layer.send("x", {"type": "x"})
    assert len(layer.groups["room"]) > count / 2, "a call sweeps a part"
    await layer.group_add("room", "c29999")  # anew, between two slices
    await layer.group_discard("room", "c29998")
    layer.attach("c29997", inbox_of(asyncio.get_running_loop()))
    calls = 0
    while len(layer.groups["room"]) > 3 and calls < count:
        await layer.group_send("other", {"type": "x"})
        calls += 1
    assert set(layer.groups["room"]) == {"live", "c29999", "c29997"}
    assert calls < count / 10
    later(200)
    await layer.group_send("other", {"type": "x"})
    assert set(layer.groups["room"]) == {"live", "c29997"}


async def test_faults_engine_small_sweep_of_channels_in_slices(
    later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")  # each channel's loss is a warning
    count = 3000
    layer = InMemoryChannelLayer(expiry=60)
    for number in range(count):
        await layer.send(f"c{number}", {"type": "x"})
    await layer.group_add("room", "c0")
    await layer.group_add("room", "c2999")
    reader = asyncio.ensure_future(layer.receive("read"))
    await asyncio.sleep(0)
    later(200)
    sweep = {"type": "x"}
    await layer.group_send("room", sweep)
    assert len(layer.channels) > count / 2, "a call sweeps a part"
    calls = 0
    while len(layer.channels) > 2 and calls < count:
        await layer.group_send("room", sweep)
        calls += 1
    assert calls < count
    # The sweep has found c0 before it was sent anything new, and c2999 after that.
    assert set(layer.channels) == {"read", "c2999"} and set(layer.groups["room"]) == {"c2999"}
    await layer.send("read", {"type": "y"})
    assert await reader == {"type": "y"}


def test_faults_suspected_mailbox_dropped_while_another_thread_pushes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread has got the mailbox, its reader leaves, and the thread pushes."""
    layer = InMemoryChannelLayer()
    found, dropped = threading.Event(), threading.Event()
    find = layer.box

    def find_slowly(channel: str) -> Any:
        mailbox = find(channel)
        if threading.current_thread() is sender and not found.is_set():
            found.set()
            assert dropped.wait(15)
        return mailbox

    monkeypatch.setattr(layer, "box", find_slowly)
    sender = threading.Thread(target=lambda: asyncio.run(layer.send("a", {"type": "x"})))

    async def main() -> Message:
        reader = asyncio.ensure_future(layer.receive("a"))
        await asyncio.sleep(0)
        sender.start()
        await asyncio.to_thread(found.wait, 15)
        reader.cancel()
        await asyncio.wait([reader])
        assert layer.channels == {}
        dropped.set()
        return await asyncio.wait_for(layer.receive("a"), 15)

    assert asyncio.run(main()) == {"type": "x"}
    sender.join()


def test_faults_suspected_mailbox_dropped_while_another_thread_begins_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = InMemoryChannelLayer()
    found, dropped = threading.Event(), threading.Event()
    find, got = layer.box, list[Message]()

    def find_slowly(channel: str) -> Any:
        mailbox = find(channel)
        if threading.current_thread() is other and not found.is_set():
            found.set()
            assert dropped.wait(15)
        return mailbox

    async def read() -> None:
        got.append(await asyncio.wait_for(layer.receive("a"), 15))

    monkeypatch.setattr(layer, "box", find_slowly)
    other = threading.Thread(target=lambda: asyncio.run(read()))

    async def main() -> None:
        reader = asyncio.ensure_future(layer.receive("a"))
        await asyncio.sleep(0)
        other.start()
        await asyncio.to_thread(found.wait, 15)
        reader.cancel()
        await asyncio.wait([reader])
        dropped.set()
        await layer.send("a", {"type": "x"})

    asyncio.run(main())
    other.join()
    assert got == [{"type": "x"}]


async def test_faults_suspected_mailbox_that_becomes_an_inbox_while_another_thread_pushes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = InMemoryChannelLayer()
    found, attached = threading.Event(), threading.Event()
    find = layer.box

    def find_slowly(channel: str) -> Any:
        mailbox = find(channel)
        if threading.current_thread() is sender and not found.is_set():
            found.set()
            assert attached.wait(15)
        return mailbox

    await layer.send("a", {"type": "early"})
    monkeypatch.setattr(layer, "box", find_slowly)
    sender = threading.Thread(target=lambda: asyncio.run(layer.send("a", {"type": "late"})))
    sender.start()
    await asyncio.to_thread(found.wait, 15)
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach("a", inbox)
    attached.set()
    assert [(await asyncio.wait_for(inbox.get(), 15))["type"] for _ in range(2)] == ["early", "late"]
    sender.join()


def test_throttle_counts_what_it_holds_back() -> None:
    throttle = Throttle(every_s=60)
    assert [throttle.due("a", now=now) for now in (0, 1, 59, 61, 62, 200)] == [1, 0, 0, 3, 0, 2]
    assert throttle.due("b", now=1) == 1


@pytest.mark.parametrize("more", [-1, 0, 1, 2, 3, 10_000])
def test_a_throttle_reports_so_many_causes_and_counts_the_rest(more: int) -> None:
    throttle, causes = Throttle(every_s=60), MOST_CAUSES + more
    lines = [throttle.due(cause, now=0) for cause in range(causes)]
    assert sum(lines) == min(causes, MOST_CAUSES + 1), "the first of the rest has a line, too"
    lines += [throttle.due(cause, now=now) for now in (60, 120) for cause in range(causes)]
    assert sum(lines) == 3 * causes - max(0, more - 1), "but for those that wait for the next line"


def test_a_throttle_has_room_again_when_causes_are_old() -> None:
    throttle = Throttle(every_s=60)
    assert all(throttle.due(("first", number), now=0) for number in range(MOST_CAUSES))
    assert throttle.due(("first", 0), now=1) == 0
    assert [throttle.due("new", now=now) for now in (2, 3, 61)] == [1, 0, 1]
    assert throttle.due(("new", 2), now=61) == 1


async def test_drops_of_ten_thousand_channels_are_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    layer = InMemoryChannelLayer()
    for number in range(10_000):
        layer.count_drop(f"channel{number}", "overflow")
    lines = [record for record in caplog.records if record.name.startswith("compat")]
    assert len(lines) == MOST_CAUSES + 1
    assert layer.metrics.dropped == {"overflow": 10_000}


async def test_a_channel_that_nobody_reads_is_swept_when_another_is_read() -> None:
    layer = InMemoryChannelLayer(expiry=0.05)
    await layer.send("unread", {"type": "x"})
    await asyncio.sleep(0.06)
    await layer.send("read", {"type": "x"})
    assert set(layer.channels) == {"unread", "read"}
    await layer.receive("read")
    assert layer.channels == {}


async def test_members_share_a_message_until_they_take_it_and_then_have_their_own() -> None:
    layer, loop = InMemoryChannelLayer(), asyncio.get_running_loop()
    inboxes = [inbox_of(loop) for _ in range(3)]
    for number, inbox in enumerate(inboxes):
        layer.attach(f"c!{number}", inbox)
        await layer.group_add("room", f"c!{number}")
    message: dict[str, Any] = {"type": "m", "flat": 1, "deep": {"list": [1]}}
    await layer.group_send("room", message)
    message["deep"]["list"].append("the sender's")
    first, second, third = [await inbox.get() for inbox in inboxes]
    first["deep"]["list"].append("the first one's")
    first["flat"] = 2
    assert second == third == {"type": "m", "flat": 1, "deep": {"list": [1]}}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"expiry": "60"}, "expiry must be a number of seconds, not '60'"),
        ({"group_expiry": None}, "group_expiry must be a number of seconds, not None"),
        ({"capacity": "100"}, "capacity must be a number greater than 0, not '100'"),
        ({"channel_capacity": 5}, "channel_capacity must be a dict of pattern to capacity"),
        ({"channel_capacity": {"x": -1}}, r"channel_capacity\['x'\] must be a number greater than 0, not -1"),
        ({"on_overflow": "wait"}, "on_overflow='wait': expected one of"),
    ],
)
def test_mistakes_are_explained(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        InMemoryChannelLayer(**options)


def test_threads_that_join_and_leave_one_group() -> None:
    """The last who leaves removes the group, and not what another thread has just entered."""
    layer, room = InMemoryChannelLayer(), Name("room")

    async def come_and_go(name: Name) -> None:
        for _ in range(150):
            await layer.group_add(room, name)
            assert name in layer.groups.get(room, ()), "it is a member"
            await layer.group_discard(room, name)

    in_threads(3, lambda number: asyncio.run(come_and_go(Name(f"channel{number}"))))
    assert layer.groups == {}


def test_a_channel_that_ends_while_another_thread_lets_it_join() -> None:
    layer, ended = InMemoryChannelLayer(), threading.Event()

    async def come_and_go() -> None:
        try:
            for _ in range(40):
                layer.attach("a", inbox_of(asyncio.get_running_loop()))
                for number in range(10):
                    await layer.group_add(Name(f"room{number}"), "a")
                await layer.detach("a")
        finally:
            ended.set()

    async def join() -> None:
        number = 0
        while not ended.is_set():
            await layer.group_add(Name(f"room{(number := number + 1) % 50}"), "a")

    in_threads(2, lambda number: asyncio.run(join() if number else come_and_go()))


def test_values_that_threads_write_while_old_ones_are_swept() -> None:
    values = InMemoryChannelLayer().key_values
    values.sweep_interval_s = 0  # at each write

    async def write(number: int) -> None:
        for turn in range(100):
            await values.set(Name(f"{number} {turn}"), "x", ex=60)
            await values.delete(Name(f"{number} {turn - 5}"))

    in_threads(3, lambda number: asyncio.run(write(number)))
    assert len(values._kept) == 15


async def test_an_empty_mailbox_is_removed_and_its_channel_stays_a_member(
    later: Callable[[float], None],
) -> None:
    layer = InMemoryChannelLayer(history={"chat_*": {"count": 5}})
    await layer.group_add("chat_a", "stays")
    await layer.group_add("chat_a", "goes")
    await layer.group_discard("chat_a", "goes")
    assert set(layer.channels) == {"stays", "goes"}, "there is room for earlier messages"
    later(121)
    await layer.send("other", {"type": "x"})  # it sweeps
    assert set(layer.channels) == {"other"} and set(layer.groups["chat_a"]) == {"stays"}
    await layer.group_send("chat_a", {"type": "x"})
    assert await layer.receive("stays") == {"type": "x"}


async def test_a_join_on_another_loop_that_was_cancelled_before_it_began() -> None:
    layer, errors = InMemoryChannelLayer(history={"chat_*": {"count": 5}}), list[Any]()
    may_go_on, ready = threading.Event(), threading.Event()

    async def there() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context))
        channel = await layer.new_channel()
        layer.attach(channel, inbox_of(loop))
        return channel

    def hold_up() -> None:
        ready.set()
        may_go_on.wait(20)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        channel = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), loop))
        loop.call_soon_threadsafe(hold_up)
        await asyncio.to_thread(ready.wait, 20)
        joining = asyncio.create_task(layer.group_add("chat_a", channel))
        await turns()  # it waits for the other loop
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        may_go_on.set()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(layer.detach(channel), loop))
    finally:
        may_go_on.set()
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()
    assert not errors and not layer.groups
