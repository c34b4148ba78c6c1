"""The ends of a link between processes, and what they do to a peer that is slow, or does not read."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from compat import tickets
from compat.clock import steady
from compat.engine.admissions import Admission, LimitKey
from compat.exceptions import ChannelFull
from compat.layers.memory import InMemoryChannelLayer
from compat.resume import mailbox as mailbox_module
from compat.resume import peer as peer_module
from compat.resume import relay as relay_module
from compat.resume.app import serve
from compat.resume.connection import ResumableConnection
from compat.resume.ends import MAX_HELD, AwayEnd, HomeEnd
from compat.resume.inbound import MAX_FRAMES
from compat.resume.mailbox import ProcessMailbox
from compat.resume.peer import Peer
from compat.resume.posts import LATER, TAKEN
from compat.resume.registry import registry
from compat.resume.relay import ELSEWHERE, Relay, relay_of
from compat.resume.wire import MARK, MAX_CONTROL, PROTOCOL, Malformed
from compat.tickets import Ticket
from tests.support.logs import recorded
from tests.support.waiting import turns, until_async
from tests.unit.resume.sockets import PLACE, FalseSocket, connected


class FalseLayer:
    """Keeps what it is sent; ``held`` lets sends wait."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.flow = asyncio.Event()
        self.flow.set()

    async def send(self, channel: str, message: Any) -> None:
        await self.flow.wait()
        self.items += message["items"]


def the_peer(layer: FalseLayer) -> Peer:
    return Peer(layer, "home", "own", asyncio.get_running_loop())


async def at_its_end(
    peer: Peer, *, most: float | None = None
) -> tuple[AwayEnd, FalseSocket, asyncio.Task[None]]:
    """The end at an open socket, number 7, and the server's call of it."""
    away = AwayEnd(peer, 7, asyncio.get_running_loop(), most)
    socket = FalseSocket()
    socket.coming.put_nowait({"type": "websocket.connect"})
    serving = asyncio.ensure_future(away.serve("channels.resume.v1", socket.receive, socket.send))
    await turns()
    return away, socket, serving


async def test_a_client_that_reads_nothing_holds_little() -> None:
    layer = FalseLayer()
    away, socket, serving = await at_its_end(the_peer(layer))
    socket.stick()
    with recorded():
        for _ in range(100):
            away.take("out text", "x" * 65536)
            await turns(2)
    assert away.held <= MAX_HELD + 65536 and away.out.qsize() == 1
    assert ([7], "left", 1006) in layer.items
    serving.cancel()
    await turns()


@pytest.mark.parametrize("full", [1, 2, 3])
async def test_a_process_that_reads_late_gets_everything_in_order(
    full: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: a mailbox at capacity, as after a second of blocking, ended every link with that process."""
    monkeypatch.setattr(peer_module, "PAUSE_S", 0.001)
    layer, refused = FalseLayer(), list[int]()
    send = layer.send
    numbers: list[int] = []

    async def at_capacity(channel: str, message: Any) -> None:
        if len(refused) < full:
            refused.append(message["seq"])
            raise ChannelFull(channel)
        numbers.append(message["seq"])
        await send(channel, message)

    monkeypatch.setattr(layer, "send", at_capacity)
    peer = the_peer(layer)
    home = peer.homes[3] = HomeEnd(peer, 3)
    peer.put(3, "text", "one")
    await turns()
    peer.put(3, "text", "two")
    await until_async(lambda: len(layer.items) == 2, "both come")
    assert [value for _, _, value in layer.items] == ["one", "two"]
    assert refused == [1] * full and numbers[0] == 1, "no batch is missing"
    assert peer.homes == {3: home} and peer.size == 0


async def test_a_process_that_does_not_read_any_more_loses_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "PAUSE_S", 0.001)
    monkeypatch.setattr(peer_module, "SILENT_S", 0.02)

    async def at_capacity(channel: str, message: Any) -> None:
        raise ChannelFull(channel)

    layer = FalseLayer()
    monkeypatch.setattr(layer, "send", at_capacity)
    peer = the_peer(layer)
    peer.homes[3] = HomeEnd(peer, 3)
    peer.put(3, "text", "one")
    await until_async(lambda: not peer.homes, "it is given up")


async def test_a_call_that_the_server_ends_has_its_client_come_back() -> None:
    """Was: hypercorn sent 1011 by itself when it stopped, after which nobody comes back."""
    layer = FalseLayer()
    _, socket, serving = await at_its_end(the_peer(layer))
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert [message.get("code") for message in socket.sent] == [None, 1012]
    await turns()
    assert ([7], "left", 1006) in layer.items


@pytest.mark.parametrize("other", ["home", "away"])
async def test_only_the_largest_link_is_dropped_when_too_much_waits(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """The two sides count their links independently: both may have one with this number."""
    monkeypatch.setattr(peer_module, "MAX_WAITING", 1000)
    layer = FalseLayer()
    layer.flow.clear()
    peer = the_peer(layer)
    loop = asyncio.get_running_loop()
    homes = [peer.homes.setdefault(number, HomeEnd(peer, number)) for number in (1, 2)]
    aways = [peer.aways.setdefault(number, AwayEnd(peer, number, loop)) for number in (1, 2)]
    with recorded() as records:
        peer.put(2, "out text", "b" * 300)
        peer.put(2, "text", "c" * 300)
        for letter in "axy":
            peer.put(1, "out text" if other == "home" else "text", letter * 500)
    assert "it is dropped" in "\n".join(records.messages())
    dropped = [not home.came.empty() for home in homes] + [away.answered.done() for away in aways]
    assert dropped == [other == "home", False, other == "away", False]
    layer.flow.set()
    await turns()
    assert ([2], "out text", "b" * 300) in layer.items and ([2], "text", "c" * 300) in layer.items
    assert not any("aaa" in str(value) for _, _, value in layer.items)


async def test_that_a_client_has_left_is_never_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: the largest link's "left" went with its frames, and its home waited for it for ever."""
    monkeypatch.setattr(peer_module, "MAX_WAITING", 1000)
    layer = FalseLayer()
    layer.flow.clear()
    peer = the_peer(layer)
    with recorded():
        for number in range(1, 6):
            peer.put(number, "text", str(number) * 900)
            peer.put(number, "left", 1001)
    layer.flow.set()
    await turns()
    assert [numbers for numbers, kind, _ in layer.items if kind == "left"] == [[1], [2], [3], [4], [5]]


async def test_what_many_links_share_does_not_drop_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: the links of a room were dropped one inside the other, up to Python's limit."""
    monkeypatch.setattr(peer_module, "MAX_WAITING", 100_000)
    layer = FalseLayer()
    layer.flow.clear()
    peer = the_peer(layer)
    room, others = range(1, 501), range(501, 521)
    homes = {number: peer.homes.setdefault(number, HomeEnd(peer, number)) for number in (*room, *others)}
    shared = "r" * 50_000
    with recorded():
        for number in room:
            peer.put(number, "out text", shared)
        for number in others:
            peer.put(number, "out text", str(number) * 3000)
    dropped = [number for number, home in homes.items() if not home.came.empty()]
    assert dropped and set(dropped) <= set(others)
    assert peer.size <= 100_000 + peer_module.ITEM + len(shared)
    assert not set(dropped) & set(peer.homes)


@pytest.mark.parametrize("why", ["the answer is lost", "cancelled"])
async def test_a_home_is_told_of_a_socket_that_never_came_to_it(why: str) -> None:
    """Was: the home kept a link that nobody would end."""
    layer = FalseLayer()
    relay = Relay(layer)
    relay.mailbox.channel = "own"
    ticket = Ticket(b"1" * 16, 0, b"u" * 12, b"p" * 12, "home", 2**31)
    socket = FalseSocket()
    serving = asyncio.ensure_future(relay.serve(ticket, 0, PLACE, socket.receive, socket.send))
    await turns()
    if why == "cancelled":
        serving.cancel()
    else:
        relay.peers["home"].drop_links()
    await asyncio.wait((serving,))
    assert serving.cancelled() or serving.result() == LATER
    await turns()
    assert [(numbers, kind) for numbers, kind, _ in layer.items] == [([1], "attach"), ([1], "left")]
    relay._take({"from": "home", "seq": 1, "items": [([1], "ok", ""), ([1], "out text", "x")]})
    await turns()
    assert layer.items[2:] == [([1, 1], "left", 1006)], "nor does it keep one that this side does not know"
    assert not relay.peers["home"].aways
    if relay.timer is not None:
        relay.timer.cancel()


async def test_a_process_that_cannot_ask_lets_its_clients_come_later() -> None:
    """Was: they lost their connections, because the mailbox of this process was not open yet."""
    relay = Relay(FalseLayer())
    ticket = Ticket(b"1" * 16, 0, b"u" * 12, b"p" * 12, "home", 2**31)
    socket = FalseSocket()
    assert await relay.serve(ticket, 0, PLACE, socket.receive, socket.send) == LATER
    assert await relay.post(ticket, 0, "[]") == LATER
    relay.mailbox.closed_since = steady() - peer_module.DEAD_S - 1  # the layer is away for long
    assert await relay.serve(ticket, 0, PLACE, socket.receive, socket.send) == ELSEWHERE
    assert await relay.post(ticket, 0, "[]") == ELSEWHERE


async def test_empty_frames_that_are_not_read_count(monkeypatch: pytest.MonkeyPatch) -> None:
    away = AwayEnd(the_peer(FalseLayer()), 7, asyncio.get_running_loop())
    with recorded():
        for _ in range(MAX_HELD):
            away.take("out text", "")
            if away.full:
                break
    assert away.full and away.held < 2 * MAX_HELD


@pytest.mark.parametrize("size", [999, 1000, 1001])
async def test_a_frame_of_any_length_passes_to_another_process(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(peer_module, "MAX_WAITING", 1000)
    layer = FalseLayer()
    peer = the_peer(layer)
    peer.put(1, "credit", 1)
    peer.put(2, "text", "a" * size)
    peer.put(1, "credit", 2)
    await turns()
    assert layer.items == [([1], "credit", 1), ([2], "text", "a" * size), ([1], "credit", 2)]


@pytest.mark.parametrize("who", ["stops", "home closes", "dropped", "dropped before home closes"])
async def test_only_the_close_of_the_home_ends_a_connection_with_its_code(who: str) -> None:
    """Was: a link that this end had dropped was reported as closed, and its client lost its connection."""
    layer = FalseLayer()
    away, socket, serving = await at_its_end(the_peer(layer))
    if who.startswith("dropped"):
        away.drop()
    if who.endswith("home closes"):
        away.take("close", [1012, ""])
    await turns()
    assert socket.codes == ([] if who == "stops" else [1012])
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1012})  # as servers say it of their own
    await serving
    await turns()
    assert layer.items[-1] == ([7], "left", 1012 if who == "home closes" else 1006)


@pytest.mark.parametrize("size", [MAX_HELD - 1, MAX_HELD, MAX_HELD + 1])
async def test_a_frame_of_any_length_passes_from_another_process(size: int) -> None:
    away = AwayEnd(the_peer(FalseLayer()), 7, asyncio.get_running_loop())
    socket = FalseSocket()
    socket.coming.put_nowait({"type": "websocket.connect"})
    for text in ("hello", "x" * size):  # a client that comes back gets both at once
        away.take("out text", text)
    serving = asyncio.ensure_future(away.serve("channels.resume.v1", socket.receive, socket.send))
    await turns()
    assert [len(message.get("text", "")) for message in socket.sent] == [0, 5, size]
    serving.cancel()
    await turns()


async def test_of_a_frame_that_is_too_large_the_home_hears_only_the_end() -> None:
    layer = FalseLayer()
    away, socket, serving = await at_its_end(the_peer(layer), most=5)
    ping, bye = '\x10{"type":"ping"}', '\x10{"type":"bye"}'
    with recorded():
        for text in (ping, "\x10\x10four", "\x10\x10and 5", "x"):
            socket.say(text)
        await turns()
    said = [(kind, value) for _, kind, value in layer.items]
    assert said == [("text", ping), ("text", "\x10\x10four"), ("text", bye), ("left", 1009)]
    assert socket.codes == [1009] and away.closed
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await serving


async def test_of_a_control_frame_the_characters_count() -> None:
    """Was: its bytes, so that one with a long name in another script closed its client."""
    layer = FalseLayer()
    _, socket, serving = await at_its_end(the_peer(layer), most=5)
    longest = MARK + "房" * (MAX_CONTROL - 1)
    with recorded():
        socket.say(longest)
        socket.say(longest + "房")
        await turns()
    assert [(kind, value) for _, kind, value in layer.items][::2] == [("text", longest), ("left", 1009)]
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await serving


async def test_an_end_that_is_dropped_says_so_to_the_other() -> None:
    layer = FalseLayer()
    peer = the_peer(layer)
    HomeEnd(peer, 3).drop()
    await turns()
    assert layer.items == [([3], "close", [1012, ""])]


async def test_a_batch_that_is_not_understood_does_not_silence_the_others() -> None:
    layer = InMemoryChannelLayer()
    relay = Relay(layer)
    channel = await relay.home()
    with recorded() as records:
        batch = {"type": "compat.relay", "from": "other", "seq": 1, "items": [([1], "attach", ["nonsense"])]}
        await layer.send(channel, batch)
        await layer.send(channel, {**batch, "seq": 2, "items": [([9], "text", "for nobody")]})
        answers: list[Any] = []
        while len(answers) < 2:
            answers += (await asyncio.wait_for(layer.receive("other"), 10))["items"]
    assert "cannot be understood" in "\n".join(records.messages())
    assert answers == [([1], "no", ELSEWHERE), ([9], "close", [1012, ""])]
    assert relay.mailbox.reading is not None and not relay.mailbox.reading.done()
    relay.mailbox.reading.cancel()
    if relay.timer is not None:
        relay.timer.cancel()


async def test_the_rest_of_a_batch_of_which_one_thing_is_not_understood() -> None:
    """Was: it was lost, and no link ended for it, so a frame of a client was missing without a sign."""
    relay = Relay(InMemoryChannelLayer())
    relay.mailbox.channel = "own"
    peer = relay._peer("other")
    home = peer.homes[5] = HomeEnd(peer, 5)
    post = peer.posts[7] = asyncio.get_running_loop().create_future()
    items = [
        ([5], "text", "one"),
        ([0], "refused", "newer"),
        ([7], "posted", TAKEN),
        ([5], "text", "two"),
    ]
    with recorded() as records:
        relay._take({"type": "compat.relay", "from": "other", "seq": 1, "items": items})
    assert "cannot be understood" in "\n".join(records.messages())
    assert (await home.receive())["text"] == "one"
    assert (await home.receive())["code"] == 1006, "its client comes back, and sends the rest again"
    assert peer.homes == {} and post.result() == LATER
    items = [([8], "posted", TAKEN)]
    post = peer.posts[8] = asyncio.get_running_loop().create_future()
    relay._take({"type": "compat.relay", "from": "other", "seq": 2, "items": items})
    assert post.result() == TAKEN
    relay.timer.cancel()  # type: ignore[union-attr]


async def test_a_relay_keeps_nothing_of_the_handshake_in_which_it_began() -> None:
    """Was: the context variables of the first client lived as long as the process."""
    relay = Relay(InMemoryChannelLayer())
    request: contextvars.ContextVar[object] = contextvars.ContextVar("request")

    class Request:
        pass

    async def handshake() -> weakref.ref[Request]:
        own = Request()
        request.set(own)
        await relay.home()
        relay.refuse(Ticket(b"", 0, b"", b"", "other", 0))
        return weakref.ref(own)

    own = await asyncio.ensure_future(handshake())
    await turns()
    gc.collect()
    assert own() is None
    assert relay.mailbox.reading is not None and not relay.mailbox.reading.done() and relay.timer is not None
    for going_on in (relay.mailbox.reading, relay.mailbox.belonging, relay.timer):
        going_on.cancel()  # type: ignore[union-attr]


async def test_a_mailbox_opens_in_the_background_after_its_first_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was: each handshake made an attempt of its own, and waited for it."""
    monkeypatch.setattr(mailbox_module, "OPEN_S", 0.02)
    monkeypatch.setattr(mailbox_module, "OPEN_ATTEMPTS", 2)
    monkeypatch.setattr(mailbox_module, "AGAIN_S", 0.01)

    class Slow(InMemoryChannelLayer):
        async def send(self, channel: str, message: Any) -> None:
            await flow.wait()
            held.append((channel, message))
            if not away:
                await super().send(channel, message)

    away, flow, held = [True], asyncio.Event(), list[tuple[str, Any]]()
    flow.set()
    layer = Slow()
    mailbox = ProcessMailbox(layer, lambda message: None)
    with recorded() as records:
        assert await mailbox.open() == "", "what was sent to it did not arrive"
        await until_async(lambda: len(held) > 4, "it tries again by itself")
        flow.clear()
        assert await mailbox.open() == "", "which no handshake waits for"
        assert mailbox.may_open()
        away.clear()
        flow.set()
        await until_async(lambda: mailbox.channel, "it is open")
        assert await mailbox.open() == mailbox.channel == held[-1][0]
    assert len([text for text in records.messages() if "in this process only" in text]) == 1
    for going_on in (mailbox.reading, mailbox.belonging):
        going_on.cancel()  # type: ignore[union-attr]


@pytest.mark.parametrize("when", ["open", "not accepted yet", "parked"])
async def test_a_connection_that_began_before_its_process_had_a_name_gets_that_later(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_module, "AGAIN_S", 0.01)

    class Absent(InMemoryChannelLayer):
        async def send(self, channel: str, message: Any) -> None:
            if away:
                raise ConnectionError
            await super().send(channel, message)

    away = [True]
    relay = Relay(Absent())
    socket = FalseSocket()
    connection, ended, others = (ResumableConnection(120, PLACE, None) for _ in range(3))
    with recorded():
        assert await relay.home() == ""
        for one in (connection, ended):
            registry.name_later(one, relay)
        registry.name_later(others, Relay(InMemoryChannelLayer()))
        ended.forget()
        connection.begin(socket.receive, socket.send)
        if when != "not accepted yet":
            await connection.send({"type": "websocket.accept"})
        if when == "parked":
            socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await turns()
        away.clear()
        await until_async(lambda: connection.place.home, "its process has a name")
    assert connection.place == PLACE._replace(home=relay.channel)
    assert (ended.place, others.place) == (PLACE, PLACE)
    if when == "not accepted yet":
        assert socket.sent == []
        await connection.send({"type": "websocket.accept"})
    homes = [tickets.read(said["ticket"])[0].home for said in socket.controls]
    assert homes == {"open": ["", relay.channel], "parked": [""]}.get(when, [relay.channel])
    await connection.finish(1000)
    others.forget()
    for going_on in (relay.mailbox.reading, relay.mailbox.belonging):
        going_on.cancel()  # type: ignore[union-attr]


async def test_a_return_that_was_under_way_when_its_process_got_a_name_does_not_take_that_away() -> None:
    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    def arrives(*items: str) -> tuple[FalseSocket, asyncio.Task[None]]:
        socket = FalseSocket()
        scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": [PROTOCOL, *items]}
        call = serve(endpoint, 120, layer, endpoint, scope, socket.receive, socket.send)
        return socket, asyncio.ensure_future(call)

    layer = Unreachable()
    with recorded():
        first, serving = arrives()
        first.coming.put_nowait({"type": "websocket.connect"})
        await until_async(lambda: first.controls, "it has a ticket")
        (hello,) = first.controls
        connection = registry.find(tickets.read(hello["ticket"])[0].connection)
        assert connection is not None
        second, returning = arrives(f"channels.ticket.{hello['ticket']}.0")
        await turns()  # it has asked for the name, and waits for the first message of the server
        connection.name_home("the name")
        second.coming.put_nowait({"type": "websocket.connect"})
        await until_async(lambda: second.controls, "it is back")
    assert tickets.read(second.controls[0]["ticket"])[0].home == "the name"
    for socket in (second, first):
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await asyncio.wait_for(asyncio.gather(serving, returning), 10)
    relay = relay_of(layer)
    assert relay is not None and relay.mailbox.opening is not None
    relay.mailbox.opening.cancel()


@pytest.fixture
async def two(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Relay, Relay]]:
    """Relays over one layer, as two processes would have them."""
    monkeypatch.setattr(relay_module, "ANSWER_S", 1.0)
    layer = InMemoryChannelLayer()
    both = Relay(layer), Relay(layer)
    for one in both:
        await one.home()
    yield both
    for one in both:
        assert one.mailbox.reading is not None
        one.mailbox.reading.cancel()
        if one.timer is not None:
            one.timer.cancel()


def ticket_of(connection: ResumableConnection, home: str) -> Ticket:
    return Ticket(connection.id, connection.generation, b"", b"", home, 0)


async def test_a_home_takes_nobody_back_beyond_a_limit_of_connections(two: tuple[Relay, Relay]) -> None:
    home, other = two
    connection, left = await connected()
    places: dict[LimitKey, float] = {("all", None): 1}
    here: Counter[LimitKey] = Counter()
    away: Counter[LimitKey] = Counter()
    first, second = (Admission(here, away, places) for _ in range(2))
    first.resume()
    connection.count_by(first)
    left.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    second.resume()
    socket, ticket = FalseSocket(), ticket_of(connection, home.channel)
    with recorded() as records:
        assert await other.serve(ticket, 0, PLACE, socket.receive, socket.send) == LATER
    assert "the server has its 1 connections" in "\n".join(records.messages())
    second.end()
    socket.coming.put_nowait({"type": "websocket.connect"})
    serving = asyncio.ensure_future(other.serve(ticket, 0, PLACE, socket.receive, socket.send))
    await until_async(lambda: connection.link is not None, "its client is back")
    assert here[("all", None)] == 1
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    assert await serving is None
    await connection.finish(1000)


async def test_a_post_waits_for_a_consumer_that_is_slow(two: tuple[Relay, Relay]) -> None:
    home, other = two
    connection, _ = await connected(posts=True)
    ticket = ticket_of(connection, home.channel)
    full = json.dumps([str(number) for number in range(MAX_FRAMES)])
    assert await other.post(ticket, 0, full) == TAKEN
    posting = asyncio.ensure_future(other.post(ticket, MAX_FRAMES, '["last"]'))
    await until_async(lambda: bool(other.peers[home.channel].slow), "its home says that it waits")
    for _ in range(MAX_FRAMES):
        await connection.receive()
    assert await posting == TAKEN
    assert (await connection.receive())["text"] == "last"
    assert not other.peers[home.channel].slow and not other.peers[home.channel].posts
    await connection.finish(1000)


async def test_a_flood_of_posts_does_not_give_a_home_up(
    two: tuple[Relay, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "MAX_WAITING", 1000)
    monkeypatch.setattr(relay_module, "ANSWER_S", 5)
    home, other = two
    connection, _ = await connected(posts=True)
    ticket = ticket_of(connection, home.channel)
    with recorded():
        posts = [other.post(ticket, 0, json.dumps(["x" * 400])) for _ in range(5)]
        outcomes = await asyncio.gather(*posts)
    assert LATER in outcomes and set(outcomes) == {TAKEN, LATER}
    assert not other.peers[home.channel].is_dead()
    await connection.finish(1000)


async def test_frames_that_are_none_are_so_at_the_socket(two: tuple[Relay, Relay]) -> None:
    home, other = two
    connection, _ = await connected(posts=True)
    with pytest.raises(Malformed, match="ack"):
        await other.post(
            ticket_of(connection, home.channel), 0, '["\\u0010{\\"type\\": \\"ack\\", \\"n\\": -1}"]'
        )
    await connection.finish(1000)


async def test_posts_to_a_dead_home_do_not_wait_for_a_slow_consumer(
    two: tuple[Relay, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "ANSWER_S", 0.05)
    _, other = two
    connection, _ = await connected(posts=True)
    ticket = ticket_of(connection, "nobody")
    with recorded() as records:
        posts = [other.post(ticket, 0, "[]") for _ in range(3)]
        assert await asyncio.wait_for(asyncio.gather(*posts), 10) == [ELSEWHERE] * 3
        assert await other.post(ticket, 0, "[]") == ELSEWHERE
    assert "\n".join(records.messages()).count("does not answer") == 1
    assert not other.peers["nobody"].posts
    await connection.finish(1000)


async def relayed(
    two: tuple[Relay, Relay],
) -> tuple[ResumableConnection, Relay, FalseSocket, asyncio.Task[Any]]:
    """A connection at the first relay, its client's socket at the second, and what serves that."""
    home, other = two
    connection, first = await connected()
    first.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await until_async(lambda: connection.parked, "its client is away")
    socket = FalseSocket()
    socket.coming.put_nowait({"type": "websocket.connect"})
    place = tickets.Place(b"user", b"path", home.channel)
    serving = asyncio.ensure_future(
        other.serve(ticket_of(connection, home.channel), 0, place, socket.receive, socket.send)
    )
    await until_async(lambda: bool(socket.controls), "it is relayed")
    return connection, home, socket, serving


@pytest.mark.parametrize("more", [[], ["x" * 2**20], ["x"] * 200])
async def test_a_malformed_frame_of_a_relayed_client_leaves_nothing(
    two: tuple[Relay, Relay], more: list[str]
) -> None:
    """Was: the home kept its end for ever, and the socket waited for ever to pass on more."""
    connection, _, socket, serving = await relayed(two)
    with recorded():
        for text in ("\x10{", *more):
            socket.say(text)
        await until_async(lambda: socket.codes == [4400], "it is closed")
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 4400})
        assert await asyncio.wait_for(serving, 10) is None
        peers = [peer for relay in two for peer in relay.peers.values()]
        await until_async(lambda: not any(peer.homes or peer.aways for peer in peers), "the ends have gone")
    await connection.finish(1000)


async def test_a_close_ends_the_wait_of_a_socket_for_its_home(two: tuple[Relay, Relay]) -> None:
    """Its frames may have been lost on the way, so that the home never takes them."""
    connection, home, socket, serving = await relayed(two)
    ((number, away),) = two[1].peers[home.channel].aways.items()
    two[0].peers[two[1].channel].homes.pop(number)
    with recorded():
        for _ in range(200):
            socket.say("x")
        await until_async(lambda: socket.codes == [1012], "its client is asked to come back")
        assert away.credit <= 0 or away.closed
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1012})
        assert await asyncio.wait_for(serving, 10) is None
    await connection.finish(1000)


class Unreachable:
    """Fails at once, as a layer does whose Redis has refused it a moment ago, and works again after that."""

    def __init__(self, failures: float = float("inf")) -> None:
        self.asked = 0
        self.failures = failures
        self.batches: list[Any] = []

    async def send(self, channel: str, message: Any) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise ConnectionError
        self.batches.append((message["seq"], message["items"]))


async def test_a_layer_that_fails_at_once_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: each failure put another close into the queue, whose send failed at once."""
    monkeypatch.setattr(peer_module, "SILENT_S", 0)
    layer = Unreachable()
    peer = Peer(layer, "away", "own", asyncio.get_running_loop())
    homes = [peer.homes.setdefault(number, HomeEnd(peer, number)) for number in range(3)]
    for home in homes:
        peer.put(home.number, "out text", "x")
    await until_async(lambda: peer.is_idle() and not peer.waiting, "nothing is sent any more")
    assert layer.asked == 2, "the frames, and then that the links have ended"
    assert not peer.homes and [home.came.qsize() for home in homes] == [1, 1, 1]


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_the_other_side_sees_a_gap_as_soon_as_the_layer_is_back(failures: int) -> None:
    """Was: nothing went there any more, and the client of the link waited for the silence to be noticed."""
    layer = Unreachable(failures)
    peer = Peer(layer, "away", "own", asyncio.get_running_loop())
    peer.homes[1] = HomeEnd(peer, 1)
    peer.put(1, "out text", "x")
    await until_async(peer.is_idle, "nothing is sent any more")
    closes = [([1], "close", [1012, ""])] if failures == 1 else []
    assert layer.batches == [(failures + 1, closes)]


async def test_a_link_of_which_the_home_does_not_know_ends_with_the_next_sign_of_life(
    two: tuple[Relay, Relay],
) -> None:
    """Over pub/sub a batch may reach nobody, and nothing follows if it was about the end of the last link."""
    home, other = two
    to_home, to_other = other._peer(home.channel), home._peer(other.channel)
    to_other.put(9, "no", "gone")
    await until_async(lambda: to_home.expected == 2, "the first batch is there")
    away = to_home.aways[1] = AwayEnd(to_home, 1, asyncio.get_running_loop())
    to_other.sent += 1  # which nobody got
    to_home.shown = to_other.shown = steady() - 2
    with recorded():
        to_home.show_life(asks=True)
        await until_async(lambda: away.closed, "its client is asked to come back")


@pytest.mark.parametrize("code", [1011, 1012, 1013])
async def test_a_server_with_few_codes_ends_a_relayed_socket_for_good_only_if_it_is_to_be(code: int) -> None:
    away = AwayEnd(the_peer(FalseLayer()), 7, asyncio.get_running_loop())
    socket = FalseSocket(few_codes=True)
    socket.coming.put_nowait({"type": "websocket.connect"})
    serving = asyncio.ensure_future(away.serve("channels.resume.v1", socket.receive, socket.send))
    away.take("close", [code, ""])
    await turns()
    assert socket.codes == ([4011] if code == 1011 else [])
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await serving


NEWER: list[tuple[str, Any, str]] = [
    ("attach", ["00" * 16, 1, 0, "00", "00", False, "", "newer"], "no"),
    ("post", "newer", "posted"),
    ("post", ["newer"], "posted"),
]
"""What a later version asks for, with a part that this one does not know, or in another form."""


@pytest.mark.parametrize(("kind", "value", "answer"), NEWER)
async def test_who_asks_what_is_not_understood_is_told_at_once(kind: str, value: Any, answer: str) -> None:
    """Was: no answer, so the process counted as dead; and each link with the other one ended."""
    layer = FalseLayer()
    relay = Relay(layer)
    relay.mailbox.channel = "own"
    peer = relay._peer("other")
    peer.homes[5] = HomeEnd(peer, 5)
    with recorded() as records:
        relay._take({"type": "compat.relay", "from": "other", "seq": 1, "items": [([9], kind, value)]})
        await until_async(lambda: layer.items, "it answers")
        await until_async(lambda: not relay._posting, "all is done")
    assert layer.items == [([9], answer, ELSEWHERE)], "it would be understood at no later time"
    assert 5 in peer.homes
    assert records.messages()
    relay.timer.cancel()  # type: ignore[union-attr]


async def test_frames_that_a_fault_keeps_from_their_connection_may_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def failing(*_: Any) -> str:
        raise ValueError("a fault of the home")

    (connection, _), layer = await connected(posts=True), FalseLayer()
    relay = Relay(layer)
    relay.mailbox.channel = "own"
    monkeypatch.setattr(relay_module, "take", failing)
    with recorded():
        relay._take_item(relay._peer("other"), 9, "post", f"{connection.id.hex()} 1 0 []")
        await until_async(lambda: layer.items, "it answers")
        await until_async(lambda: not relay._posting, "all is done")
    assert layer.items == [([9], "posted", LATER)]
    relay.timer.cancel()  # type: ignore[union-attr]
    await connection.finish(1000)
