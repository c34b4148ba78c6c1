"""The connections of one event loop, and the people that it keeps them in, at chosen moments."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

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
