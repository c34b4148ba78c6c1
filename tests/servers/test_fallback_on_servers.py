"""Requests in place of websockets, on every server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resume.place import APP, Place, name, started
from tests.servers.kinds import Kind, marked
from tests.support.fallback import Posting, Refusal


@pytest.fixture(scope="module", params=marked(()))
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def running(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with started(kind.serving(APP), tmp_path_factory.mktemp("requests"), CHANNEL_FALLBACK="1") as place:
        yield place


async def test_a_stream(place: Place, flavour: str) -> None:
    who = name("f")
    async with Posting(place.server, f"/{flavour}/?{who}") as one:
        await (await one.ask()).hello()
        await one.post("echo 1", b"two")
        assert [await one.frame() for _ in range(2)] == ["1", b"two"]
        await one.leave()
        await place.noted("parked", who)
        await place.tell(who, "echo 3")
        hello = await (await one.ask()).hello()
        assert hello["recovered"] == "all"
        assert await one.frame() == "3"
        await one.post({"type": "bye"})
        assert await place.code(who) == 1000


async def test_polls(place: Place, flavour: str) -> None:
    who = name("f")
    async with Posting(place.server, f"/{flavour}/?{who}") as one:
        await (await one.ask("poll")).rest()
        for number in range(3):
            await one.post(f"echo {number}")
            assert await one.poll(1) == [str(number)]
        await one.post("close 4321")
        await one.ask("poll", only=True)
        assert await one.rest() == []
        assert one.end[0] == 4321
    assert not place.notes("parked", who)


async def test_a_refusal(place: Place, flavour: str) -> None:
    async with Posting(place.server, f"/{flavour}/?{name('refused')}") as one:
        with pytest.raises(Refusal) as refusal:
            await one.ask()
        assert refusal.value.status == 403


async def test_a_body_that_is_too_long(place: Place, flavour: str) -> None:
    async with Posting(place.server, f"/{flavour}/?{name('f')}") as one:
        await (await one.ask()).hello()
        with pytest.raises(Refusal) as refusal:
            await one.post_raw("x" * (2 * 2**20))
        assert refusal.value.status == 413
        await one.post("echo 1")
        assert await one.frame() == "1"


async def test_a_stop(kind: Kind, flavour: str, tmp_path: Path) -> None:
    with started(kind.serving(APP), tmp_path, CHANNEL_FALLBACK="1") as place:
        async with Posting(place.server, f"/{flavour}/?{name('f')}") as one:
            await (await one.ask()).hello()
            place.server.process.send_signal(signal.SIGTERM)
            place.server.process.wait()
