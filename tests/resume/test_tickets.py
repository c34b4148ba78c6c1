"""Tickets, the rows T of the acceptance list: whose they are, for how long, and what they tell others."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat import tickets
from compat.settings import override
from tests.resume.place import SECRET, Place, name, placed
from tests.support.clients import Refused
from tests.support.resuming import Closed, Resuming

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("tickets")) as place:
        yield place


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    yield running
    running.no_failure()


def ticket_of(client: Resuming) -> str:
    assert client.ticket is not None
    return client.ticket


def again(client: Resuming) -> Resuming:
    """Another client that looks the same and knows the same."""
    other = Resuming(client.server, client.path, headers=client.headers, origin=client.origin)
    other.ticket, other.received = client.ticket, client.received
    return other


async def still_there(client: Resuming) -> None:
    """The connection of this client has not been touched: it talks, or can come back."""
    try:
        await client.send("echo 5")
        assert await client.numbers(1) == [5]
    except AssertionError:
        assert await client.back() == "all"
        await client.numbers(1)
    await client.leave()


async def test_T1_a_copied_ticket_is_used_once_its_successor_is_confirmed(place: Place) -> None:
    client = await place.open("async", name("copied"))
    thief = again(client)
    client.cut()
    assert await client.back() == "all"
    await client.pong()  # with its acknowledgement before
    assert ticket_of(client) != ticket_of(thief)
    assert await thief.back() == "" and thief.why == "used"
    await client.send("echo 1")
    assert await client.numbers(1) == [1], "it has not been replaced"
    await thief.leave()
    await still_there(client)


async def test_T1_a_lost_hello_costs_nothing(place: Place) -> None:
    client = await place.open("async", name("lost"))
    client.cut()
    for _ in range(3):
        await client.present(hear=False)
        client.cut()  # what the server has said was never read
    old = ticket_of(client)
    assert await client.back() == "all"
    await client.pong()
    assert await again(client).back(ticket=old) == "", "now its successor is known"
    await still_there(client)


async def test_T1_of_two_with_one_ticket_the_later_has_the_connection(place: Place) -> None:
    """As after a half-open link; whoever answers first decides which ticket is good from then on."""
    client = await place.open("async", name("two"))
    second = again(client)
    assert await second.back() == "all"
    assert await client.closed() == 4409
    await second.pong()
    assert await client.back() == "" and client.why == "used"
    await client.leave()
    await still_there(second)


async def test_T1_a_handshake_that_comes_late_takes_the_link_and_not_the_connection(place: Place) -> None:
    """A client gives a handshake up and makes another; the server takes the two the other way round."""
    client = await place.open("async", name("late"))
    late = again(client)
    client.cut()
    late.acks = client.acks = False  # nobody reads there, and what is said here is under way
    assert await client.back() == "all"
    assert await late.back() == "all"
    with pytest.raises(Closed):
        await client.receive()
    assert (client.link.protocol.close_code, client.link.protocol.close_reason) == (4409, "replaced")
    late.cut()
    client.acks = True
    assert await client.back() == "all"
    await still_there(client)


@pytest.mark.parametrize("flavour", ["async", pytest.param("sync", marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["other user", "logged out", "path", "query", "kind"])
async def test_T2_another_user_or_path_gets_nothing(place: Place, flavour: str, how: str) -> None:
    who = name("theirs")
    client = await place.away(flavour, who, headers={"Cookie": "user=ann"})
    await place.tell(who, "echo secret 1")
    other = again(client)
    why = "path"
    if how == "other user":
        other.headers, why = {"Cookie": "user=bob"}, "user"
    elif how == "logged out":
        other.headers, why = {}, "user"
    elif how == "path":
        other.path = other.path.replace(f"/{flavour}/", "/asyncjson/")
    elif how == "query":
        other.path += "more"
    else:
        other.path = f"/plain/?{who}"
    assert await other.back() == "" and other.why == why
    await other.pong()
    assert not other.frames
    assert not place.notes("disconnect", who) or how == "kind"
    assert await client.back() == "all", "it was left alone"
    assert await client.numbers(1) == [1]
    for one in (other, client):
        await one.leave()


async def test_T2_a_user_who_logs_in_is_another_one(place: Place) -> None:
    client = await place.away("async", name("anonymous"))
    client.headers = {"Cookie": "user=ann"}
    assert await client.back() == "" and client.why == "user"
    client.headers = {}
    await client.leave()


async def test_T2_a_user_may_be_a_text(place: Place) -> None:
    """Was: one who had no ``is_authenticated`` was nobody, so each had the ticket of each."""
    client = await place.away("async", name("texts"), headers={"Cookie": "token=eva"})
    for cookie in ("token=bob", "user=ann", ""):
        other = again(client)
        other.headers = {"Cookie": cookie}
        assert await other.back() == "" and other.why == "user", cookie
        await other.leave()
    assert await client.back() == "all"
    await client.leave()


async def test_T2_a_class_names_its_principal_and_may_refuse(place: Place) -> None:
    """A return as somebody else leaves the connection alone; one who may not come back any more ends it."""
    who = name("asked")
    client = await place.away("asked", who, headers={"X-Key": "one"})
    other = again(client)
    other.headers = {"X-Key": "two"}
    assert await other.back() == "" and other.why == "user"
    assert await client.back() == "all"
    client.cut()
    await place.ask("ban", key="one")
    assert not place.notes("disconnect", who)
    assert await client.back() == "" and client.why == "refused"
    assert await place.code(who) == 1006
    for one in (client, other):
        await one.leave()


async def test_T2_only_what_was_asked_for(place: Place) -> None:
    """With ``only`` nobody else gets a consumer either."""
    who = name("only")
    client = await place.away("async", who, headers={"Cookie": "user=ann"})
    other = again(client)
    other.headers = {"Cookie": "user=bob"}
    await other.present(only=True, hear=False)
    assert await other.closed() == 4410
    assert len(place.notes("connect", who)) == 1
    assert await client.back(only=True) == "all"
    await client.leave()


async def test_T3_altered_tickets_are_refused(place: Place) -> None:
    client = await place.away("async", name("altered"))
    ticket = ticket_of(client)
    places = range(0, len(ticket), max(1, len(ticket) // 16))
    altered = [
        *(ticket[:at] + ALPHABET[ALPHABET.index(ticket[at]) ^ 1] + ticket[at + 1 :] for at in places),
        ticket[:-1] + ALPHABET[ALPHABET.index(ticket[-1]) ^ 1],  # which may decode to the same bytes
        *(ticket[:size] for size in (0, 1, 2, 21, 22, len(ticket) // 2, len(ticket) - 1)),
        ticket + "A",
        ticket * 2,
        "A" * 4096,
        "A" * 5000,
        "%00",
    ]
    for one in altered:
        other = again(client)
        assert await other.back(ticket=one) == "", one
        assert other.why == "invalid"
        await other.leave()
    assert await client.back() == "all"
    await client.leave()


@pytest.mark.parametrize("received", ["-1", "x", "", "1.5.2", "9" * 400, "0x1", "1.only.only"])
async def test_T3_a_count_that_is_none(place: Place, received: str) -> None:
    client = await place.away("async", name("count"))
    other = again(client)
    await other._open(None, [f"channels.ticket.{client.ticket}.{received}"])
    assert other.recovered == "" and other.why in ("invalid", "position")
    await other.leave()
    assert await client.back() == "all"
    await client.leave()


async def test_T3_a_position_that_was_never_reached(place: Place) -> None:
    client = await place.open("async", name("position"))
    await client.send("count 0 5")
    await client.numbers(5)
    await client.ack()
    await client.pong()
    client.cut()
    for received in (4, 6, 10**12):
        other = again(client)
        assert await other.back(received=received) == "" and other.why == "position", received
        await other.leave()
    assert await client.back() == "all"
    await client.leave()


@pytest.mark.parametrize("how", ["expired", "foreign", "unknown", "version"])
async def test_T3_expired_and_foreign_tickets(place: Place, how: str) -> None:
    client = await place.away("async", name("forged"))
    with override(SECRET_KEY=SECRET):
        ticket, _ = tickets.read(ticket_of(client))
        if how == "expired":
            ticket = ticket._replace(expires=1)
        elif how == "unknown":
            ticket = ticket._replace(connection=bytes(16))
        shown = tickets.write(ticket)
    if how == "foreign":
        with override(SECRET_KEY="another"):
            shown = tickets.write(ticket)
    if how == "version":
        raw = base64.urlsafe_b64decode(shown + "=" * (-len(shown) % 4))
        shown = base64.urlsafe_b64encode(raw[:16] + b"\xff" + raw[17:]).decode().rstrip("=")
    other = again(client)
    assert await other.back(ticket=shown) == ""
    assert other.why == {"expired": "expired", "unknown": "gone"}.get(how, "invalid")
    await other.leave()
    assert await client.back() == "all"
    await client.leave()


async def test_T4_a_ticket_says_nothing_and_is_in_no_log(tmp_path: Path) -> None:
    with placed(tmp_path, "--log-level", "trace") as place:
        who = name("secretive")
        client = await place.open("async", who, headers={"Cookie": "user=annabel"})
        shown = []
        for _ in range(3):
            shown.append(ticket_of(client))
            client.cut()
            assert await client.back() == "all"
        shown.append(ticket_of(client))
        assert await client.back(ticket=shown[0]) == "", "a refused one is no exception"
        await client.leave()
        await place.noted("disconnect", who)
        log = place.server.log()
        assert "/async/" in log and "protocol" in log.lower(), "it logs all"
        for ticket in shown:
            assert ticket not in log
            assert ticket[:24] not in log and ticket[-24:] not in log
        for ticket in shown:
            raw = base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
            for word in (b"room", b"annabel", b"async", who.encode(), b"one."):
                assert word not in raw and word not in ticket.encode(), word


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
async def test_T5_a_foreign_origin_is_refused_on_resume_as_on_connect(
    place: Place, origin: str | None
) -> None:
    who = name("origin")
    client = await place.away("async", who)
    for ticket in (None, ticket_of(client)):
        other = again(client)
        other.origin = origin
        with pytest.raises(Refused) as refused:
            await (other.open() if ticket is None else other.back())
        assert refused.value.status == 403
    assert await client.back() == "all"
    assert len(place.notes("connect", who)) == 1
    await client.leave()


async def test_T6_a_changed_key_and_its_fallback(place: Place) -> None:
    client = await place.open("async", name("keys"))
    late = await place.open("async", name("keys"))
    await place.ask("sign", key="the next key", old=SECRET)
    try:
        for _ in range(2):  # the second ticket is signed with the new key
            client.cut()
            assert await client.back() == "all"
        await place.ask("sign", key="the next key")
        client.cut()
        assert await client.back() == "all"
        late.cut()
        assert await late.back() == "" and late.why == "invalid"
        await client.leave()
        await late.leave()
    finally:
        await place.ask("sign", key=SECRET)


async def test_T6_without_a_key_tickets_are_good_in_their_own_process(tmp_path: Path) -> None:
    with placed(tmp_path, RESUME_SECRET="") as first, placed(tmp_path, RESUME_SECRET="") as second:
        client = await first.open("async", name("keyless"))
        client.cut()
        assert await client.back() == "all"
        client.cut()
        other = again(client)
        assert await other.back(to=second.server) == "" and other.why == "invalid"
        assert await client.back(to=first.server) == "all"
        for one in (client, other):
            await one.leave()
        for place in (first, second):
            place.no_failure()


def test_tickets_are_different_each_time() -> None:
    """Two of one connection, of two users, on two paths: no part is the same in all."""
    with override(SECRET_KEY=SECRET):
        made = [
            tickets.write(tickets.Ticket(bytes([number]) * 16, 0, *tickets.place_of(user, path, ""), 2**33))
            for number, (user, path) in enumerate(itertools.product(("ann", "bob"), ("/a", "/b")))
        ]
    assert len(set(made)) == 4
