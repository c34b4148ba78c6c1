"""The way in without websockets, on real servers, by requests that are made by hand."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.resume.place import FLAVOURS, SECRET, Place, name, phrase, placed, value_of
from tests.resume.test_workers import layer_of
from tests.support.choices import slow_but
from tests.support.clients import SAME_ORIGIN, Client
from tests.support.fallback import Posting, Refusal
from tests.support.resuming import MARK, number_of

PONG = {"type": "pong"}


@pytest.fixture(scope="module", params=["queue", pytest.param("pubsub", marks=pytest.mark.slow)])
def servers(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Place]]:
    """Two processes on one layer."""
    folder = tmp_path_factory.mktemp("servers")
    options = layer_of(request.param, redis_url) | {"CHANNEL_FALLBACK": "1", "RESUME_SECRET": SECRET}
    with ExitStack() as stack:
        yield [stack.enter_context(placed(folder, **options)) for _ in range(2)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("fallback"), CHANNEL_FALLBACK="1") as place:
        yield place


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    """The server that all tests share, which has not failed at their end."""
    yield running
    running.no_failure()


def client(place: Place, flavour: str, who: str, **options: Any) -> Posting:
    return Posting(place.server, f"/{flavour}/?{who}", **options)


async def refused(place: Place, status: int, **headers: str | None) -> str:
    """What the server says to a request with these headers in place of good ones."""
    good = {
        "Origin": place.server.origin,
        "Channels-Transport": "stream",
        "Channels-Protocols": "channels.resume.v1",
    }
    sent = {key: value for key, value in (good | headers).items() if value is not None}
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as http:
        answer = await http.post(place.server.http(f"/async/?{name('f')}"), headers=sent)
    assert answer.status_code == status, answer.text
    return answer.text


STREAMS, POLLS = ([(kind, flavour) for flavour in FLAVOURS] for kind in ("stream", "poll"))
KINDS = slow_but([*STREAMS, ("poll", "async"), ("poll", "sync")], [*STREAMS, *POLLS], several=True)


@pytest.mark.parametrize(("transport", "flavour"), KINDS)
async def test_every_kind_of_consumer_by_requests(place: Place, flavour: str, transport: str) -> None:
    who = name("f")
    async with client(place, flavour, who) as one:
        hello = await (await one.ask(transport)).hello()
        assert hello["have"] == 0 and "recovered" not in hello
        if transport == "poll":
            assert await one.rest() == [] and one.end == "again"
        await one.post(phrase(flavour, "echo 1"), phrase(flavour, "echo 2"))
        if transport == "poll":
            heard = [value_of(frame) for frame in await one.poll(2)]
        else:
            heard = [value_of(await one.frame()) for _ in range(2)]
        assert [str(value) for value in heard] == ["1", "2"]
        await one.post({"type": "bye"})
    assert await place.code(who) == 1000
    assert len(place.notes("connect", who)) == 1


async def test_frames_of_any_kind_arrive_as_they_were(place: Place) -> None:
    frames = ["", "zwei\r\n\nZeilen", f"{MARK}marked", "x" * 200_000, b"\x00\xff", b""]
    async with client(place, "async", name("f")) as one:
        await (await one.ask()).hello()
        for frame in frames:
            await one.post(frame if isinstance(frame, bytes) else f"echo {frame}")
            assert await one.frame() == frame


async def test_a_response_that_is_cut_is_a_link_that_is_cut(place: Place) -> None:
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask()).hello()
        await one.post("count 0 3")
        assert [await one.frame() for _ in range(3)] == ["0", "1", "2"]
        await one.leave()
        await place.noted("parked", who)
        await place.tell(who, "count 3 6")
        hello = await (await one.ask()).hello()
        assert hello["recovered"] == "all"
        assert [await one.frame() for _ in range(3)] == ["3", "4", "5"]
        await place.noted("resumed", who)


async def test_F4_from_a_websocket_to_a_stream_and_back(place: Place) -> None:
    who = name("f")
    socket = await place.open("async", who)
    await socket.send("count 0 3")
    assert [await socket.receive() for _ in range(3)] == ["0", "1", "2"]
    socket.cut()
    async with client(place, "async", who) as one:
        one.ticket, one.received = str(socket.ticket), socket.received
        hello = await (await one.ask()).hello()
        assert (hello["recovered"], hello["have"]) == ("all", 1)
        await one.post("echo 3")
        assert await one.frame() == "3"
        socket.ticket, socket.received = one.ticket, one.received
        socket.sent.append("echo 3")
    await socket.back()
    assert socket.recovered == "all"
    assert len(place.notes("connect", who)) == 1


async def test_F1_posts_and_responses_on_any_worker(servers: list[Place]) -> None:
    home, other = servers
    who = name("f")
    async with client(home, "async", who) as one:
        await (await one.ask()).hello()
        await one.to(other.server).post("hear 0", b"binary")
        await one.to(home.server).post("hear 1")
        assert await one.frame() == b"binary"
        await (await one.to(other.server).ask()).hello()
        await one.post("heard")
        assert json.loads(str(await one.frame())) == [0, 1]
        for number in range(6):
            await one.to(servers[number % 2].server).post(f"echo {number}")
            await one.to(servers[number // 2 % 2].server).ask("poll", only=True)
            assert await one.rest() == [str(number)]
        await one.to(other.server).post({"type": "bye"})
    assert await home.code(who) == 1000
    assert len(home.notes("connect", who)) == 1


async def test_a_server_that_stops_ends_its_responses(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    options = layer_of("queue", redis_url) | {"CHANNEL_FALLBACK": "1", "RESUME_SECRET": SECRET}
    folder = tmp_path_factory.mktemp("stops")
    with placed(folder, **options) as home, placed(folder, **options) as other:
        async with client(home, "async", name("f")) as here, client(home, "async", name("f")) as there:
            await (await here.ask()).hello()
            await (await there.ask()).hello()
            await (await there.to(other.server).ask()).hello()
            other.server.process.send_signal(signal.SIGTERM)
            assert await there.rest() == [] and there.end == "again"
            other.server.process.wait()
            await (await there.to(home.server).ask()).hello()
            home.server.process.send_signal(signal.SIGTERM)
            for one in (here, there):
                assert await one.rest() == []
                assert one.end[0] == 1012
                with pytest.raises((Refusal, httpx.HTTPError)):
                    await one.ask()  # as a page does, at once
            home.server.process.wait()


async def test_F3_a_post_that_comes_again_is_handled_once(place: Place) -> None:
    async with client(place, "async", name("f")) as one:
        await (await one.ask()).hello()
        await one.post("hear 0", "hear 1")
        await one.post("hear 0", "hear 1", first=0)
        await one.post("hear 1", "hear 2", first=1)
        with pytest.raises(Refusal, match="missing before") as refusal:
            await one.post("hear 9", first=9)
        assert refusal.value.status == 409
        await one.post("heard", first=3)
        assert json.loads(str(await one.frame())) == [0, 1, 2]


async def test_F3_another_site_is_refused(place: Place) -> None:
    assert "refused" in await refused(place, 403, Origin="https://evil.example")
    assert "refused" in await refused(place, 403, Origin=None)
    async with client(place, "async", name("f")) as one:
        await (await one.ask()).hello()
        one.headers["Origin"] = "https://evil.example"
        with pytest.raises(Refusal) as refusal:
            await one.post("echo 1")
        assert refusal.value.status == 403


async def test_another_user_has_no_use_of_a_ticket(place: Place) -> None:
    async with client(place, "async", name("f"), headers={"Cookie": "user=ada"}) as one:
        await (await one.ask()).hello()
        one.headers["Cookie"] = "user=bob"
        with pytest.raises(Refusal, match="user") as refusal:
            await one.post("echo 1")
        assert refusal.value.status == 410
        one.headers["Cookie"] = "user=ada"
        await one.post("echo 2")
        assert await one.frame() == "2"


async def test_requests_that_are_none(place: Place) -> None:
    assert "must offer" in await refused(place, 400, **{"Channels-Protocols": None})
    assert "must offer" in await refused(
        place, 400, **{"Channels-Transport": "send", "Channels-Protocols": "chat"}
    )
    assert "stream, poll or send" in await refused(place, 400, **{"Channels-Transport": "pigeon"})
    assert "invalid" in await refused(place, 410, **{"Channels-Transport": "send"})


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("{}", 400, "list of at most 1024 frames"),
        ("[1]", 400, "must be a string"),
        ('[["x", "y"]]', 400, "must be a string"),
        ('[["%"]]', 400, "base64"),
        ('["\\ud800"]', 400, "Unicode"),
        (b"\xff", 400, "UTF-8"),
        ("[" * 2000, 400, "list of frames"),
        ("[" * 100_000, 400, "1024"),
        (json.dumps(["x"] * 1025), 400, "1024"),
        (f"[{','.join(['[' * 900 + ']' * 900] * 500)}]", 400, "1024"),  # it took the parser 0.4 s
        (json.dumps([f"{MARK}x"]), 400, "control frame"),
        (json.dumps([MARK + json.dumps({"type": "ack", "n": -1})]), 400, "ack"),
        ("x" * (10 * 2**20), 413, "1048576 bytes"),
    ],
    ids=range(13),
)
async def test_bodies_that_are_none(place: Place, body: Any, status: int, says: str) -> None:
    async with client(place, "async", name("f")) as one:
        await (await one.ask()).hello()
        with pytest.raises(Refusal, match=says) as refusal:
            await one.post_raw(body)
        assert refusal.value.status == status
        await one.post({"type": "ping"}, "echo well")
        assert await one.frame() == "well"
        assert PONG in one.controls


async def test_a_body_of_any_length_is_refused(place: Place) -> None:
    """Chunked, so that no header gives the length away; the answer is not heard by who goes on sending."""

    async def chunks(size: int) -> Any:
        for _ in range(0, size, 65536):
            yield b"x" * 65536

    async with client(place, "async", name("f")) as one:
        await (await one.ask()).hello()
        with pytest.raises(Refusal) as refusal:
            await one.post_raw(chunks(10 * 2**20))
        assert refusal.value.status == 413
        with pytest.raises((Refusal, httpx.TransportError)):
            await one.post_raw(chunks(64 * 2**20))
        await one.post("echo well")
        assert await one.frame() == "well"


async def test_a_poll_ends_with_what_there_is_and_nobody_is_told(place: Place) -> None:
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask("poll")).rest()
        for number in range(5):
            await place.tell(who, f"echo {number}")
            await one.ask("poll", only=True)
            assert await one.rest() == [str(number)]
            assert one.end == "again"
            hello = next(frame for frame in reversed(one.controls) if frame["type"] == "hello")
            assert (hello["recovered"], hello["again"]) == ("all", True)
        await one.post("echo last")
        await (await one.ask("poll", only=True)).rest()
    assert not place.notes("parked", who) and not place.notes("resumed", who)


async def test_a_post_may_take_longer_than_polls(place: Place) -> None:
    """Its ticket was good when it began; and a request may be under way for long before it arrives."""
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask("poll")).rest()
        begun_with = one.ticket

        async def slow_body() -> AsyncIterator[bytes]:
            yield b'["hear'
            for number in range(3):
                await place.tell(who, f"echo {number}")
                assert await one.poll(1) == [str(number)]
            yield b' 7"]'

        await one.post_raw(slow_body())
        newest, one.ticket = one.ticket, begun_with
        await one.post("hear 7", "hear 8", first=0)
        one.ticket = newest
        await one.post("heard")
        assert [json.loads(frame) for frame in await one.poll(1)] == [[7, 8]]


async def test_a_client_that_was_away_makes_older_posts_void(place: Place) -> None:
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask()).hello()
        old = one.ticket
        for times in (1, 2):
            await one.leave()
            await place.noted("parked", who, times)
            assert (await (await one.ask()).hello())["recovered"] == "all"
        newest, one.ticket = one.ticket, old
        with pytest.raises(Refusal, match="used"):
            await one.post("hear 1")
        one.ticket = newest
        await one.post("heard")
        assert await one.frame() == "[]"


async def test_more_than_a_journal_holds_arrives_by_polls(place: Place) -> None:
    """The consumer waits between two polls, as it does for a link."""
    async with client(place, "async", name("f")) as one:
        await (await one.ask("poll")).rest()
        await one.post("count 0 8 100000")
        got = await one.poll(8)
        assert [number_of(frame) for frame in got] == list(range(8))


async def test_a_poll_ends_under_steady_traffic(place: Place) -> None:
    async with client(place, "async", name("f")) as one:
        await (await one.ask("poll")).rest()
        polls, got = 0, 0
        await one.post(*(f"echo {number}" for number in range(300)))
        while got < 300:
            got += len(await (await one.ask("poll", only=True)).rest())
            polls += 1
            if polls == 1:
                await one.post(*(f"echo {number}" for number in range(300, 310)))
        assert got >= 300


async def test_pings_without_an_end_fill_no_answer(place: Place) -> None:
    async with client(place, "async", name("f")) as one:
        await (await one.ask("poll")).rest()
        asked = asyncio.ensure_future(one.ask("poll", only=True))
        while not asked.done():
            await one.post(*[{"type": "ping"}] * 1000)
        assert len([frame for frame in one.controls if frame == PONG]) == 0
        await one.rest()
        assert one.end == "again"


async def test_a_websocket_that_comes_back_makes_posts_void(place: Place) -> None:
    """What was posted on the link before has been sent again by then: nothing is handled twice."""
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask()).hello()
        await one.post("hear 0")
        socket = place.client("async", who)
        socket.ticket, socket.received = one.ticket, one.received
        socket.sent.append("hear 0")
        assert await socket.back() == "all"
        with pytest.raises(Refusal, match="used") as refusal:
            await one.post("hear 1")
        assert refusal.value.status == 410
        await socket.send("heard")
        assert await socket.receive_json() == [0]


async def test_a_poll_that_comes_again_does_not_replace_a_newer_one(place: Place) -> None:
    async with client(place, "async", name("f")) as one, client(place, "async", name("f")) as copy:
        await (await one.ask("poll")).rest()
        copy.path = one.path
        copy.to(place.server)
        copy.ticket = one.ticket
        for number in range(2):
            await one.post(f"echo {number}")
            assert await one.poll(1) == [str(number)]
        await copy.ask("poll", only=True)
        await copy.rest()
        assert copy.end[0] == 4410


async def test_the_page_says_with_which_code_it_leaves(place: Place) -> None:
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask()).hello()
        await one.post({"type": "bye", "code": 3333})
    assert await place.code(who) == 3333


@pytest.mark.slow
async def test_a_client_that_does_not_ask_again_is_away(place: Place) -> None:
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask("poll")).rest()
        await place.noted("parked", who)
        hello = await (await one.ask("poll")).hello()
        assert hello["recovered"] == "all" and "again" not in hello


async def test_an_application_that_refuses_or_closes(place: Place) -> None:
    async with client(place, "async", name("refused")) as one:
        with pytest.raises(Refusal, match="refused") as refusal:
            await one.ask()
        assert refusal.value.status == 403
    async with client(place, "async", name("f")) as one:
        await (await one.ask()).hello()
        await one.post("close 4321")
        assert await one.rest() == []
        assert one.end[0] == 4321


@pytest.mark.parametrize("code", [1001, 1012, 1013])
@pytest.mark.parametrize("transport", ["stream", "poll"])
async def test_who_comes_back_after_a_close_has_a_new_connection(
    place: Place, transport: str, code: int
) -> None:
    """Was: the old one each time, which closed it again."""
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask(transport)).hello()
        await one.post(f"close {code}")
        await one.rest()
        while one.end == "again":
            await (await one.ask(transport)).rest()
        assert one.end[0] == code
        assert await place.code(who) == code
        hello = await (await one.ask(transport)).hello()
        assert (hello["recovered"], hello["why"]) == ("", "gone")
        assert len(place.notes("connect", who)) == 2


async def test_a_goodbye_ends_a_client_that_has_left_already(place: Place) -> None:
    who = name("f")
    async with client(place, "async", who) as one:
        await (await one.ask()).hello()
        await one.leave()
        await place.noted("parked", who)
        await one.post({"type": "bye"})
        assert await place.code(who) == 1000
        with pytest.raises(Refusal) as refusal:
            await one.post("echo 1")
        assert refusal.value.status == 410


async def test_a_request_without_the_header_goes_to_the_pages(place: Place) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as http:
        answer = await http.post(place.server.http("/async/"), headers={"Origin": place.server.origin})
    assert answer.status_code == 404


async def test_a_websocket_is_what_it_was(place: Place) -> None:
    with Client(place.server, f"/async/?{name('f')}", origin=SAME_ORIGIN) as plain:
        plain.send("echo 1")
        assert plain.receive() == "1"
