"""Waiting with limits, and with others."""

from __future__ import annotations

import asyncio

import pytest

from compat.redis.waiting import SharedAnswer, shared


class Oracle:
    """Answers with the number of the question, once it ``may``."""

    def __init__(self) -> None:
        self.asked = 0
        self.may = asyncio.Event()

    async def answer(self) -> int:
        self.asked += 1
        number = self.asked
        await self.may.wait()
        return number


async def test_a_task_is_not_shared_again_when_it_has_ended() -> None:
    """Was: who came in the turn in which it ended was given it three times, and went away with nothing."""
    kept: list[asyncio.Task[None]] = []

    async def ends() -> None:
        pass

    async def comes_in_that_turn() -> None:
        (task,) = kept
        assert task.done()
        await shared(task)
        assert not kept, "who keeps it has noted its end"

    task = asyncio.get_running_loop().create_task(ends())
    kept.append(task)
    task.add_done_callback(kept.remove)
    await asyncio.get_running_loop().create_task(comes_in_that_turn())


async def test_those_who_ask_at_one_time_share_a_question() -> None:
    oracle = Oracle()
    answer = SharedAnswer(oracle.answer)
    first, second = asyncio.ensure_future(answer.get()), asyncio.ensure_future(answer.get())
    await asyncio.sleep(0)
    oracle.may.set()
    assert (await first, await second) == (1, 1)
    assert await answer.get() == 2


async def test_an_answer_is_kept_as_long_as_is_said() -> None:
    oracle = Oracle()
    oracle.may.set()
    answer = SharedAnswer(oracle.answer, kept_s=1000.0)
    assert [await answer.get() for _ in range(3)] == [1, 1, 1]


async def test_who_is_cancelled_leaves_the_answer_to_the_others() -> None:
    oracle = Oracle()
    answer = SharedAnswer(oracle.answer)
    first, second = asyncio.ensure_future(answer.get()), asyncio.ensure_future(answer.get())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    oracle.may.set()
    assert await second == 1


def test_another_event_loop_asks_for_itself() -> None:
    asked = 0

    async def number() -> int:
        nonlocal asked
        asked += 1
        return asked

    answer = SharedAnswer(number, kept_s=1000.0)
    assert [asyncio.run(answer.get()) for _ in range(2)] == [1, 2]
