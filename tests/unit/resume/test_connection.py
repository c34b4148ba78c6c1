"""A resumable connection while its links are stuck, replaced, or gone."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter, OrderedDict
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from compat import tickets
from compat.codes import COMES_BACK
from compat.engine.admissions import Admission, LimitKey, admissions
from compat.engine.contracts import FRAMES_BEFORE
from compat.exceptions import ClientDisconnected
from compat.resume import parking, receipts
from compat.resume import registry as registry_module
from compat.resume.connection import ResumableConnection
from compat.resume.delivery import ASKS_COUNT
from compat.resume.inbound import ACK_BYTES, ACK_FRAMES, MAX_FRAMES
from compat.resume.journal import MAX_BYTES
from compat.resume.link import Link
from compat.resume.posts import TAKEN, take
from compat.resume.registry import registry
from compat.resume.wire import PROTOCOL
from compat.types import Message
from tests.support.waiting import turns, until_async
from tests.unit.resume.sockets import PLACE, FalseSocket, connected, returned


def text(payload: str) -> Message:
    return {"type": "websocket.send", "text": payload}


def left(connection: ResumableConnection) -> bool:
    """Whether nothing of a connection is kept any more."""
    return connection.id not in registry.connections and connection.id not in registry.parked


def without_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out of the registry what other tests have parked."""
    empties: list[tuple[str, Any]] = [("parked", OrderedDict()), ("sizes", {}), ("parked_bytes", 0)]
    for attribute, empty in empties:
        monkeypatch.setattr(registry, attribute, empty)


async def test_a_close_on_a_stuck_link_reaches_the_client_on_its_next_one() -> None:
    connection, stuck = await connected()
    stuck.stick()
    await connection.send(text("one"))
    closing = asyncio.ensure_future(connection.send({"type": "websocket.close", "code": 4001}))
    await turns()
    assert not closing.done()
    socket = await returned(connection)
    assert [control["recovered"] for control in socket.controls] == ["all"]
    assert socket.codes == [4001]
    await closing
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 4001})
    await turns()
    assert left(connection)


async def test_an_application_that_ends_on_a_stuck_link_closes_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("compat.resume.connection.CLOSE_TIMEOUT_S", 0.01)
    connection, stuck = await connected()
    stuck.stick()
    await connection.send(text("one"))
    await connection.finish(1011)
    socket = await returned(connection)
    assert socket.codes == [1011]


async def test_a_close_that_the_server_refuses_is_none() -> None:
    connection, socket = await connected()

    async def refuse(message: Message) -> None:
        raise ValueError("not this code")

    assert connection.link is not None
    connection.link.raw_send = refuse
    with pytest.raises(ValueError, match="not this code"):
        await connection.send({"type": "websocket.close", "code": 1004})
    connection.link.raw_send = socket.send
    await connection.send(text("it goes on"))
    await connection.send({"type": "websocket.close", "code": 4001})
    assert socket.sent[-2:] == [text("it goes on"), {"type": "websocket.close", "code": 4001}]


@pytest.mark.parametrize(
    ("received", "why"),
    [(1, "position"), (2, "overflow"), (3, "overflow"), (4, None), (6, None), (7, "position")],
)
async def test_a_client_whose_acknowledgements_were_too_far_behind(received: int, why: str | None) -> None:
    """Of the six frames two are acknowledged, and two more were forgotten to make room."""
    connection, _ = await connected()
    for number in range(6):
        await connection.send(text(str(number)))
    assert connection.link is not None
    connection.acknowledged(connection.link, 2)
    connection.journal.forget(4)
    assert connection.why_not(0, received) == why


async def test_nobody_comes_back_to_a_connection_that_is_forgotten() -> None:
    connection, socket = await connected()
    assert connection.why_not(0, 0) is None
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await turns()
    assert left(connection)
    assert connection.why_not(0, 0) == "gone"


async def test_what_is_parked_is_counted_and_no_more() -> None:
    connection, socket = await connected()
    before = registry.parked_bytes
    await connection.send(text("x" * 1000))
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    await connection.send(text("y" * 1000))
    assert registry.parked_bytes == before + registry_module.PARKED_BYTES + 2000
    again = await returned(connection)
    assert registry.parked_bytes == before
    await connection.send(text("z" * 1000))
    again.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await turns()
    with pytest.raises(ClientDisconnected):
        await connection.send(text("nobody gets this"))
    assert (registry.parked_bytes, left(connection)) == (before, True)


async def test_a_send_that_waited_when_the_client_left_is_not_counted() -> None:
    connection, socket = await connected()
    before = registry.parked_bytes
    await connection.send(text("x" * (MAX_BYTES - 10)))
    waiting = asyncio.ensure_future(connection.send(text("y" * 1000)))
    await turns()
    assert not waiting.done()
    socket.say('\x10{"type": "ack", "n": 1}')
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    with pytest.raises(ClientDisconnected):
        await waiting
    await turns()
    assert (registry.parked_bytes, left(connection)) == (before, True)


@pytest.mark.parametrize(("daphne", "parks"), [(False, False), (True, True)])
async def test_a_1012_without_a_reason_is_the_servers_own_but_on_daphne(
    monkeypatch: pytest.MonkeyPatch, daphne: bool, parks: bool
) -> None:
    """daphne passes on no client's reason, and closes with no 1012 by itself."""
    if daphne:
        monkeypatch.setitem(sys.modules, "daphne.server", ModuleType("daphne.server"))
    connection, socket = await connected()
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1012})
    await turns()
    assert (connection.parked and not connection.told, left(connection)) == (parks, not parks)
    connection.give_up("gone")


@pytest.mark.parametrize("room", [1, 2, 3])
async def test_the_oldest_park_ends_when_there_is_no_more_room(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    without_others(monkeypatch)
    monkeypatch.setattr(registry_module, "MAX_PARKED_BYTES", room * registry_module.PARKED_BYTES)
    parked = [await connected() for _ in range(4)]
    for _, socket in parked:
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await turns()
    assert [left(connection) for connection, _ in parked] == [index < 4 - room for index in range(4)]
    assert [registry.count_gone(connection.id) for connection, _ in parked[: 4 - room]] == ["overflow"] * (
        4 - room
    )
    for connection, _ in parked:
        connection.give_up("gone")


async def test_a_connection_that_is_closed_makes_room_before_any_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_others(monkeypatch)
    monkeypatch.setattr(registry_module, "MAX_PARKED_BYTES", 2 * registry_module.PARKED_BYTES + 100)
    before = registry.counts()["live"]
    waits, closed, comes = [await connected() for _ in range(3)]
    waits[1].coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    await closed[0].send(text("the last one"))
    await closed[0].send({"type": "websocket.close", "code": 4001})
    closed[1].coming.put_nowait({"type": "websocket.disconnect", "code": 4001})  # as servers say at once
    await turns()
    assert [left(connection) for connection, _ in (waits, closed)] == [False, False]
    counts = registry.counts()
    assert (counts["live"], counts["parked"]) == (before + 1, 1), "the closed one is none of them"
    timer = closed[0].park_timer
    assert timer is not None and timer.when() - asyncio.get_running_loop().time() <= parking.CLOSED_S
    assert [closed[0].why_not(0, count) for count in (0, 1)] == [None, "gone"]
    comes[1].coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    assert [left(connection) for connection, _ in (waits, closed, comes)] == [False, True, False]
    for connection, _ in (waits, comes):
        connection.give_up("gone")


@pytest.mark.parametrize("how", ["closes", "fails"])
async def test_a_connection_that_ends_while_its_client_is_away_makes_room_before_any_that_waits(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Was: it kept its place in the order of parks, and the older ones ended before it."""
    without_others(monkeypatch)
    monkeypatch.setattr(registry_module, "MAX_PARKED_BYTES", 2 * registry_module.PARKED_BYTES + 100)
    waits, ends, comes = [await connected() for _ in range(3)]
    for _, socket in (waits, ends):
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await turns()
    await ends[0].send(text("the last one"))
    if how == "closes":
        await ends[0].send({"type": "websocket.close", "code": 4001})
    else:
        await ends[0].finish(1011)
    assert [left(connection) for connection, _ in (waits, ends)] == [False, False]
    comes[1].coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    assert [left(connection) for connection, _ in (waits, ends, comes)] == [False, True, False]
    for connection, _ in (waits, comes):
        connection.give_up("gone")


async def test_a_closed_connection_for_which_there_is_no_room_is_held_by_no_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_others(monkeypatch)
    monkeypatch.setattr(registry_module, "MAX_PARKED_BYTES", registry_module.PARKED_BYTES)
    waits, closed = [await connected() for _ in range(2)]
    waits[1].coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    await closed[0].send(text("the last one"))
    await closed[0].send({"type": "websocket.close", "code": 4001})
    closed[1].coming.put_nowait({"type": "websocket.disconnect", "code": 4001})
    await turns()
    assert [left(connection) for connection, _ in (waits, closed)] == [False, True]
    assert closed[0].park_timer is None
    waits[0].give_up("gone")


async def test_a_huge_frame_ends_its_own_park_and_not_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was: all that were older ended before."""
    without_others(monkeypatch)
    parked = [await connected() for _ in range(4)]
    for _, socket in parked:
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await turns()
    huge = registry_module.MAX_PARKED_BYTES - 4 * registry_module.PARKED_BYTES
    await parked[2][0].send(text("x" * huge))
    assert [left(connection) for connection, _ in parked] == [False] * 4, "there is room for it"
    await parked[1][0].send(text("y"))
    assert [left(connection) for connection, _ in parked] == [True, False, False, False], "the oldest"
    with pytest.raises(ClientDisconnected):
        await parked[2][0].send(text("z" * 2 * registry_module.PARKED_BYTES))
    assert [left(connection) for connection, _ in parked] == [True, False, True, False], "its own"
    for connection, _ in parked:
        connection.give_up("gone")


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_what_a_client_of_requests_has_acknowledged_is_counted_no_more(count: int) -> None:
    """Was: the count of what is parked only grew, until the parks of others ended for it."""
    connection, socket = await connected(posts=True)
    before = registry.parked_bytes
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    for _ in range(3):
        await connection.send(text("x" * 1000))
    connection.acknowledged(None, count, 0)
    assert registry.parked_bytes == before + registry_module.PARKED_BYTES + (3 - count) * 1000
    connection.give_up("gone")
    assert registry.parked_bytes == before


async def test_who_only_sends_as_the_server_stops_leaves_the_loop_to_others() -> None:
    """Was: no send waited for anything, and so nothing ended the handler."""
    connection, _ = await connected()
    connection.go_silent()
    asyncio.get_running_loop().call_soon(connection.put_disconnect, 1012)
    with pytest.raises(ClientDisconnected):
        for _ in range(100):
            await connection.send(text("late"))


async def test_a_full_journal_asks_each_time() -> None:
    """Was: the second time it waited until the client said by itself what it had."""
    connection, socket = await connected()
    for asked in (1, 2, 3):
        await connection.send(text("x"))
        sending = asyncio.ensure_future(connection.send(text("y" * MAX_BYTES)))
        await turns()
        assert not sending.done()
        assert [control.get("ask") for control in socket.controls].count(True) == asked
        assert connection.link is not None
        connection.acknowledged(connection.link, connection.journal.end)
        await turns()
        assert sending.done() and not connection.inbound.wide
        connection.acknowledged(connection.link, connection.journal.end)


async def test_what_has_come_since_the_last_answer_is_asked_for_again() -> None:
    connection, socket = await connected()
    for payload in ("x", "y"):
        await connection.send(text(payload))
    sending = asyncio.ensure_future(connection.send(text("z" * MAX_BYTES)))
    await turns()
    assert connection.link is not None
    connection.acknowledged(connection.link, 1)
    await turns()
    assert [control.get("ask") for control in socket.controls].count(True) == 2
    connection.acknowledged(connection.link, 2)
    await sending


async def test_a_send_that_is_cancelled_leaves_nothing_wide() -> None:
    """Was: the client might go on to send 1 MiB that nobody read."""
    connection, _ = await connected()
    await connection.send(text("x"))
    sending = asyncio.ensure_future(connection.send(text("y" * MAX_BYTES)))
    await turns()
    assert connection.inbound.wide
    sending.cancel()
    await asyncio.wait((sending,))
    assert not connection.inbound.wide and not connection.journal.queued
    assert not connection.journal.is_awaited()


async def test_nothing_overtakes_what_waits_for_room() -> None:
    """Was: a small frame of another task went before a large one, which could wait for ever."""
    connection, socket = await connected()
    await connection.send(text("first"))
    waiting = [
        asyncio.ensure_future(connection.send(text(one))) for one in ("y" * MAX_BYTES, "small", "last")
    ]
    await turns()
    assert connection.link is not None
    connection.link.let_write()
    assert not connection.link.writes("now") and not any(sending.done() for sending in waiting)
    for count in (1, 2, 4):
        connection.acknowledged(connection.link, count)
        await turns()
    assert all(sending.done() for sending in waiting)
    texts = [message["text"] for message in socket.sent if message["type"] == "websocket.send"]
    assert [one[:5] for one in texts if not one.startswith("\x10")] == ["first", "yyyyy", "small", "last"]


async def test_a_frame_that_follows_one_which_has_waited_does_not_overtake_others() -> None:
    """Was: between two that waited, the journal seemed to be nobody's turn."""
    connection, _ = await connected()
    await connection.send(text("first"))

    async def twice() -> None:
        await connection.send(text("y" * MAX_BYTES))
        await connection.send(text("after it"))

    sending = [asyncio.ensure_future(twice()), asyncio.ensure_future(connection.send(text("between")))]
    await turns()
    for count in range(1, 5):
        assert connection.link is not None
        connection.acknowledged(connection.link, count)
        await turns()
    await asyncio.gather(*sending)
    assert connection.journal.end == 4
    assert connection.journal.begin == 4
    assert connection.link is not None


@pytest.mark.parametrize("waiting", [1, 2, 3])
async def test_who_waits_no_more_leaves_the_others_what_they_wait_for(waiting: int) -> None:
    """Was: the first one to go had the link read as usual, and an answer could be behind many frames."""
    connection, _ = await connected()
    await connection.send(text("x"))
    asking = [asyncio.ensure_future(connection.delivered(None)) for _ in range(waiting)]
    await turns()
    for one in asking:
        assert connection.inbound.wide
        one.cancel()
        await turns()
    assert not connection.inbound.wide
    connection.put_disconnect(1000)


@pytest.mark.parametrize("code", [1011, 1012, 1013])
async def test_a_close_whose_code_the_server_refuses_ends_the_next_link_by_another(code: int) -> None:
    """Was: on daphne the client of a consumer that had failed kept a socket which swallowed its frames.

    There is no other code after which a client comes back: it finds out by a ping.
    """
    connection, socket = await connected()
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    await connection.send({"type": "websocket.close", "code": code})
    later = FalseSocket(few_codes=True)
    link = Link(later.receive, later.send, connection, connection.journal.end)
    connection.resume(link, PLACE)
    link.begin()
    await turns()
    assert later.codes == ([] if code in COMES_BACK else [code + 3000])
    if not later.codes:
        connection.forget()
        return
    later.coming.put_nowait({"type": "websocket.disconnect", "code": 4011})
    await turns()
    assert left(connection)


async def test_an_application_that_fails_closes_by_another_code_too() -> None:
    connection, _ = await connected()
    later = FalseSocket(few_codes=True)
    link = Link(later.receive, later.send, connection, connection.journal.end)
    connection.resume(link, PLACE)
    link.begin()
    await connection.finish(1011)
    await turns()
    assert later.codes == [4011]
    later.coming.put_nowait({"type": "websocket.disconnect", "code": 4011})
    await turns()
    assert left(connection)


@pytest.mark.parametrize("drained", [True, False])
async def test_a_drain_leaves_to_itself_only_what_it_closes(
    monkeypatch: pytest.MonkeyPatch, drained: bool
) -> None:
    """Was: whoever hears of parks was a consumer, so that a relayed link of a manager's was never ended."""
    connection, _ = await connected(posts=True)
    connection.posts = False
    connection.tell_by(lambda kind: None, drained=drained)
    monkeypatch.setattr(admissions, "draining", True)
    connection.stop()
    assert connection.told is not drained
    connection.put_disconnect(1000)
    connection.forget()


async def test_a_stop_ends_the_socket_of_a_client_that_began_with_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was: it was left to the server, which does not wait for the consumer, so handlers were cut off."""
    connection, _ = await connected(posts=True)
    connection.tell_by(lambda kind: None, drained=True)
    socket = await returned(connection)
    await five_come(connection, socket)
    for _ in range(2):
        await connection.receive()
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    assert acknowledged(socket, 2) and socket.codes == [1012]
    assert connection.parked and connection.told and left(connection)


async def test_a_stop_does_not_replace_the_close_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: the client of a slow response got 1012 in its place, and came back."""
    connection, socket = await connected(posts=True)
    socket.stick()
    await connection.send(text("goes first"))
    closing = asyncio.ensure_future(connection.send({"type": "websocket.close", "code": 4000}))
    await turns()
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    assert await connection.receive() == {"type": "websocket.disconnect", "code": 4000}
    socket.flow()
    await asyncio.wait_for(closing, 10)
    assert socket.codes == [4000]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_as_many_may_wait_in_a_place_as_may_be_there(limit: int) -> None:
    here: Counter[LimitKey] = Counter()
    away: Counter[LimitKey] = Counter()
    admissions = [Admission(here, away, {("client", "a"): limit, ("all", None): 9}) for _ in range(4)] + [
        Admission(here, away, {("client", "b"): limit, ("all", None): 9})
    ]
    parked = [await connected() for _ in admissions]
    for (connection, socket), admission in zip(parked, admissions, strict=True):
        connection.count_by(admission)
        admission.resume()
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await turns()
    ended = [index < 4 - limit for index in range(5)]
    assert [left(connection) for connection, _ in parked] == ended
    assert not here and away == {("client", "a"): limit, ("client", "b"): 1, ("all", None): limit + 1}
    socket = await returned(parked[3][0])
    assert here == {("client", "a"): 1, ("all", None): 1}
    for admission in admissions:
        admission.end()
    assert not here and not away
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await turns()
    for connection, _ in parked:
        connection.give_up("gone")


async def test_a_client_that_comes_back_again_and_again_cannot_fill_the_inbox() -> None:
    connection, socket = await connected()
    for number in range(MAX_FRAMES):
        socket.say(f"{number}")
    await turns(3 * MAX_FRAMES)
    for number in range(5):
        socket = await returned(connection)
        socket.say(f"more {number}")
        await turns()
        assert socket.reads == 0
    got = [(await connection.receive())["text"] for _ in range(MAX_FRAMES)]
    assert got == [f"{number}" for number in range(MAX_FRAMES)]
    assert (await asyncio.wait_for(connection.receive(), 5))["text"] == "more 4", (
        "the others have not been read"
    )
    connection.put_disconnect(1000)


async def test_text_that_no_socket_can_send_is_the_error_of_who_sends_it() -> None:
    connection, socket = await connected()
    with pytest.raises(UnicodeEncodeError):
        await connection.send(text("\ud800"))
    await connection.send(text("fine"))
    assert socket.sent[-1] == text("fine") and connection.journal.end == 1


async def test_a_link_whose_send_fails_is_closed_so_that_its_client_comes_back() -> None:
    connection, socket = await connected()
    sending = socket.send

    async def fail(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise OSError("a defect of the server")
        await sending(message)

    assert connection.link is not None
    connection.link.raw_send = fail
    await connection.send(text("one"))
    await turns()
    assert socket.codes == [1012] and not connection.parked
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    assert connection.parked
    connection.give_up("gone")


async def test_a_goodbye_that_a_failed_send_overtakes_is_one() -> None:
    """A server refuses to send from the moment when it has the client's close, which waits to be read."""
    connection, socket = await connected()

    async def refuse(message: Message) -> None:
        raise OSError("the client has left")

    assert connection.link is not None
    connection.link.raw_send = refuse
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await connection.send(text("one"))
    await turns()
    assert (await connection.receive())["code"] == 1000
    assert left(connection)


async def test_a_link_that_fails_and_is_silent_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compat.resume.link.CLOSE_TIMEOUT_S", 0)
    connection, _ = await connected()

    async def fail(message: Message) -> None:
        raise OSError("a defect of the server")

    assert connection.link is not None
    connection.link.raw_send = fail
    await connection.send(text("one"))
    await turns(20)
    assert connection.parked
    connection.give_up("gone")


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_client_cannot_acknowledge_what_was_not_sent(count: int) -> None:
    connection, socket = await connected()
    socket.stick()
    for number in range(3):
        await connection.send(text(f"{number}"))
    await turns()
    socket.say(f'\x10{{"type": "ack", "n": {count}}}')
    await turns()
    socket.flow()
    await turns()
    assert socket.sent[-3:] == [text("0"), text("1"), text("2")]
    connection.put_disconnect(1000)


async def test_a_cancelled_question_for_the_delivery_leaves_no_trace() -> None:
    connection, _ = await connected()
    await connection.send(text("one"))
    asking = asyncio.ensure_future(connection.delivered(None))
    await turns()
    assert connection.inbound.wide and connection.journal.waits
    asking.cancel()
    await turns()
    assert not connection.inbound.wide and not connection.journal.waits


@pytest.mark.parametrize("before", [True, False], ids=["before it asks", "while it waits"])
async def test_an_answer_that_cannot_be_read_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Was: the handler waited for an answer behind frames that waited for the handler."""
    monkeypatch.setattr("compat.resume.inbound.WIDE_FRAMES", MAX_FRAMES + 3)
    connection, socket = await connected()
    await connection.send(text("one"))

    def flood() -> None:
        for number in range(MAX_FRAMES + 10):
            socket.say(str(number))
        socket.say('\x10{"type": "ack", "n": 1}')

    if before:
        flood()
        await until_async(lambda: connection.inbound.space is not None, "nothing is read")
    asking = asyncio.ensure_future(connection.delivered(None))
    await turns()
    if not before:
        flood()
    await until_async(asking.done, "it is answered")
    assert asking.result() is False
    for _ in range(MAX_FRAMES + 10):
        await connection.receive()
    await until_async(lambda: connection.journal.acknowledged == 1, "the answer is read at last")
    assert await connection.delivered(None)
    connection.put_disconnect(1000)


async def test_what_is_forgotten_is_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: who waited was told that the client had all, as its frames made room for others."""
    connection, socket = await connected()
    for number in range(3):
        await connection.send(text(str(number)))
    waiting = connection.journal.wait(1)
    connection.journal.forget(2)
    assert (connection.journal.begin, connection.journal.acknowledged, waiting.done()) == (2, 0, False)
    assert not await connection.delivered(0.001, 2)
    socket.say('\x10{"type": "ack", "n": 1}')
    await until_async(waiting.done, "the client has one")
    assert connection.journal.begin == 2 and await connection.delivered(None, 1)
    connection.put_disconnect(1000)


async def test_one_that_waits_for_room_may_end_and_the_others_wait_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was: on daphne, whose calls are cancelled, nobody could come back while a handler ran."""
    connection, socket = await connected()
    for number in range(MAX_FRAMES + 1):
        socket.say(str(number))
    await until_async(lambda: connection.inbound.space is not None, "nothing is read")
    assert connection.link is not None and connection.link.task is not None
    connection.link.task.cancel()
    await turns()
    assert connection.parked
    again = await returned(connection)
    again.say("last")
    for _ in range(MAX_FRAMES):
        await connection.receive()
    assert (await connection.receive())["text"] == "last"
    connection.put_disconnect(1000)


@pytest.mark.parametrize(("generation", "ends"), [(0, True), (1, False)])
@pytest.mark.parametrize("away", [True, False])
async def test_one_that_may_not_come_back_ends_also_beside_a_dead_link(
    generation: int, ends: bool, away: bool
) -> None:
    connection, socket = await connected()
    if away:
        socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await turns()
    connection.refuse(generation)
    await turns()
    assert left(connection) is ends
    assert socket.codes == ([4409] if ends and not away else [])
    if ends:
        assert await connection.receive() == {"type": "websocket.disconnect", "code": 1006}
    connection.put_disconnect(1000)


async def test_a_refused_handshake_is_not_parked() -> None:
    before = len(registry.parked)
    socket = FalseSocket()
    connection = ResumableConnection(120, PLACE, None)
    connection.begin(socket.receive, socket.send)
    await connection.send({"type": "websocket.close"})
    await connection.finish(1000)
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await until_async(lambda: left(connection), "nothing is kept")
    assert len(registry.parked) == before


def acks(socket: FalseSocket) -> list[int]:
    """What was acknowledged on a socket, in order."""
    return [control["n"] for control in socket.controls if control["type"] == "ack"]


async def five_come(connection: ResumableConnection, socket: FalseSocket) -> None:
    """Five frames of the client."""
    for number in range(5):
        socket.say(str(number))
    await until_async(lambda: connection.inbound.count == 5, "all have come")


def acknowledged(socket: FalseSocket, count: int) -> bool:
    """Whether so many frames have been acknowledged on a socket, at last."""
    return acks(socket)[-1:] == [count]


async def test_only_what_the_application_has_taken_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits would vanish with the process, and the client keeps what is not acknowledged."""
    monkeypatch.setattr("compat.resume.inbound.ACK_S", 0.001)
    connection, socket = await connected()
    for number in range(20):
        socket.say(str(number))
    await until_async(lambda: connection.inbound.count == 20, "all have come")
    for taken in (1, 2, 19, 20):
        while connection.inbound.count - len(connection.inbound.waiting or ()) < taken:
            await connection.receive()
        await until_async(partial(acknowledged, socket, taken), f"{taken} are acknowledged")
    assert acks(socket) == [1, 2, 19, 20]
    await until_async(lambda: connection.inbound.timer is None, "nothing more is to be said")


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("asked_first", [True, False])
async def test_a_receive_that_is_cancelled_with_its_message_loses_nothing(
    after: int, *, asked_first: bool
) -> None:
    connection, _ = await connected()
    asking = asyncio.ensure_future(connection.receive())
    await turns()
    size = connection.inbound.size
    for number in range(1 + after):
        connection.came(connection.link, {"type": "websocket.receive", "text": str(number)}, 1)
    asking.cancel()
    if not asked_first:
        await turns()
    others = [asyncio.ensure_future(connection.receive())] if asked_first else []
    with pytest.raises(asyncio.CancelledError):
        await asking
    got = [await one for one in others]
    got += [await connection.receive() for _ in range(1 + after - len(got))]
    assert [message["text"] for message in got] == [str(number) for number in range(1 + after)]
    assert connection.inbound.size == size
    connection.inbound.stop()


async def test_a_flood_is_acknowledged_as_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compat.resume.inbound.ACK_S", 1000)
    connection, socket = await connected()
    for number in range(1, 2 * ACK_FRAMES + 2):
        socket.say(str(number))
        assert (await connection.receive())["text"] == str(number)
        assert acks(socket) == [count for count in (ACK_FRAMES, 2 * ACK_FRAMES) if number > count]
    socket.say("x" * ACK_BYTES)
    await connection.receive()
    socket.say("last")
    await connection.receive()
    assert acks(socket)[2:] == [2 * ACK_FRAMES + 2]
    connection.inbound.stop()


async def test_who_comes_back_is_told_of_what_waits_too() -> None:
    """It would send that again."""
    connection, socket = await connected()
    await five_come(connection, socket)
    await connection.receive()
    again = await returned(connection)
    assert [control["have"] for control in again.controls if control["type"] == "hello"] == [5]
    receipts.ask(connection)
    assert acks(again) == [5], "no acknowledgement takes another one back"


@pytest.mark.parametrize(("seconds", "park"), [(120.0, "120"), (0.5, "0.5")])
async def test_whole_seconds_are_told_as_a_whole_number(seconds: float, park: str) -> None:
    told = ResumableConnection(seconds, PLACE, None).hello(None)["text"]
    assert re.findall(r"\"park\": ?([^,}]+)", told) == [park]


async def test_what_is_dropped_as_the_server_stops_is_not_delivered() -> None:
    """Was: it was not counted, and so the client had all."""
    connection, _ = await connected()
    await connection.send(text("one"))
    connection.acknowledged(connection.link, 1)
    connection.go_silent()
    assert await connection.delivered(1)
    await connection.send(text("dropped"))
    assert not await connection.delivered(1)
    count: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await connection.send({"type": ASKS_COUNT, FRAMES_BEFORE: count})
    assert not await connection.delivered(1, await count), "as sync consumers ask"


async def test_what_is_sent_after_the_client_has_left_is_not_delivered() -> None:
    """Was: it was, to a consumer that goes on with the frames which wait after a send has raised."""
    connection, socket = await connected()
    await connection.send(text("one"))
    connection.acknowledged(connection.link, 1)
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await turns()
    assert await connection.delivered(1)
    with pytest.raises(ClientDisconnected):
        await connection.send(text("two"))
    assert not await connection.delivered(1)


@pytest.mark.parametrize("own", [None, "chat"])
async def test_who_is_accepted_as_the_server_stops_is_sent_on(
    own: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: refused with 403, after which a client does not come again.

    Or with its own subprotocol, after which it sends its frames here, and they are unsure.
    """
    socket = FalseSocket()
    connection = ResumableConnection(120, PLACE, None)
    connection.begin(socket.receive, socket.send)
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    await connection.send({"type": "websocket.accept", "subprotocol": own})
    kinds = [message["type"] for message in socket.sent]
    assert kinds == ["websocket.accept", "websocket.close"] and socket.codes == [1012]
    assert socket.sent[0]["subprotocol"] == PROTOCOL, "it waits for a hello"
    assert await connection.receive() == {"type": "websocket.disconnect", "code": 1006}
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1012})
    await turns()
    assert left(connection)


async def test_a_server_that_stops_acknowledges_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its consumers handle that before their disconnect."""
    connection, socket = await connected()
    connection.tell_by(lambda kind: None)
    await five_come(connection, socket)
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    assert acks(socket) == [5]


async def test_nor_is_what_comes_to_it_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    connection, socket = await connected()
    connection.tell_by(lambda kind: None)
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    await five_come(connection, socket)
    connection.acknowledge(fresh=True)
    assert acks(socket) == [5]


async def test_but_not_what_waits_for_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends when it sends something, and so reads no further."""
    connection, socket = await connected()
    await five_come(connection, socket)
    await connection.receive()
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    assert acks(socket) == [1]


async def test_nor_for_a_consumer_which_has_yet_to_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server waits for it, it may fail."""
    connection, socket = await connected()
    connection.tell_by(lambda kind: None)
    await five_come(connection, socket)
    await connection.receive()
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    registry.finishing(connection, True)
    connection.acknowledge()
    assert acks(socket) == [1]
    registry.finishing(connection, False)
    connection.acknowledge()
    assert acks(socket) == [1, 5]


@pytest.mark.parametrize("code", [1012, 1013])
async def test_a_drain_acknowledges_nothing_that_waits_when_the_consumer_is_closed(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """It may fail, as when its layer is away, or be cancelled. Was: with 1012 all that had come."""
    connection, socket = await connected()
    connection.tell_by(lambda kind: None, drained=True)
    await five_come(connection, socket)
    await connection.receive()
    await connection.receive()
    monkeypatch.setattr(admissions, "draining", True)
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    assert acks(socket) == []
    await connection.send({"type": "websocket.close", "code": code})
    assert acks(socket) == [2] and socket.codes == [code]


@pytest.mark.parametrize("taken", [2, 5])
async def test_of_a_slow_consumer_a_drain_acknowledges_only_what_was_taken(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    """Was: all that had come, of which the rest was lost when the drain cancelled the consumer."""
    monkeypatch.setattr(parking, "CATCH_UP_S", 0)
    connection, socket = await connected()
    connection.tell_by(lambda kind: None, drained=True)
    await five_come(connection, socket)
    monkeypatch.setattr(admissions, "draining", True)
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    for _ in range(taken):
        await connection.receive()
    await connection.rest()
    socket.say("between this and the close")
    await until_async(lambda: connection.inbound.count == 6, "it has come")
    await connection.send({"type": "websocket.close", "code": 1012})
    assert acknowledged(socket, taken) and socket.codes == [1012]


async def test_over_a_link_of_another_process_a_drain_acknowledges_what_was_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That link ends before the consumer's close; the server does not wait until the rest is handled."""
    connection, socket = await connected(posts=True)
    connection.posts = False
    connection.tell_by(lambda kind: None, drained=True)
    await five_come(connection, socket)
    await connection.receive()
    monkeypatch.setattr(admissions, "draining", True)
    monkeypatch.setattr(registry, "_stopping", asyncio.get_running_loop())
    connection.stop()
    await connection.rest()
    assert acks(socket) == [1] and socket.codes == [1012]


async def test_a_consumer_that_ends_does_not_acknowledge_what_it_has_not_taken() -> None:
    """One that has failed never will; the client gets these frames back as unsure."""
    connection, socket = await connected()
    await five_come(connection, socket)
    await connection.receive()
    await connection.receive()
    await connection.send({"type": "websocket.close", "code": 1013})
    assert acks(socket) == [2] and socket.codes == [1013]


async def test_nor_does_one_that_has_ended_while_its_client_was_away() -> None:
    connection, socket = await connected()
    await five_come(connection, socket)
    await connection.receive()
    await connection.receive()
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await until_async(lambda: connection.parked, "its client is away")
    await connection.send({"type": "websocket.close", "code": 1013})
    again = await returned(connection)
    assert [control["have"] for control in again.controls if control["type"] == "hello"] == [2]
    assert again.codes == [1013]


HOUR = 3600


@pytest.mark.parametrize("kind", ["ack", "ping", "posted ping"])
@pytest.mark.parametrize(("hours", "renewed"), [(11.9, False), (12, False), (12.1, True)])
async def test_a_client_that_only_listens_has_a_ticket_that_lasts(
    kind: str, hours: float, renewed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    connection, socket = await connected(posts=kind == "posted ping")
    now[0] += hours * HOUR
    for _ in range(2):
        if kind == "posted ping":
            assert await take(connection, 0, 0, [text('\x10{"type": "ping"}')]) == TAKEN
        else:
            socket.say(json.dumps({"type": kind, "n": 0}).join(("\x10", "")))
        await turns()
    given = [control["ticket"] for control in socket.controls if "ticket" in control]
    assert len(given) == 1 + renewed
    now[0] += 13 * HOUR
    if renewed:
        tickets.read(given[-1])
    else:
        with pytest.raises(tickets.Refused, match="expired"):
            tickets.read(given[-1])
