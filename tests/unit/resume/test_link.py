"""A link against servers that a test cannot have otherwise."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from compat.engine.socket import Socket
from compat.resume.journal import Journal
from compat.resume.link import Link
from compat.types import Message


class Owner:
    """A connection that only has a journal."""

    where = "/ws/"
    over = False
    socket: Socket | None = None

    def __init__(self) -> None:
        self.journal = Journal()

    def came(self, link: Link, message: Message, size: int) -> None:
        raise AssertionError("nothing comes")

    def space(self) -> None:
        raise AssertionError("nobody reads")

    def acknowledged(self, link: Link, count: int) -> None:
        raise AssertionError("nothing is acknowledged")

    def pinged(self, link: Link) -> None:
        raise AssertionError("nobody asks")

    def watch_people(self, link: Link, members: dict[str, Any]) -> None:
        raise AssertionError("nobody is watched")

    def may_pause(self) -> bool:
        return True

    def ended(self, link: Link, code: int, *, goodbye: bool) -> None:
        pass


async def silence() -> Message:
    raise AssertionError("nobody reads")


async def refuse(message: Message) -> None:
    raise ValueError(f"close code {message['code']} is not taken")


async def test_a_close_that_the_server_refuses_and_nobody_waits_for_is_no_error_of_the_loop() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    link = Link(silence, refuse, Owner())
    closed = link.close({"type": "websocket.close", "code": 4400})
    assert isinstance(closed.exception(), ValueError)
    del closed
    Link(silence, refuse, Owner()).close({"type": "websocket.close", "code": 4400})
    gc.collect()
    assert told == []
