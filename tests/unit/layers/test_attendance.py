"""The connections of one event loop, and the people that it keeps them in, at chosen moments."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compat.exceptions import LayerUnavailable
from compat.layers.presence.attendance import Attendance
from compat.layers.presence.memory import MemoryHall, MemoryPeople
from compat.layers.presence.people import Place, Presence
from tests.support.waiting import until_async


class Slow(MemoryPeople):
    """Answers who is here when it may."""

    def __init__(self, hall: MemoryHall, attendance: Attendance) -> None:
        super().__init__(hall, attendance)
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def read(self, group: str) -> Presence:
        self.asked.set()
        await self.may_answer.wait()
        return await super().read(group)


class Failing(MemoryPeople):
    """Takes the first who enters, and does not say so."""

    def __init__(self, hall: MemoryHall, attendance: Attendance) -> None:
        super().__init__(hall, attendance)
        self.calls: list[str] = []

    async def enter(self, place: Place, meta: str, *, away: bool) -> int:
        self.calls.append(f"enter {place.key}")
        version = await super().enter(place, meta, away=away)
        if len(self.calls) == 1:
            raise LayerUnavailable("the answer is lost")
        return version

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        self.calls.append(f"depart {place.key}")
        return await super().depart(place, how, last=last)


class Departing(MemoryPeople):
    """Notes a departure when it may."""

    def __init__(self, hall: MemoryHall, attendance: Attendance) -> None:
        super().__init__(hall, attendance)
        self.departs, self.may_note = asyncio.Event(), asyncio.Event()

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        self.departs.set()
        await self.may_note.wait()
        return await super().depart(place, how, last=last)


def attendance_of(people: type[MemoryPeople]) -> Any:
    hall = MemoryHall()
    return Attendance(
        asyncio.get_running_loop(),
        lambda attendance: people(hall, attendance),
        lambda channels, message: None,
        lambda: "layer",
    )


async def test_a_page_that_closes_while_it_waits_ends_nothing_for_another() -> None:
    attendance = attendance_of(Slow)
    told: list[dict[str, Any]] = []
    first = asyncio.create_task(attendance.show("chat_x", "one", lambda text: None))
    await attendance.people.asked.wait()
    second = asyncio.create_task(attendance.show("chat_x", "two", lambda text: told.append(json.loads(text))))
    await asyncio.sleep(0)  # it waits, too
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    attendance.people.may_answer.set()
    end = await second
    assert told[0]["people"] == {}
    attendance.attend("three", {}, "three", hears=False, by_rule=False)
    await attendance.enter(Place("chat_x", "ada", "three"), "{}")
    await until_async(lambda: "ada" in told[-1].get("joins", {}), "the other page is told of what changes")
    await attendance.depart("chat_x", "three", "now")
    end()
    assert not attendance.groups, "nobody watches any more"


@pytest.mark.parametrize(
    ("key", "calls"),
    [
        ("ada", ["enter ada", "enter ada"]),
        ("bob", ["enter ada", "enter bob", "depart ada"]),
    ],
)
async def test_a_connection_that_enters_again_at_once_stays(key: str, calls: list[str]) -> None:
    attendance = attendance_of(Failing)
    attendance.attend("one", {}, "one", hears=False, by_rule=False)
    with pytest.raises(LayerUnavailable):
        await attendance.enter(Place("chat_x", "ada", "one"), "{}")
    await attendance.enter(Place("chat_x", key, "one"), "{}")
    await until_async(lambda: not attendance._tasks, "what was to be said has been")
    assert attendance.people.calls == calls
    assert list(await attendance.read("chat_x")) == [key]
    assert attendance.present() == 1
    attendance.end("one")
    await until_async(lambda: not attendance._tasks, "its end is noted")
    assert attendance.people.calls[-1] == f"depart {key}"


async def test_a_connection_that_ends_while_its_person_changes_is_gone() -> None:
    attendance = attendance_of(Departing)
    attendance.attend("one", {}, "one", hears=True, by_rule=False)
    await attendance.enter(Place("chat_x", "ada", "one"), "{}")
    changing = asyncio.create_task(attendance.enter(Place("chat_x", "bob", "one"), "{}"))
    await attendance.people.departs.wait()
    attendance.end("one")
    attendance.people.may_note.set()
    await changing
    await until_async(lambda: not attendance._tasks, "its end is noted")
    assert await attendance.read("chat_x") == {}
    assert not attendance.groups, "nobody hears of changes any more"
