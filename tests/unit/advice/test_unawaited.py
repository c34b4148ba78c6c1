"""A forgotten await: one ERROR record with file and line, wherever the coroutine was dropped."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compat import (
    AsyncJsonWebsocketConsumer,
    WebsocketConsumer,
    get_channel_layer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.advice.unawaited_calls import Call, unawaited_calls
from compat.layers import InMemoryChannelLayer
from compat.testing import WebsocketCommunicator
from tests.support.logs import recorded
from tests.support.paths import REPO
from tests.support.processes import child_environment

# The forgotten awaits of this file are on purpose: mypy and ruff are told so where they would notice.
# mypy: disable-error-code="unused-coroutine"
# pyright: reportUnusedCoroutine=false


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Python's own warning has a test of its own; elsewhere it would be an error of the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.fixture(autouse=True)
def layer() -> Iterator[None]:
    register_channel_layer("default", InMemoryChannelLayer())
    yield
    unregister_channel_layer("default")


class Forgetful(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await getattr(self, content)()
        await self.send_json("done")

    async def say(self) -> None:
        self.send(text_data="x")

    async def say_json(self) -> None:
        self.send_json({"a": 1})

    async def tell(self) -> None:
        self.channel_layer.group_send("room", {"type": "x"})

    async def join(self) -> None:
        self.channel_layer.group_add("room", self.channel_name)

    async def shut(self) -> None:
        self.close(4000)

    async def admit(self) -> None:
        self.accept()

    async def on_several_lines(self) -> None:
        self.channel_layer.group_send(
            "room",
            {"type": "x"},
        )

    async def its_own_method(self) -> None:
        self.say()

    async def of_the_library(self) -> None:
        asyncio.sleep(1)

    async def kept_until_the_end(self) -> None:
        kept = self.send(text_data="x")  # noqa: F841

    async def inside_a_lambda(self) -> None:
        call: Callable[[], Any] = lambda: self.send(text_data="x")  # noqa: E731
        call()

    async def awaited(self) -> None:
        later = self.send_json("later")
        await self.send_json("at once")
        await later

    async def in_a_task(self) -> None:
        task = asyncio.create_task(self.send_json("by a task"))
        await task


async def reports_of(consumer: Any, text: str) -> list[str]:
    gc.collect()  # what other tests have left
    with recorded() as records:
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        assert (await communicator.connect())[0]
        await communicator.send_to(text_data=text)
        while await communicator.receive_from(15) not in ('"done"', "done"):
            pass
        await communicator.disconnect()
        gc.collect()
    return [line for line in records.messages() if "await" in line]


def line_of(method: str, words: str) -> int:
    lines, start = inspect.getsourcelines(getattr(Forgetful, method))
    return start + next(number for number, line in enumerate(lines) if words in line)


@pytest.mark.parametrize(
    ("method", "words", "called"),
    [
        ("say", "self.send(", "AsyncWebsocketConsumer.send"),
        ("say_json", "self.send_json(", "AsyncJsonWebsocketConsumer.send_json"),
        ("tell", "self.channel_layer.group_send(", "InMemoryChannelLayer.group_send"),
        ("join", "self.channel_layer.group_add(", "InMemoryChannelLayer.group_add"),
        ("shut", "self.close(", "AsyncWebsocketConsumer.close"),
        ("admit", "self.accept(", "AsyncWebsocketConsumer.accept"),
        ("on_several_lines", "self.channel_layer.group_send(", "InMemoryChannelLayer.group_send"),
        ("its_own_method", "self.say(", "Forgetful.say"),
        ("of_the_library", "asyncio.sleep(", "sleep"),
        ("kept_until_the_end", "self.send(", "AsyncWebsocketConsumer.send"),
    ],
)
async def test_it_is_an_error_with_the_line_of_the_call(method: str, words: str, called: str) -> None:
    (report,) = await reports_of(Forgetful, f'"{method}"')
    where = f"{__name__}.Forgetful.{method} ({__file__}:{line_of(method, words)})"
    assert report == (
        f"compat.consumer ERROR {where}: {called}() was called without await, so it did nothing. "
        f"Write: await {words}...)"
    )


async def test_in_a_lambda_too() -> None:
    (report,) = await reports_of(Forgetful, '"inside_a_lambda"')
    assert f"Forgetful.inside_a_lambda ({__file__}:{line_of('inside_a_lambda', 'call()')})" in report


@pytest.mark.parametrize("method", ["awaited", "in_a_task"])
async def test_what_is_awaited_later_or_by_a_task_is_no_mistake(method: str) -> None:
    assert await reports_of(Forgetful, f'"{method}"') == []


async def test_the_same_line_is_named_once_and_not_with_every_message() -> None:
    class Loop(Forgetful):
        async def say(self) -> None:
            for _ in range(100):
                self.send(text_data="x")

    assert len(await reports_of(Loop, '"say"')) == 1
    assert await reports_of(Loop, '"say"') == []


async def test_a_sync_consumer_is_told_of_async_to_sync() -> None:
    class Plain(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.channel_layer.group_send("room", {"type": "x"})
            self.send(text_data="done")

    (report,) = await reports_of(Plain, "x")
    assert "Plain.receive" in report
    assert report.endswith("Write: async_to_sync(self.channel_layer.group_send)(...)")


async def test_a_layer_outside_of_consumers_and_in_another_thread() -> None:
    def in_a_thread() -> None:
        get_channel_layer().group_send("room", {"type": "x"})

    with recorded() as records:
        get_channel_layer().send("channel", {"type": "x"})
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join(15)
    here, there = records.messages()
    assert f"{__file__}:" in here and here.endswith("Write: await get_channel_layer().send(...)")
    assert "in_a_thread" in there and "async_to_sync(get_channel_layer().group_send)(...)" in there


async def test_other_peoples_coroutines_are_pythons_business() -> None:
    async def theirs() -> None:
        pass

    with recorded() as records:
        theirs()
    assert records.messages() == []


async def test_pythons_warning_comes_too_at_the_line_of_the_call() -> None:
    async def call(consumer: Forgetful) -> None:
        consumer.send(text_data="x")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await call(Forgetful())
    (warning,) = caught
    assert warning.category is RuntimeWarning and warning.filename == __file__
    assert str(warning.message) == "coroutine 'AsyncWebsocketConsumer.send' was never awaited"


PROGRAM = """
import asyncio, logging
from compat import AsyncWebsocketConsumer
from compat.testing import WebsocketCommunicator

logging.basicConfig()

class Chat(AsyncWebsocketConsumer):
    async def receive(self, text_data):
        self.send(text_data="lost")
        kept = self.send(text_data="lost")
        await self.send(text_data="done")

async def main():
    communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
    await communicator.connect(timeout=15)
    await communicator.send_to(text_data="x")
    assert await communicator.receive_from(15) == "done"
    await communicator.disconnect(timeout=15)

asyncio.run(main())
"""


@pytest.mark.parametrize(("options", "unraisable"), [((), 0), (("-W", "error"), 2), (("-X", "dev"), 0)])
def test_as_a_program(options: tuple[str, ...], unraisable: int, tmp_path: Any) -> None:
    """Also where warnings are errors (Python can only print them), and with asyncio's debug mode."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *options, str(program)],
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:compat.consumer:")]
    assert [f"{program}:{line})" in error for line, error in zip((10, 11), errors, strict=True)] == [True] * 2
    assert done.stderr.count("Exception ignored ") == unraisable


# The search in the source


class Mistakes(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        super().accept()
        helper()
        layer = get_channel_layer()
        layer.send("channel", {})
        await layer.send("channel", {})
        unknown: Any = object()
        unknown.send("channel", {})
        used = self.close()
        await used
        self.channel_layer.flush()

        def inside() -> None:
            layer.group_discard("room", "channel")

        inside()


async def helper() -> None:
    pass


def test_the_search_finds_what_python_would_warn_of_and_nothing_else() -> None:
    found = [call for call in unawaited_calls(Mistakes) if call.function.endswith("Mistakes.connect")]
    assert [call.fix for call in found] == [
        "await super().accept(...)",
        "await helper(...)",
        "await layer.send(...)",
        "await self.channel_layer.flush(...)",
        "async_to_sync(layer.group_discard)(...)",
    ]
    assert {call.file for call in found} == {__file__}


async def notify() -> None:
    pass


pending: Any = None


class CallableError(Exception):
    def __call__(self) -> None: ...


class Correct(AsyncJsonWebsocketConsumer):
    """Calls that only resemble those of coroutines."""

    player: Any
    rooms: Any

    async def of_another_object(self) -> None:
        self.player.send("hi")
        self.player.receive(3)
        self.rooms.group_send("room", {})

    @staticmethod
    def of_an_argument(conn: Any) -> None:
        conn.send()

    async def for_another_function(self) -> None:
        global pending
        pending = self.send("later")

    async def by_a_parameter(self, notify: Callable[[], None]) -> None:
        notify()

    async def by_a_function(self) -> None:
        def notify() -> None: ...

        notify()

    async def by_an_import(self) -> None:
        from os import getpid as notify

        notify()

    async def by_an_exception(self) -> None:
        try:
            await self.send("text")
        except CallableError as notify:
            notify()

    async def by_a_variable(self) -> None:
        notify = self.groups.copy
        notify()


def test_the_search_does_not_take_another_object_for_a_layer_or_a_coroutine() -> None:
    """Was: errors of the doctor for correct code."""
    assert unawaited_calls(Correct) == []


def test_the_search_knows_layers_by_their_names() -> None:
    class Layers(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            chat_layer = get_channel_layer("chat")
            chat_layer.group_add("room", "channel")
            get_channel_layer("chat").send("channel", {})

    assert [call.target for call in unawaited_calls(Layers)] == [
        "chat_layer.group_add",
        "get_channel_layer('chat').send",
    ]


def test_the_search_goes_through_base_classes_and_stops_at_ours() -> None:
    class Derived(Mistakes):
        pass

    assert unawaited_calls(Derived) == unawaited_calls(Mistakes) != []
    assert unawaited_calls(AsyncJsonWebsocketConsumer) == []


def test_a_class_without_source_has_none() -> None:
    names: dict[str, Any] = {}
    exec("\nclass Typed:\n    async def f(self):\n        self.f()\n", names)
    assert unawaited_calls(names["Typed"]) == []


def test_a_class_whose_file_was_replaced_has_none(tmp_path: Path) -> None:
    """Was: a TokenError, if its line is in a string of the new file that goes over several."""
    file = tmp_path / "replaced.py"
    file.write_text("class Typed:\n    async def f(self):\n        self.f()\n")
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(file.read_text(), str(file), "exec"), names)
    file.write_text('"""Two lines, and\ndef f(self): what is one in a text\n"""\n')
    assert unawaited_calls(names["Typed"]) == []


def test_a_call_knows_its_name() -> None:
    assert Call("file", 1, "f", "self.channel_layer.group_send", True, False).name == "group_send"
