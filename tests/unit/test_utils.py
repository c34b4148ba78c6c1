"""The helpers of ``channels.utils``."""

from __future__ import annotations

import asyncio

import pytest

from compat.utils import await_many_dispatch, name_that_thing


class Thing:
    def method(self) -> None: ...

    @classmethod
    def made(cls) -> None: ...


def test_names() -> None:
    assert name_that_thing(Thing) == f"{__name__}.Thing"
    assert name_that_thing(Thing()) == f"{__name__}.Thing"
    assert name_that_thing(Thing().method) == f"{__name__}.Thing.method"
    assert name_that_thing(Thing.made) == f"{__name__}.Thing.made"
    assert name_that_thing(test_names) == f"{__name__}.test_names"
    assert name_that_thing(5) == "builtins.int"


async def test_dispatches_what_comes_in_turn_until_dispatch_raises() -> None:
    first: asyncio.Queue[str] = asyncio.Queue()
    second: asyncio.Queue[str] = asyncio.Queue()
    for number in range(3):
        first.put_nowait(f"first {number}")
        second.put_nowait(f"second {number}")
    seen: list[str] = []

    async def dispatch(message: str) -> None:
        seen.append(message)
        if len(seen) == 6:
            raise Enough

    with pytest.raises(Enough):
        await asyncio.wait_for(await_many_dispatch([first.get, second.get], dispatch), 5)
    assert seen[:2] == ["first 0", "second 0"]
    assert sorted(seen) == sorted([*(f"first {n}" for n in range(3)), *(f"second {n}" for n in range(3))])


class Enough(Exception):
    """Ends the dispatch."""


async def test_an_error_of_one_source_ends_it_and_the_others_are_cancelled() -> None:
    cancelled = asyncio.Event()

    async def fails() -> None:
        raise ConnectionError("gone")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def dispatch(message: object) -> None:
        raise AssertionError("nothing to dispatch")

    with pytest.raises(ConnectionError, match="gone"):
        await await_many_dispatch([waits, fails], dispatch)
    assert cancelled.is_set()
