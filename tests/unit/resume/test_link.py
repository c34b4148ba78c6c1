"""A link against servers that a test cannot have otherwise."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import anyio
import pytest
from starlette.middleware.exceptions import ExceptionMiddleware

from compat.engine.socket import Socket
from compat.resume import link as link_module
from compat.resume.journal import Journal
from compat.resume.link import Link
from compat.types import Message
from tests.support.waiting import turns, until_async
from tests.unit.resume.sockets import connected


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
    await asyncio.wait((closed,))
    assert isinstance(closed.exception(), ValueError)
    del closed
    closing = Link(silence, refuse, Owner()).close({"type": "websocket.close", "code": 4400})
    await until_async(closing.done, "it is refused")
    del closing
    gc.collect()
    assert told == []


async def test_the_time_limit_of_a_middleware_ends_in_the_task_in_which_it_began() -> None:
    """Was: a client that read slowly lost its link, and its consumer was cancelled later."""
    reads = asyncio.Event()
    sent: list[Message] = []

    async def in_time(message: Message) -> None:
        with anyio.fail_after(60):
            await reads.wait()
            sent.append(message)

    link = Link(silence, in_time, owner := Owner())
    for text in ("one", "two"):
        assert owner.journal.add(text, 3)
    link.flush()
    await asyncio.sleep(0)
    assert link.busy is not None and not link.gone
    reads.set()
    await until_async(lambda: len(sent) == 2, "both are sent")
    assert [message["text"] for message in sent] == ["one", "two"] and not link.gone


async def test_a_link_that_ends_before_its_task_begins_leaves_nothing_unawaited() -> None:
    """Was: "send() was called without await", with the advice to write it into the application."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        link = Link(silence, send, owner := Owner())
        assert owner.journal.add("one", 3)
        link.flush()
        link.drop(4409)
        await until_async(
            lambda: [message["type"] for message in sent] == ["websocket.close"], "it is closed"
        )
        gc.collect()
    assert [str(one.message) for one in found] == []


async def test_frames_behind_starlette_leave_at_once() -> None:
    sent: list[Message] = []

    class Server:
        async def send(self, message: Message) -> None:
            sent.append(message)

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        link = Link(silence, send, owner := Owner())
        for number in range(3):
            assert owner.journal.add(str(number), 1)
        link.flush()
        assert [message["text"] for message in sent] == ["0", "1", "2"] and link.busy is None

    scope = {"type": "websocket", "headers": []}
    await ExceptionMiddleware(endpoint)(scope, silence, Server().send)


PING, SENT = '\x10{"type": "ping"}', 3 * link_module.MAX_CONTROLS


async def test_a_flood_of_control_frames_is_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: no limit of messages held for them, and each took its time of the loop."""
    monkeypatch.setattr(link_module, "CONTROLS_S", 0.05)
    connection, socket = await connected()
    for _ in range(SENT):
        socket.say(PING)
    await until_async(lambda: len(socket.controls) > SENT, "all are answered, after the hello")
    assert connection.link is not None and connection.link.heard_from > 0
    await connection.finish(1000)


async def test_only_what_a_client_need_not_say_is_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledgements of what has come are not: a client that gets much says much."""
    monkeypatch.setattr(link_module, "CONTROLS_S", 3600)
    connection, socket = await connected()
    for number in range(1, SENT + 1):
        await connection.send({"type": "websocket.send", "text": "x"})
        socket.say(f'\x10{{"type": "ack", "n": {number}}}')
        await turns(2)
    await until_async(lambda: connection.journal.acknowledged == SENT, "all has been read")
    for _ in range(SENT):
        socket.say(PING)
    await turns(3 * SENT)
    assert len([one for one in socket.controls if one["type"] == "pong"]) <= 2 * link_module.MAX_CONTROLS
    await connection.finish(1000)
