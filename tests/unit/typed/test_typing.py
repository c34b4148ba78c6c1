"""What mypy (strict) and pyright accept of typed consumers, and what they reject."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPO
from tests.support.processes import child_environment

PROGRAM = '''
from __future__ import annotations

from typing import Generic, Literal

from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    ReceiveEvent,
    Topic,
    channel,
    event_handler,
    ws_handler,
)
from compat.typed.client import connect
from compat.typed.testing import WebsocketCommunicator
from compat.types import WebSocketDisconnectEvent
from pydantic import BaseModel


class Payload(BaseModel):
    text: str


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: Payload


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: Payload


class Alert(BaseMessage):
    action: Literal["alert"] = "alert"
    payload: str


class Base(AsyncJsonWebsocketConsumer[ReceiveEvent], Generic[ReceiveEvent]):
    """A base class of one's own."""


@channel(name="chat", tags=["a"])
class Chat(Base[Alert]):
    groups = ["chat"]
    channel_layer_alias = "chat"

    @ws_handler
    async def ping(self, _message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(summary="Say", output_type=Said)
    async def say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload), exclude_current=True)

    @event_handler
    async def alert(self, event: Alert) -> Said | None:
        return Said(payload=Payload(text=event.payload))

    async def websocket_disconnect(self, message: WebSocketDisconnectEvent) -> None:
        await super().websocket_disconnect(message)


class Anything(Base):
    """Without a parameter: any event."""


class Run(Topic[Alert]):
    pattern = "run:{id}"

    async def authorize(self, id: str) -> bool:
        return id.isdigit()

    @ws_handler
    async def say(self, message: Say) -> Said:
        return Said(payload=message.payload)


async def accepted(chat: Chat) -> None:
    await Chat.broadcast_event(Alert(payload="x"))
    await Chat.broadcast_event(Alert(payload="x"), ["chat"])
    Chat.broadcast_event_sync(Alert(payload="x"))
    await Chat.send_event(Alert(payload="x"), "channel")
    await Anything.broadcast_event(Said(payload=Payload(text="x")))
    await chat.send_message(Said(payload=Payload(text="x")))
    pong: PongMessage = await chat.ping(PingMessage())
    await chat.send_message(pong)
    async with connect(Chat, "ws://localhost") as client:
        said: Said = await client.receive_a(Said)
        again: PongMessage = await client.request(PingMessage(), PongMessage)
        await client.send(Say(payload=said.payload))
        await client.send(again)
    communicator = WebsocketCommunicator(Chat.as_asgi(), "/", consumer=Chat)
    other: Said = await communicator.receive_message(Said)
    await communicator.send_message(other)


class NoMessage(Base):
    @ws_handler  # rejected: what it takes is no message
    async def handle(self, message: int) -> None: ...

    @ws_handler  # rejected: what it returns is no message
    async def answer(self, message: Say) -> int:
        return 1

    @ws_handler  # rejected: it is not async
    def blocking(self, message: Say) -> None: ...

    @event_handler  # rejected: what it takes is no message
    async def event(self, event: str) -> None: ...


class NoEvent(Base[int]):  # rejected: int is no message
    pass


async def rejected(chat: Chat) -> None:
    await Chat.broadcast_event(Said(payload=Payload(text="x")))  # rejected: not its event
    Chat.broadcast_event_sync(Said(payload=Payload(text="x")))  # rejected: not its event
    await Chat.send_event(Said(payload=Payload(text="x")), "channel")  # rejected: not its event
    Say(payload=3)  # rejected: the payload's type
    Say(payload="text")  # rejected: the payload's type
    Say(action="said", payload=Payload(text="x"))  # rejected: another action
    await chat.send_message("text")  # rejected: no message
    await chat.say(Said(payload=Payload(text="x")))  # rejected: another message
    wrong: Said = await chat.ping(PingMessage())  # rejected: what it returns
    await chat.send_message(wrong)
    await chat.broadcast_message(3)  # rejected: no message
'''

MARK = re.compile(r"# rejected: ")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("typing") / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def marked() -> set[int]:
    """The lines on which something is to be rejected, the one behind a decorator counting for both."""
    return {number for number, line in enumerate(PROGRAM.splitlines(), 1) if MARK.search(line)}


EXAMPLE = REPO / "examples" / "fastapi_port"
# chat/consumers.py is the Django project's file with two lines changed, and has no annotations.
CHAT = ("chat/api.py", "chat/pages.py", "chat/sockets.py")
TYPED = ("main.py", "layers.py", "protection.py", "external_sender.py", "showcase", *CHAT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "files"), [(EXAMPLE, TYPED), (EXAMPLE / "manager_chat", ("main.py", "example"))]
)
def test_the_examples(folder: Path, files: tuple[str, ...], tmp_path: Path) -> None:
    options = (
        "--strict",
        "--python-version",
        "3.10",
        "--cache-dir",
        str(tmp_path),
        "--follow-imports=silent",
    )
    found = run("mypy", *options, *files, cwd=folder)
    assert found.startswith("Success"), found
    found = run("pyright", "--outputjson", "--pythonpath", sys.executable, *files, cwd=folder)
    assert json.loads(found)["generalDiagnostics"] == [], found


def run(*command: str, cwd: Path) -> str:
    bin = Path(sys.executable).parent
    env = child_environment({"PYTHONPATH": str(REPO), "MYPYPATH": str(REPO)})
    done = subprocess.run(
        [str(bin / command[0]), *command[1:]],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def assert_exactly(found: set[int], output: str) -> None:
    """Each marked line, or one of the two after it, is rejected, and no line that is not marked."""
    wanted = marked()
    explained = {line for line in found if any(line - behind in wanted for behind in (0, 1, 2))}
    assert found == explained, f"rejected without a mark: {sorted(found - explained)}\n{output}"
    missed = {line for line in wanted if not {line, line + 1, line + 2} & found}
    assert not missed, f"accepted: {sorted(missed)}\n{output}"


def test_mypy(program: Path, tmp_path: Path) -> None:
    options = ("--strict", "--python-version", "3.10", "--cache-dir", str(tmp_path), "--no-error-summary")
    output = run("mypy", *options, "--follow-imports=silent", program.name, cwd=program.parent)
    lines = {int(line) for line in re.findall(r"^program\.py:(\d+): error:", output, re.MULTILINE)}
    assert_exactly(lines, output)


def test_pyright(program: Path) -> None:
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, program.name, cwd=program.parent)
    diagnostics = json.loads(output)["generalDiagnostics"]
    lines = {one["range"]["start"]["line"] + 1 for one in diagnostics if one["severity"] == "error"}
    assert_exactly(lines, output)
