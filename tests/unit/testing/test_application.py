"""A communicator runs an application, hands it messages, and lets its errors through."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import asgiref.testing
import pytest

from compat.testing import ApplicationCommunicator
from compat.testing.application import no_op
from compat.types import ASGIApp, Receive, Scope, Send
from tests.support.environments import package
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.waiting import until_async

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "stop":
            return
        await send({"type": "echo", "of": message})


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise LookupError("in the application")


async def speaks_then_fails(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "last words"})
    raise LookupError("in the application")


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


def talk_to(application: ASGIApp) -> ApplicationCommunicator:
    return ApplicationCommunicator(application, {"type": "test"})


async def test_messages_go_in_and_out() -> None:
    communicator = talk_to(echo)
    await communicator.send_input({"type": "a"})
    assert await communicator.receive_output() == {"type": "echo", "of": {"type": "a"}}
    await communicator.send_input({"type": "stop"})
    await communicator.wait()


def test_nothing_runs_before_it_is_needed() -> None:
    """It can be made where no loop runs, in a fixture or at module level."""
    communicator = talk_to(echo)
    assert communicator.application is echo and communicator.scope == {"type": "test"}
    communicator.stop()


async def test_it_is_asgirefs_communicator() -> None:
    communicator = talk_to(echo)
    assert isinstance(communicator, asgiref.testing.ApplicationCommunicator)
    assert not communicator.future.done()
    communicator.input_queue.put_nowait({"type": "a"})
    assert (await communicator.output_queue.get())["type"] == "echo"
    communicator.stop()


async def test_an_application_of_two_callables_is_understood() -> None:
    class Old:
        """ASGI 2, as asgiref's communicator accepts it."""

        def __init__(self, scope: Scope) -> None:
            self.scope = scope

        async def __call__(self, receive: Receive, send: Send) -> None:
            await send({"type": self.scope["type"]})

    old: Any = Old
    assert await talk_to(old).receive_output() == {"type": "test"}


async def test_context_variables_of_the_test_do_not_leak_in() -> None:
    async def report(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": VARIABLE.get()})
        VARIABLE.set("by the application")

    VARIABLE.set("by the test")
    communicator = talk_to(report)
    assert await communicator.receive_output() == {"type": "unset"}
    await communicator.wait()
    assert VARIABLE.get() == "by the test"


# Errors


async def test_an_error_is_raised_by_the_call_that_waits_for_output_without_waiting_longer() -> None:
    communicator = talk_to(fails)
    await communicator.send_input({"type": "a"})
    with pytest.raises(LookupError, match="in the application"):
        await communicator.receive_output(timeout=None)


async def test_what_was_sent_before_the_error_is_received_first() -> None:
    communicator = talk_to(speaks_then_fails)
    await communicator.send_input({"type": "a"})
    assert await communicator.receive_output(timeout=None) == {"type": "last words"}
    with pytest.raises(LookupError):
        await communicator.receive_output()


@pytest.mark.parametrize("call", ["send_input", "receive_output", "receive_nothing", "wait", "stop"])
async def test_every_call_raises_what_the_application_has_failed_with(call: str) -> None:
    communicator = talk_to(fails)
    await communicator.send_input({"type": "a"})
    await asyncio.wait([communicator.future])
    with pytest.raises(LookupError, match="in the application"):
        if call == "stop":
            communicator.stop()
        elif call == "send_input":
            await communicator.send_input({"type": "b"})
        else:
            await getattr(communicator, call)()


async def test_an_application_ends_when_the_test_drops_its_communicator() -> None:
    gc.disable()  # a circle would last until the collector comes
    try:
        communicator = talk_to(hangs)
        assert await communicator.receive_nothing(timeout=0)
        running = communicator.future
        del communicator
        await until_async(running.done, "the application has ended")
    finally:
        gc.enable()


async def test_stop_can_be_told_to_be_quiet() -> None:
    communicator = talk_to(fails)
    await communicator.send_input({"type": "a"})
    await asyncio.wait([communicator.future])
    communicator.stop(exceptions=False)


# Time


async def test_no_output_in_time_cancels_the_application() -> None:
    communicator = talk_to(hangs)
    with pytest.raises(asyncio.TimeoutError, match=r"sent no message within 0\.01 s"):
        await communicator.receive_output(timeout=0.01)
    assert communicator.future.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await communicator.send_input({"type": "a"})


AFTER_A_TIME_OUT = """
import asyncio, sys
from asgiref.testing import ApplicationCommunicator as Theirs
from compat.testing import ApplicationCommunicator as Ours, WebsocketCommunicator

async def silent(scope, receive, send):
    await receive()
    if scope["path"] == "/fails":
        raise LookupError("in the application")
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    await asyncio.Event().wait()

async def said(made):
    try:
        return repr(await made)
    except BaseException as error:
        return type(error).__name__

async def outcomes(kind, path):
    communicator = kind(silent, {"type": "test", "path": path})
    await communicator.send_input({"type": "a"})
    calls = (
        lambda: communicator.receive_output(timeout=0.01),
        lambda: communicator.send_input({"type": "b"}),
        lambda: communicator.receive_nothing(timeout=0.01),
        lambda: communicator.wait(),
        lambda: communicator.receive_output(timeout=0.01),
    )
    return [await said(call()) for call in calls]

async def main():
    for path in ("/waits", "/fails"):
        theirs, ours = await outcomes(Theirs, path), await outcomes(Ours, path)
        assert ours == theirs, (path, ours, theirs)
    client = WebsocketCommunicator(silent, "/ws/")
    await client.connect()
    print(await said(client.receive_from(timeout=0.01)), await said(client.disconnect()))

    started = Ours(silent, {"type": "test", "path": "/fails"})
    await started.send_input({"type": "a"})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert started.future.done(), "send_input() starts the application"
    started.future.exception()

    class OfAScope(WebsocketCommunicator):
        def __init__(self, scope):
            Theirs.__init__(self, silent, scope)

    assert await OfAScope({"type": "websocket", "path": "/ws/"}).connect() == (True, None)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "version, at_disconnect", [("3.8.0", "None"), ("3.9.0", "CancelledError"), (None, "CancelledError")]
)
def test_faults_projects_04_after_a_time_out_as_the_installed_asgiref(
    version: str | None, at_disconnect: str
) -> None:
    path = {"PYTHONPATH": str(package(f"asgiref=={version}"))} if version else {}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AFTER_A_TIME_OUT],
        env=child_environment(path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["TimeoutError", at_disconnect]


async def test_an_application_that_fails_when_cancelled_says_so() -> None:
    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        finally:
            raise LookupError("in its cleanup")

    with pytest.raises(LookupError, match="in its cleanup"):
        await talk_to(fails_late).receive_output(timeout=0.01)


async def test_output_of_a_task_that_the_application_left_behind_is_received() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def leaves_a_task(scope: Scope, receive: Receive, send: Send) -> None:
        async def later() -> None:
            await go.wait()
            await send({"type": "later"})

        tasks.append(asyncio.create_task(later()))

    go = asyncio.Event()
    communicator = talk_to(leaves_a_task)
    await asyncio.wait([communicator.future])
    reading = asyncio.create_task(communicator.receive_output())
    go.set()
    assert await reading == {"type": "later"}


async def test_an_application_that_has_ended_sends_nothing_more() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(asyncio.TimeoutError):
        await talk_to(silent).receive_output(timeout=0.01)


async def test_a_cancelled_reader_loses_no_message() -> None:
    communicator = talk_to(echo)
    reading = asyncio.create_task(communicator.receive_output(timeout=None))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await communicator.send_input({"type": "a"})
    assert (await communicator.receive_output())["type"] == "echo"
    communicator.stop()


async def test_waiting_for_one_that_does_not_end_cancels_it() -> None:
    communicator = talk_to(hangs)
    await communicator.wait(timeout=0.01)
    assert communicator.future.cancelled()
    await communicator.wait()


async def test_receive_nothing_takes_nothing() -> None:
    communicator = talk_to(echo)
    assert await communicator.receive_nothing(timeout=0.02)
    await communicator.send_input({"type": "a"})
    assert not await communicator.receive_nothing(timeout=5)
    assert (await communicator.receive_output())["type"] == "echo"
    communicator.stop()


def test_no_op_does_nothing() -> None:
    no_op()


# Runners

UNDER_ANYIO = """
import pytest
from compat.testing import WebsocketCommunicator

async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    raise LookupError("in the application")

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_it():
    communicator = WebsocketCommunicator(app, "/")
    assert await communicator.connect() == (True, None)
    with pytest.raises(LookupError):
        await communicator.receive_from()
"""


def test_they_work_under_anyios_plugin_too(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(UNDER_ANYIO, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
