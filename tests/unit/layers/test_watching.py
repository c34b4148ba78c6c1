"""What a process knows of who is here, while changes come at any moment of its reading."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compat.exceptions import LayerUnavailable
from compat.layers.presence.people import Diff, Presence
from compat.layers.presence.watching import Watched
from tests.support.waiting import until_async


class Source:
    """A group whose readers get each next answer in ``answers``, and then, in the same turn, a change."""

    def __init__(self, *answers: tuple[Presence, Diff | None]) -> None:
        self.answers = list(answers)
        self.watched = Watched("room", asyncio.get_running_loop(), self, lambda channels, message: None)

    async def follow(self, group: str) -> None:
        pass

    def unfollow(self, group: str) -> None:
        pass

    async def read(self, group: str) -> Presence:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Presence] = loop.create_future()
        loop.call_soon(self._answer, loop, answer)
        return await answer

    def _answer(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Presence]) -> None:
        found, diff = self.answers.pop(0)
        answer.set_result(found)
        if diff is not None:
            loop.call_soon(self.watched.came, diff)


def here(*keys: str, version: int) -> Presence:
    return Presence({key: person() for key in keys}, version)


def person() -> dict[str, Any]:
    return {"metas": [{}], "away": False}


@pytest.mark.parametrize("missing", [0, 1])
async def test_a_change_that_comes_when_all_has_just_been_read(missing: int) -> None:
    version = 2 + missing
    source = Source(
        (here("ada", version=1), Diff(version, {"bob": person()}, {})),
        (here("ada", "bob", version=version), None),
    )
    await source.watched.follow()

    async def known() -> list[str]:
        return sorted(await source.watched.people())

    assert await known() in (["ada"], ["ada", "bob"])
    await until_async(lambda: source.watched._known == here("ada", "bob", version=version), "bob is known")


async def test_what_pages_are_shown_is_written_once_until_it_changes() -> None:
    """Was: a copy of all people, and their JSON, for each page that asked."""
    source = Source((here("ada", version=1), None), (here("cleo", version=2), None))
    watched, shown = source.watched, list[str]()
    for channel in ("one", "two", "one"):
        await watched.show(channel, shown.append)
    assert shown[0] is shown[1] is shown[2]
    assert json.loads(shown[0]) == {"group": "room", "people": {"ada": person()}, "version": 1}
    (await watched.people())["ada"]["metas"].clear()  # a copy
    watched.came(Diff(2, {"bob": person()}, {}))
    await watched.show("two", shown.append)
    assert json.loads(shown[3])["people"] == {"ada": person(), "bob": person()}
    watched.lost()  # and what is read again may have the version that was known
    await watched.show("two", shown.append)
    assert json.loads(shown[4]) == {"group": "room", "people": {"cleo": person()}, "version": 2}
    watched.end()


async def test_who_waits_while_the_layer_is_closed_is_told_and_not_cancelled() -> None:
    source = Source((here(version=1), None))
    waiting = asyncio.create_task(source.watched.people())
    await asyncio.sleep(0)  # it waits
    source.watched.cancel()
    with pytest.raises(LayerUnavailable, match="were closed meanwhile"):
        await waiting
