"""When the client for Python tries again, how, and what ends its attempts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from compat.client import Client, Closed
from compat.client.frames import LIMIT_BYTES, LIMIT_FRAMES
from compat.client.links import World
from tests.resume.false_world import FalseLink, FalseWorld, settle
from tests.resume.wire_server import WireServer, wire_server
from tests.support.waiting import until_async

HELLO = '\x10{"type": "hello", "ticket": "T1", "have": 0, "park": 120}'
BACK = '\x10{"type": "hello", "ticket": "T2", "have": 0, "park": 120, "recovered": "all"}'
OFFER = ["channels.resume.v1"]


class Attempted:
    """A client in a false world, on its way in."""

    def __init__(self, *subprotocols: str, ticket: str = "", only: bool = False) -> None:
        self.world = FalseWorld()
        self.client = Client(
            "ws://example.org/", subprotocols=subprotocols, ticket=ticket, only=only, world=self.world
        )
        self.entering = asyncio.ensure_future(self.client.__aenter__())

    async def link(self) -> FalseLink:
        """The next attempt."""
        seen = len(self.world.links)
        await settle()
        if len(self.world.links) == seen:
            await self.world.wait(31)
        return self.world.link

    @property
    def offers(self) -> list[object]:
        return [what for kind, what in self.world.wire if kind == "link"]

    async def greet(self, hello: str = HELLO) -> None:
        """The server of the newest link resumes."""
        self.world.link.accept("channels.resume.v1")
        self.world.link.serve(hello)
        await settle()

    async def enter(self) -> None:
        """The next attempt finds a server that resumes."""
        await self.link()
        await self.greet()
        await self.entering

    async def leave(self) -> None:
        self.world.link.end(1000)
        await self.client.close()
        await asyncio.wait((self.entering,))


async def refused(*statuses: int | None, one: Attempted) -> None:
    """One attempt after the other fails: with an HTTP status, or without a connection."""
    for status in statuses:
        link = await one.link()
        link.refuse(status) if status is not None else link.end(1006)
        await settle()


# Plain attempts


@pytest.mark.parametrize("failures", [[None, None], [None, None, None, None], [503, 502], [503, None, 429]])
async def test_a_server_that_is_not_up_yet_is_offered_resuming(failures: list[int | None]) -> None:
    one = Attempted()
    await refused(*failures, one=one)
    await one.link()
    assert one.offers == [OFFER] * (len(failures) + 1)
    await one.greet()
    assert await one.entering is one.client
    await one.leave()


async def test_only_the_attempt_after_a_refusal_is_plain() -> None:
    one = Attempted("chat")
    await refused(404, 503, 404, one=one)
    (await one.link()).accept("")
    await one.entering
    assert one.offers == [[*OFFER, "chat"], ["chat"], [*OFFER, "chat"], ["chat"]]
    await one.leave()


async def test_after_a_plain_link_resuming_is_offered_again() -> None:
    """A load balancer answers 404 while the server behind it starts."""
    one = Attempted()
    await refused(404, one=one)
    (await one.link()).accept("")
    await one.entering
    one.world.link.end(1006)
    await one.link()
    await one.greet()
    assert one.offers == [OFFER, [], OFFER]
    assert (one.client.state, one.client.recovered, one.client.why) == ("open", "", "no ticket")
    one.world.link.end(1006)
    await one.link()
    assert one.offers[-1] == [*OFFER, "channels.ticket.T1.0"]
    await one.leave()


async def test_a_server_that_refuses_the_subprotocol_has_plain_links() -> None:
    one = Attempted()
    await refused(400, one=one)
    (await one.link()).accept("")
    await one.entering
    one.world.link.end(1006)
    await refused(400, one=one)
    (await one.link()).accept("")
    await settle()
    assert (one.client.state, one.client.why) == ("open", "plain")
    one.world.link.end(1006)
    await refused(404, 404, 404, one=one)  # once it was open, that may pass
    await one.link()
    assert one.offers == [OFFER, [], OFFER, [], OFFER, [], OFFER, []]
    await one.leave()


async def test_a_ticket_is_not_given_up_because_of_a_refusal() -> None:
    one = Attempted()
    await one.enter()
    one.world.link.end(1006)
    await refused(404, 404, 503, one=one)
    await one.link()
    assert one.offers == [OFFER] + [[*OFFER, "channels.ticket.T1.0"]] * 4
    await one.leave()


async def test_on_a_plain_link_nothing_is_a_hello() -> None:
    one = Attempted("chat")
    await refused(404, one=one)
    (await one.link()).accept("chat")
    await one.entering
    one.world.link.serve(HELLO)
    assert await one.client.receive() == HELLO
    one.world.link.end(1006)
    await one.link()
    assert one.offers == [[*OFFER, "chat"], ["chat"], [*OFFER, "chat"]]
    await one.leave()


async def test_the_ticket_of_a_page_is_not_given_up_because_of_one_refusal() -> None:
    """A load balancer answers 404 while the server behind it starts, which has given that ticket."""
    one = Attempted(ticket="P1")
    await refused(404, 503, 404, one=one)
    await one.enter()
    assert one.offers == [[*OFFER, "channels.ticket.P1.0"]] * 4
    await one.leave()


async def test_a_server_that_agrees_and_says_nothing_is_plain_whatever_a_page_says() -> None:
    one = Attempted(ticket="P1")
    (await one.link()).accept("channels.resume.v1")
    await settle()
    await one.world.wait(11)
    (await one.link()).accept("")
    await one.entering
    assert one.offers == [[*OFFER, "channels.ticket.P1.0"], []]
    await one.leave()


async def test_two_refusals_in_a_row_of_a_pages_ticket_are_final() -> None:
    one = Attempted(ticket="P1")
    await refused(404, 404, one=one)
    with pytest.raises(Closed):
        await one.entering


async def test_a_server_that_repeats_any_subprotocol_has_a_plain_link() -> None:
    """It does not greet, and waits for the client's first frame."""
    one = Attempted()
    (await one.link()).accept("channels.resume.v1")
    await one.world.wait(10)
    (await one.link()).accept("")
    await one.entering
    assert one.offers == [OFFER, []]
    await one.leave()


@pytest.mark.parametrize("statuses", [[401], [403], [404, 404], [404, 403], [404, 503, 404, 404]])
async def test_refusals_that_end_the_first_connect(statuses: list[int]) -> None:
    one = Attempted()
    await refused(*statuses, one=one)
    with pytest.raises(Closed, match=f"HTTP {statuses[-1]}"):
        await one.entering
    assert len(one.offers) == len(statuses)


@pytest.mark.parametrize("statuses", [[401], [503, 403, 401], [403] * 8, [*[403] * 7, 503, *[403] * 8]])
async def test_refusals_that_end_a_client_that_has_been_open(statuses: list[int]) -> None:
    """An application whose ``connect()`` fails says 403, too; but not for ever."""
    one = Attempted()
    await one.enter()
    one.world.link.end(1006)
    await refused(*statuses, one=one)
    with pytest.raises(Closed, match=f"HTTP {statuses[-1]}"):
        await one.client.receive()
    assert len(one.offers) == 1 + len(statuses)


async def test_refusals_before_the_last_return_do_not_count() -> None:
    one = Attempted()
    await one.enter()
    for _ in range(2):
        one.world.link.end(1006)
        await refused(*[403] * 7, one=one)
        await one.link()
        await one.greet()
        assert one.client.state == "open"
    await one.leave()


# Redirects


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with wire_server() as one:
        yield one


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: WireServer, status: int) -> None:
    """It would take the headers and the ticket to another origin."""
    async with wire_server() as other:
        server.status, server.location = status, other.url
        with pytest.raises(Closed, match=f"HTTP {status}, a redirect to {other.url}") as closed:
            async with Client(server.url, headers={"X-Api-Key": "secret"}, ticket="P1"):
                pytest.fail("it is not open")
        assert closed.value.code == 1006
        assert (server.handshakes, other.handshakes) == (1, 0)


@pytest.mark.parametrize("location", ["https://example.org/maintenance", "/login", ""])
async def test_a_client_that_was_open_comes_back_after_redirects(server: WireServer, location: str) -> None:
    client = Client(server.url)
    entering = asyncio.ensure_future(client.__aenter__())
    link = await server.link()
    await link.hello("T1")
    await entering
    server.status, server.location = 302, location
    await link.end(1012)
    await until_async(lambda: server.handshakes >= 3, "it has tried twice")
    assert client.state == "away"
    server.status = None
    link = await server.link()
    assert link.offered == [*OFFER, "channels.ticket.T1.0"]
    await link.hello("T2", recovered="all")
    await until_async(lambda: client.state == "open", "the client is back")
    await client.close()


# Ends


@pytest.mark.parametrize("url", ["http://example.org/", "example.org", "ws://", "ws://example.org/#part"])
def test_a_wrong_url_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"isn't a valid URI.*begins with ws:// or wss://"):
        Client(url)


def test_other_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"'ws://example.org:abc/'.*begins with ws:// or wss://"):
        Client("ws://example.org:abc/")
    with pytest.raises(TypeError, match=r"subprotocols is a list, such as \['chat'\]"):
        Client("ws://example.org/", subprotocols="chat")
    for value in ("a\rb", "a\nb"):
        with pytest.raises(ValueError, match="header 'Cookie' has a line break"):
            Client("ws://example.org/", headers={"Cookie": value})


async def test_what_nobody_expected_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    one = Attempted()
    await one.enter()
    await one.client.send("0")
    await settle()
    one.world.link.end(1006)
    (await one.link()).handshake.set_exception(LookupError("no such proxy"))
    with pytest.raises(Closed, match="LookupError: no such proxy") as closed:
        await one.client.receive()
    assert closed.value.code == 1006 and one.client.state == "closed"
    assert "no such proxy" in caplog.text
    assert one.client.take_unsure() == ["0"]
    await one.client.close()


async def test_what_nobody_expected_is_raised_by_the_first_connect() -> None:
    one = Attempted()
    (await one.link()).handshake.set_exception(LookupError("no such proxy"))
    with pytest.raises(LookupError, match="no such proxy"):
        await one.entering


# Pauses


async def test_a_server_that_greets_and_drops_is_asked_less_and_less_often() -> None:
    """``random()`` is 0.5, and the first short link counts for nothing."""
    one = Attempted()
    await one.enter()
    for pause in (0.15, 0.3, 0.6, 1.2, 2.4):
        assert await pause_after_a_link(one, lived=4.9) == pytest.approx(pause, abs=1e-6)
    for pause in (0.15, 0.15):
        assert await pause_after_a_link(one, lived=5.0) == pytest.approx(pause, abs=1e-6)
    for pause in (0.15, 0.3):
        assert await pause_after_a_link(one, lived=0.0) == pytest.approx(pause, abs=1e-6)
    await one.leave()


async def test_a_network_that_cuts_again_and_again_is_tried_soon() -> None:
    """Each return finds the connection, so it is not the server that fails."""
    one = Attempted()
    await one.enter()
    for pause in (0.15, 0.3, 0.6, 0.6, 0.6):
        assert await pause_after_a_link(one, lived=1.0, hello=BACK) == pytest.approx(pause, abs=1e-6)
    await one.leave()


async def test_failures_are_forgotten_after_a_link_that_lived() -> None:
    one = Attempted()
    await refused(None, None, None, one=one)
    await one.enter()
    assert await pause_after_a_link(one, lived=1.0) == pytest.approx(1.2, abs=1e-6)
    assert await pause_after_a_link(one, lived=5.0) == pytest.approx(0.15, abs=1e-6)
    await one.leave()


async def pause_after_a_link(one: Attempted, *, lived: float, hello: str = HELLO) -> float:
    """Let the newest link end after so many seconds; return how long the client waits for the next."""
    await one.world.wait(lived)
    one.world.link.end(1012)
    await settle()
    ended, links = one.world.now, len(one.world.links)
    while len(one.world.links) == links:
        await one.world.wait(0.05)
    await one.greet(hello)
    return one.world.now - ended


# Patience


async def test_an_attempt_waits_longer_after_each_failure() -> None:
    """A consumer may be slow to accept."""
    one = Attempted()
    await refused(None, None, None, None, one=one)
    await one.enter()
    one.world.link.end(1006)
    await one.link()
    assert one.world.patience == [10, 20, 40, 80, 80, 80]
    await one.leave()


async def test_an_attempt_waits_no_longer_than_the_server_keeps_the_connection() -> None:
    one = Attempted(only=True)
    await one.enter()
    await one.world.wait(10)
    for lost in range(4):
        one.world.link.end(1006)
        while len(one.world.links) == 1 + lost:
            await one.world.wait(0.05)
        await one.world.wait(30)
    assert one.world.patience[1:-1] == [10, 20, 40]
    assert one.world.patience[-1] == pytest.approx(120 - 3 * 30, abs=3)
    await one.leave()


async def test_a_handshake_has_as_long_as_it_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(Closed, match="timed out"):
        await World().open(f"ws://127.0.0.1:{mute.getsockname()[1]}/", [], {}, None, 0.01)


# What was not sent


async def away_with_frames(frames: list[str | bytes]) -> Attempted:
    """A client that has lost its link with one frame unacknowledged, and keeps ``frames`` since then."""
    one = Attempted()
    await one.enter()
    await one.client.send("written")
    await settle()
    one.world.link.end(1006)
    await settle()
    for frame in frames:
        await one.client.send(frame)
    return one


async def test_what_waits_at_the_end_is_handed_over() -> None:
    one = await away_with_frames(["0", b"1"])
    await refused(401, one=one)
    with pytest.raises(Closed):
        await one.client.receive()
    assert one.client.unsure == ["written", "0", b"1"]
    assert one.client.take_unsure() == ["written", "0", b"1"]


async def test_what_waits_at_a_close_is_handed_over() -> None:
    one = await away_with_frames(["0"])
    await one.client.close()
    assert one.client.take_unsure() == ["written", "0"]


async def test_all_that_may_wait_is_handed_over() -> None:
    one = await away_with_frames([b"x" * (LIMIT_BYTES - len("written"))])
    await one.client.close()
    assert [len(frame) for frame in one.client.take_unsure()] == [7, LIMIT_BYTES - 7]
    one = await away_with_frames(["x"] * (LIMIT_FRAMES - 1))
    await one.client.close()
    assert len(one.client.take_unsure()) == LIMIT_FRAMES
