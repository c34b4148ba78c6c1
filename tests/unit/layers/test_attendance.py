"""The connections of one event loop, and the people that it keeps them in, at chosen moments."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compat.exceptions import LayerUnavailable
from compat.layers.presence import attendance as attendance_module
from compat.layers.presence.attendance import Attendance
from compat.layers.presence.memory import MemoryHall, MemoryPeople
from compat.layers.presence.people import Place, Presence
from tests.support.waiting import turns, until_async


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


class Away(MemoryPeople):
    """Is not there, until it is back."""

    def __init__(self, hall: MemoryHall, attendance: Attendance) -> None:
        super().__init__(hall, attendance)
        self.is_back = False
        self.asked, self.at_once, self.most_at_once = 0, 0, 0

    async def _ask(self) -> None:
        self.asked, self.at_once = self.asked + 1, self.at_once + 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if not self.is_back:
            raise LayerUnavailable("it is away")

    async def enter(self, place: Place, meta: str, *, away: bool) -> int:
        await self._ask()
        return await super().enter(place, meta, away=away)

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        await self._ask()
        return await super().depart(place, how, last=last)


class InTurn(MemoryPeople):
    """Takes calls one after the other, each when it may, and may fail."""

    def __init__(self, hall: MemoryHall, attendance: Attendance) -> None:
        super().__init__(hall, attendance)
        self.calls: list[asyncio.Future[bool]] = []

    async def _turn(self) -> None:
        self.calls.append(asyncio.get_running_loop().create_future())
        if not await self.calls[-1]:
            raise LayerUnavailable("it is away")

    async def enter(self, place: Place, meta: str, *, away: bool) -> int:
        await self._turn()
        return await super().enter(place, meta, away=away)

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        await self._turn()
        return await super().depart(place, how, last=last)

    async def answer(self, *outcomes: bool) -> None:
        for outcome in outcomes:
            waiting = await until_async(
                lambda: [call for call in self.calls if not call.done()], "it is asked"
            )
            waiting[0].set_result(outcome)


class Refusing(Away):
    """Refuses all about one group."""

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        if place.group == "chat_x":
            raise LayerUnavailable("it is refused")
        return await super().depart(place, how, last=last)


async def tries(attendance: Any, count: int) -> None:
    """Clients try to enter, and go."""
    for number in range(count):
        attendance.attend(f"{number}", {}, f"{number}", hears=False, by_rule=False)
        with pytest.raises(LayerUnavailable):
            await attendance.enter(Place("chat_x", "ada", f"{number}"), "{}")
        attendance.end(f"{number}")
    await until_async(lambda: not attendance._tasks, "their ends are noted")


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


async def test_who_tries_to_enter_in_an_outage_costs_no_memory_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attendance_module, "MOST", 5)
    attendance = attendance_of(Away)
    await tries(attendance, 20)
    assert len(attendance._departing) == len(attendance.groups["chat_x"].channels) == 5


async def test_departures_are_repeated_in_parts_while_the_host_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attendance_module, "AT_ONCE", 5)
    attendance = attendance_of(Away)
    await tries(attendance, 20)

    async def settle(*silent: int) -> int:
        attendance.people.asked = attendance.people.most_at_once = 0
        for _ in range(2):  # the second beat finds the first still at it
            attendance.settle(lambda group: 1, silent)
        await until_async(lambda: not attendance._tasks, "they have been repeated, or not")
        assert attendance.people.most_at_once <= 5
        return int(attendance.people.asked)

    assert await settle(1) == 0, "the host is silent"
    assert await settle(0) == 5, "it does not answer: the others wait"
    attendance.people.is_back = True
    assert await settle(0) == 20
    assert not attendance._departing and not attendance.groups


async def test_departures_that_are_refused_do_not_keep_others_from_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attendance_module, "AT_ONCE", 5)
    attendance = attendance_of(Refusing)
    await tries(attendance, 5)
    attendance.people.is_back = True
    attendance.attend("one", {}, "one", hears=False, by_rule=False)
    await attendance.enter(Place("chat_y", "ada", "one"), "{}")
    attendance.people.is_back = False
    await attendance.depart("chat_y", "one", "now")
    attendance.people.is_back = True
    for _ in range(2):
        attendance.settle(lambda group: 1, ())
        await until_async(lambda: not attendance._tasks, "they have been repeated, or not")
    assert await attendance.read("chat_y") == {}
    assert len(attendance._departing) == 5


async def test_a_connection_becomes_two_other_persons_at_once() -> None:
    """The last one stays, though it comes while the first one leaves."""
    attendance = attendance_of(InTurn)
    attendance.attend("one", {}, "one", hears=False, by_rule=False)
    calls = [asyncio.create_task(attendance.enter(Place("chat_x", "ada", "one"), "{}"))]
    await attendance.people.answer(True)
    await calls[0]
    calls.append(asyncio.create_task(attendance.enter(Place("chat_x", "bob", "one"), "{}")))
    await turns()  # it waits for the departure of the first one
    calls.append(asyncio.create_task(attendance.enter(Place("chat_x", "cleo", "one"), "{}")))
    await turns()
    await attendance.people.answer(*[True] * 4)
    await asyncio.gather(*calls)
    await until_async(lambda: not attendance._tasks, "what was to be said has been")
    assert list(await attendance.read("chat_x")) == [attendance.attendees["one"].name_in("chat_x")]


@pytest.mark.parametrize("was_here", [False, True])
@pytest.mark.parametrize("outcomes", [(False, False), (False, True), (True, False)])
async def test_two_calls_of_which_some_fail(was_here: bool, outcomes: tuple[bool, bool]) -> None:
    """Who is present here is who is present there."""
    attendance = attendance_of(InTurn)
    attendance.attend("one", {}, "one", hears=False, by_rule=False)
    metas = [f'{{"n": {number}}}' for number in range(3)]
    if was_here:
        entering = asyncio.create_task(attendance.enter(Place("chat_x", "ada", "one"), metas[0]))
        await attendance.people.answer(True)
        await entering
    calls = [asyncio.create_task(attendance.enter(Place("chat_x", "ada", "one"), meta)) for meta in metas[1:]]
    await turns()
    await attendance.people.answer(*outcomes)
    await asyncio.wait(calls)
    if not was_here and not any(outcomes):
        await attendance.people.answer(True)  # its departure: perhaps it has entered
    await until_async(lambda: not attendance._tasks, "what was to be said has been")
    here = await attendance.read("chat_x")
    assert attendance.present() == len(here) == (was_here or any(outcomes))
    if here:
        assert [json.loads(attendance.attendees["one"].metas["chat_x"].meta)] == here["ada"]["metas"]


async def two_calls(attendance: Any) -> list[asyncio.Task[None]]:
    """Calls that say one after the other of the same connection, with another `n`, that it is here."""
    calls = []
    for meta in ('{"n": 1}', '{"n": 2}'):
        calls.append(asyncio.create_task(attendance.enter(Place("chat_x", "ada", "one"), meta)))
        await turns()
    return calls


async def test_a_call_that_is_cancelled_undoes_none_that_is_under_way() -> None:
    """Was: who came by the first call was taken out when the second one was cancelled."""
    attendance = attendance_of(InTurn)
    attendance.attend("one", {}, "one", hears=False, by_rule=False)
    calls = await two_calls(attendance)
    calls[1].cancel()
    await asyncio.wait(calls[1:])
    assert attendance.present() == 1
    await attendance.people.answer(True)
    await calls[0]
    assert not attendance._tasks, "nobody departs"
    assert (await attendance.read("chat_x"))["ada"]["metas"] == [{"n": 1}]


async def test_a_call_that_gives_way_to_one_that_fails_leaves_nobody() -> None:
    class Refused(Slow):
        async def enter(self, place: Place, meta: str, *, away: bool) -> int:
            raise LayerUnavailable("it is away")

    attendance = attendance_of(Refused)
    attendance.attend("one", {}, "one", hears=True, by_rule=False)
    calls = await two_calls(attendance)
    attendance.people.may_answer.set()
    first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert first is None and isinstance(second, LayerUnavailable)
    assert attendance.present() == 0
