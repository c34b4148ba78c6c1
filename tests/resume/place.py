"""A server of ``tests.resume.app``, what its consumers have noted, and how to talk to each kind of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.files import notes_in
from tests.support.paths import REPO
from tests.support.resuming import Resuming
from tests.support.servers import Server, served
from tests.support.waiting import until_async

__all__ = ["APP", "FLAVOURS", "SECRET", "Place", "name", "phrase", "placed", "started", "value_of"]

SECRET = "a key that only these servers have"
FLAVOURS = ("async", "sync", "asyncjson", "json", "raw", "typed", "managed", "plain")
DEADLINE_S = 30.0
APP = "tests.resume.app:app"
COMMAND = (sys.executable, "-m", "uvicorn", APP, "--port", "{port}")
QUIET = ("--log-level", "warning")
_numbers = itertools.count(1)


class Place:
    """A server that runs, and the file of its notes."""

    def __init__(self, server: Server, notes: Path) -> None:
        self.server = server
        self.path = notes
        self.seen = 0
        """How much of the server's log has been looked at."""

    def notes(self, what: str, who: str) -> list[dict[str, Any]]:
        """The notes of one kind about one client."""
        return [one for one in notes_in(self.path) if one["what"] == what and one["who"] == who]

    async def noted(self, what: str, who: str, count: int = 1) -> list[dict[str, Any]]:
        """The notes, once there are so many."""
        await until_async(
            lambda: len(self.notes(what, who)) >= count,
            f"{count} times {what} of {who}",
            deadline_s=DEADLINE_S,
        )
        return self.notes(what, who)

    async def code(self, who: str) -> int:
        """The code of the one ``disconnect()`` of a client, once it has run."""
        (note,) = await self.noted("disconnect", who)
        return int(note["code"])

    async def ask(self, page: str, **query: Any) -> Any:
        """What a page of the server answers."""
        # Certificates are not needed, and take longer to load than the whole request.
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=DEADLINE_S) as client:
            answer = await client.get(self.server.http(f"/{page}"), params=query)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}\n{self.server.log()}"
        return answer.json()

    async def tell(self, who: str, command: str) -> None:
        """Have a consumer carry out a command, whether its client is there or not."""
        await self.ask("tell", who=who, text=command)

    async def publish(self, first: int, last: int, **query: Any) -> None:
        await self.ask("publish", first=first, last=last, **query)

    async def resumable(self) -> dict[str, Any]:
        """The counters of resumable connections."""
        counters: dict[str, Any] = (await self.ask("numbers"))["resumable"]
        return counters

    async def parked(self, count: int) -> None:
        """Wait until the server has noticed that so many clients are away."""
        end = asyncio.get_running_loop().time() + DEADLINE_S
        while (now := await self.resumable())["parked"] != count:
            assert asyncio.get_running_loop().time() < end, f"{now}; {count} are to be parked"
            await asyncio.sleep(0.02)

    def client(self, flavour: str, who: str, **options: Any) -> Resuming:
        """A client that has not connected yet."""
        return Resuming(self.server, f"/{flavour}/?{who}", **options)

    async def open(self, flavour: str, who: str, **options: Any) -> Resuming:
        """A client that has connected."""
        client = await self.client(flavour, who, **options).open()
        assert client.recovered is None and client.why is None, "no ticket was offered"
        return client

    async def away(self, flavour: str, who: str, **options: Any) -> Resuming:
        """A client that has connected and whose link was cut, which its consumer knows."""
        client = await self.open(flavour, who, **options)
        client.cut()
        await self.noted("parked", who)
        return client

    def no_failure(self) -> None:
        """The server has not failed since the last look, nor has a consumer that was not told to."""
        log = self.server.log()[self.seen :]
        self.seen += len(log)
        told = len(re.findall(r"^LookupError: as \w+ was told$", log, re.MULTILINE))
        assert log.count("Traceback") == told, log
        assert "never retrieved" not in log and "was never awaited" not in log, log


def name(what: str) -> str:
    """The name of a new client, which may be that of a group."""
    return f"{what}{next(_numbers)}"


@contextmanager
def placed(folder: Path, *options: str, **env: str) -> Iterator[Place]:
    """Run uvicorn, with more options of its and more of the environment, until the block ends."""
    quiet = () if "--log-level" in options else QUIET
    with started([*COMMAND, *quiet, *options], folder, **env) as place:
        yield place


@contextmanager
def started(command: Sequence[str], folder: Path, **env: str) -> Iterator[Place]:
    """Run any server of ``APP``, with more of the environment, until the block ends."""
    number = next(_numbers)
    notes = folder / "notes"
    environment = {
        "PYTHONPATH": os.fspath(REPO),
        "RESUME_NOTES": os.fspath(notes),
        "RESUME_SECRET": SECRET,
        **env,
    }
    log = folder / f"server{number}.log"
    with served(command, cwd=REPO, log=log, env=environment) as server:
        yield Place(server, notes)


def phrase(flavour: str, command: str) -> str:
    """The frame that gives a consumer of this flavour a command."""
    if flavour in ("asyncjson", "json"):
        return json.dumps({"do": command})
    if flavour == "typed":
        return json.dumps({"action": "do", "payload": command})
    if flavour == "managed":
        return json.dumps({"type": "do", "data": command})
    return command


def value_of(frame: str | bytes) -> Any:
    """What a consumer has sent, without what its flavour has put around it, decoded if it is JSON."""
    text = frame if isinstance(frame, str) else frame.decode()
    content = json.loads(text)
    for key in ("value", "payload", "data"):
        if isinstance(content, dict) and key in content:
            content = content[key]
            return json.loads(content) if isinstance(content, str) else content
    return content
