"""What a client is told of the groups of its consumer: beside handlers that stay, and when it leaves one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat import tickets
from compat.engine.cursors import position_of
from compat.exceptions import LayerUnavailable
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, get_channel_layer
from compat.resume.registry import registry
from compat.settings import override
from tests.support.waiting import turns, until_async
from tests.unit.resume.sockets import FalseSocket

SECRET = "a key of this test alone"


class Feed(AsyncWebsocketConsumer):
    """Sends what its group says, beside a feed that goes on until its client leaves."""

    concurrency = 4
    stays: asyncio.Event

    async def connect(self) -> None:
        assert self.channel_layer is not None
        for group in ("room", "without"):
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "close":
            await self.close(1013)
        else:
            await self.stays.wait()

    async def said(self, event: dict[str, Any]) -> None:
        if event["n"] == "stay":
            await self.stays.wait()
        if event["n"] == "later":
            raise LayerUnavailable("as if Redis were away")
        await self.send(text_data=str(event["n"]))

    async def away(self, event: dict[str, Any]) -> None:
        await self.close(1013)

    async def go(self, event: dict[str, Any]) -> None:
        assert self.channel_layer is not None
        await self.channel_layer.group_discard("room", self.channel_name)


class OneByOne(Feed):
    concurrency = 1


class Answers(OneByOne):
    """Answers each frame, once it may begin."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.stays.wait()
        await self.send(text_data=text_data)


class InThreads(WebsocketConsumer):
    def connect(self) -> None:
        assert self.channel_layer is not None
        for group in ("room", "without"):
            async_to_sync(self.channel_layer.group_add)(group, self.channel_name)
        self.accept()

    def said(self, event: dict[str, Any]) -> None:
        if event["n"] == "later":
            raise LayerUnavailable("as if Redis were away")
        self.send(text_data=str(event["n"]))

    def away(self, event: dict[str, Any]) -> None:
        self.close(1013)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.close(1013)


class Page(FalseSocket):
    """A page on a consumer; with ``missed_since``, one that comes back from another process."""

    def __init__(self, missed_since: str = "", kind: Any = Feed) -> None:
        super().__init__()
        offered = ["channels.resume.v1"]
        if missed_since:
            place = tickets.place_of("None", "\n/ws/\n", "")
            cursor = tickets.Cursor(tickets.print_of("group", "room"), *position_of(missed_since))
            ticket = tickets.Ticket(b"x" * 16, 0, place.user, place.path, "", 2**33, b"c" * 8, (cursor,))
            offered.append(f"channels.ticket.{tickets.write(ticket)}.0")
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "path": "/ws/",
            "headers": [],
            "subprotocols": offered,
        }
        self.coming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(kind.as_asgi()(scope, self.receive, self.send))

    @property
    def got(self) -> list[str]:
        """The data frames that were sent."""
        texts = [message.get("text") or "" for message in self.sent]
        return [text for text in texts if text and not text.startswith("\x10")]

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """What it was told of what it had missed."""
        return [control for control in self.controls if control["type"] == "verdict"]

    def offset(self) -> int:
        """Up to where it has the room, as its newest ticket says."""
        given = [control["ticket"] for control in self.controls if "ticket" in control]
        cursors = tickets.read(given[-1])[0].cursors if given else ()
        return cursors[0].offset if cursors else -1

    async def leave(self) -> None:
        self.say('\x10{"type": "bye"}')
        self.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.task, 10)


@pytest.fixture
async def room(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InMemoryChannelLayer]:
    monkeypatch.setattr("compat.resume.histories.REFRESH_S", 0.01)
    monkeypatch.setattr("compat.resume.histories.SOON_S", 0.01)
    monkeypatch.setattr("compat.engine.side_by_side.HANDLERS_TIMEOUT_S", 0.01)
    monkeypatch.setattr(Feed, "stays", asyncio.Event(), raising=False)
    backend = {"BACKEND": "compat.layers.InMemoryChannelLayer", "CONFIG": {"history": {"room": {}}}}
    with override(CHANNEL_LAYERS={"default": backend}, SECRET_KEY=SECRET):
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        yield layer


async def say(layer: InMemoryChannelLayer, *numbers: Any) -> None:
    for number in numbers:
        await layer.group_send("room", {"type": "said", "n": number})


async def test_a_frame_whose_handler_stays_holds_no_position_back(
    room: InMemoryChannelLayer,
) -> None:
    page = Page()
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    page.say("begin the feed")
    await say(room, *range(10))
    await until_async(lambda: page.offset() == 10, "it is told where it is now")
    await page.leave()


async def test_who_comes_back_beside_it_is_told_what_was_recovered(room: InMemoryChannelLayer) -> None:
    since = str(await room.position("room"))
    await say(room, *range(10))
    page = Page(since)
    page.say("begin the feed")
    await until_async(lambda: bool(page.verdicts), "a verdict")
    [verdict] = page.verdicts
    assert (verdict["recovered"], verdict["replayed"]) == ("groups", 10)
    assert page.got == [str(number) for number in range(10)]
    await page.leave()


async def test_the_oldest_message_whose_handler_runs_is_the_first_that_is_not_claimed(
    room: InMemoryChannelLayer,
) -> None:
    page = Page()
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    await say(room, 1, "stay", 3, 4)
    await until_async(lambda: page.offset() == 1 and page.got == ["1", "3", "4"], "up to the one that stays")
    page.say("begin the feed")
    await say(room, *range(5, 40))
    await until_async(lambda: len(page.got) == 38, "the others are handled")
    assert page.offset() == 1
    Feed.stays.set()
    await until_async(lambda: page.offset() == 39, "it has ended")
    await page.leave()


@pytest.mark.parametrize("behind", [0, 3])
@pytest.mark.parametrize("kind", [Feed, OneByOne, InThreads])
async def test_a_message_whose_handler_has_failed_is_not_claimed(
    kind: Any, behind: int, room: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: threads and concurrency claimed it, and the client's next consumer did not get it.

    ``behind`` messages come with it, of which one may have been taken.
    """
    page = Page(kind=kind)
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    monkeypatch.setattr("compat.resume.histories.REFRESH_S", 60)
    await say(room, 1, 2, "later", *range(behind))
    await until_async(lambda: page.codes == [1013], "it is asked to come back later")
    assert (page.got, page.offset()) == (["1", "2"], 2)
    page.coming.put_nowait({"type": "websocket.disconnect", "code": 1013})
    await asyncio.wait_for(page.task, 10)


@pytest.mark.parametrize("late", [0, 20])
@pytest.mark.parametrize("kind", [Feed, OneByOne, InThreads])
async def test_who_is_closed_by_its_consumer_is_told_what_it_was_sent(
    kind: Any, late: int, room: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: from threads, it got all messages of the last seconds twice.

    ``late`` messages come with the frame that closes it; what is sent after that does not arrive.
    """
    page = Page(kind=kind)
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    monkeypatch.setattr("compat.resume.histories.REFRESH_S", 60)
    await say(room, 1, 2)
    await until_async(lambda: page.got == ["1", "2"], "it has got them")
    page.say("close")
    await say(room, *range(late))
    await until_async(lambda: page.codes == [1013], "it is asked to come back later")
    assert page.offset() <= len(page.got), "nothing is missing"
    assert late or page.offset() == 2, "nothing comes twice"
    page.coming.put_nowait({"type": "websocket.disconnect", "code": 1013})
    await asyncio.wait_for(page.task, 10)


@pytest.mark.parametrize("late", [0, 3])
@pytest.mark.parametrize("kind", [Feed, OneByOne, InThreads])
async def test_a_message_of_no_history_that_closes_holds_no_position_back(
    kind: Any, late: int, room: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: the last message of the history came twice, though its handler had ended."""
    page = Page(kind=kind)
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    monkeypatch.setattr("compat.resume.histories.REFRESH_S", 60)
    await say(room, 1, 2)
    await until_async(lambda: page.got == ["1", "2"], "it has got them")
    await room.group_send("without", {"type": "away"})
    await say(room, *range(late))
    await until_async(lambda: page.codes == [1013], "it is asked to come back later")
    assert page.offset() == 2
    page.coming.put_nowait({"type": "websocket.disconnect", "code": 1013})
    await asyncio.wait_for(page.task, 10)


async def test_a_group_that_the_consumer_has_left_is_in_no_ticket(room: InMemoryChannelLayer) -> None:
    """The next consumer would not join it, and nobody would be told "groups"."""
    page = Page()
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    await room.group_send("room", {"type": "go"})
    await until_async(lambda: page.offset() == -1, "it is told that it has left")
    await page.leave()


async def test_what_has_come_is_answered_before_the_server_stops(
    room: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: all was acknowledged, and what was sent behind the first handler's end was dropped."""
    monkeypatch.setattr("compat.resume.histories.POLL_S", 0)
    page = Page(kind=Answers)
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    loop = asyncio.get_running_loop()
    [connection] = [one for one in registry.connections.values() if one.loop is loop]
    for number in range(5):
        page.say(str(number))
    await until_async(lambda: connection.inbound.count == 5, "they have come")
    monkeypatch.setattr(registry, "_stopping", loop)
    registry.release()
    Feed.stays.set()
    await until_async(lambda: connection.over, "it has told its client where it is")
    assert page.got == [str(number) for number in range(5)]
    assert [control["n"] for control in page.controls if control["type"] == "ack"][-1] == 5
    page.coming.put_nowait({"type": "websocket.disconnect", "code": 1012})
    await asyncio.wait_for(page.task, 10)


@pytest.mark.parametrize("full", [False, True])
async def test_what_is_sent_as_the_server_stops_ends_no_consumer(
    full: bool, room: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: it raised, and the consumer ended: its client was closed with 1000, and did not come back.

    ``full``: it waits already for the client to make room.
    """
    monkeypatch.setattr("compat.engine.connection.DISCONNECT_TIMEOUT_S", 0)
    monkeypatch.setattr("compat.resume.histories.FINISH_S", 0.01)
    monkeypatch.setattr("compat.resume.journal.MAX_FRAMES", 1)
    page = Page()
    await until_async(lambda: page.offset() == 0, "it is told where it has joined")
    [channel] = room.groups["room"]
    loop = asyncio.get_running_loop()
    [connection] = [one for one in registry.connections.values() if one.loop is loop]
    monkeypatch.setattr(registry, "_stopping", loop)
    if full:
        await say(room, 1, 2)
        await until_async(lambda: connection.journal.queued == 1, "it waits for room")
    registry.release()
    await until_async(lambda: connection.over, "it has told its client where it is")
    if full:
        page.say('\x10{"type": "ack", "n": 1}')
    else:
        await room.send(channel, {"type": "said", "n": "late"})
    await turns(20)
    assert page.codes == [] and page.got == ["1"] * full
    assert page.offset() == full, "the second one is not claimed"
    page.coming.put_nowait({"type": "websocket.disconnect", "code": 1012})
    await asyncio.wait_for(page.task, 10)
