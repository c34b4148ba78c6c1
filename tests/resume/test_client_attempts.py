"""When the client for Python tries again, how, and what ends its attempts."""

from __future__ import annotations

import asyncio

import pytest

from compat.client import Client, Closed
from tests.resume.false_world import FalseLink, FalseWorld, settle

HELLO = '\x10{"type": "hello", "ticket": "T1", "have": 0, "park": 120}'
OFFER = ["channels.resume.v1"]


class Attempted:
    """A client in a false world, on its way in."""

    def __init__(self, *subprotocols: str, ticket: str = "") -> None:
        self.world = FalseWorld()
        self.client = Client("ws://example.org/", subprotocols=subprotocols, ticket=ticket, world=self.world)
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

    async def greet(self) -> None:
        """The server of the newest link resumes."""
        self.world.link.accept("channels.resume.v1")
        self.world.link.serve(HELLO)
        await settle()

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
    await one.link()
    await one.greet()
    await one.entering
    one.world.link.end(1006)
    await refused(404, 404, 503, one=one)
    await one.link()
    assert one.offers == [OFFER] + [[*OFFER, "channels.ticket.T1.0"]] * 4
    await one.leave()


async def test_on_a_plain_link_nothing_is_a_hello() -> None:
    one = Attempted("chat", ticket="P1")
    await refused(404, one=one)
    (await one.link()).accept("chat")
    await one.entering
    one.world.link.serve(HELLO)
    assert await one.client.receive() == HELLO
    one.world.link.end(1006)
    await one.link()
    assert one.offers == [[*OFFER, "chat", "channels.ticket.P1.0"], ["chat"], [*OFFER, "chat"]]
    await one.leave()


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
