"""The transcripts that all clients share, played with the one for Python: tests/resume/transcripts.json.

Python's client has no events ``close`` and ``open`` around a connection that begins again: ``receive()`` goes
on, and ``recovered`` says it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.client import Client, Closed
from compat.client.frames import Frame
from tests.resume.false_world import FalseWorld, settle

TRANSCRIPTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "transcripts.json").read_text(encoding="utf-8")
)
STIMULI = ("accept", "server", "end", "send", "close", "wait")
WIRE = ("link", "client", "client_close")

Event = tuple[str, object]


def frame_of(said: Any) -> Frame:
    """The frame of a transcript, as it is on the wire."""
    if isinstance(said, str):
        return said
    if "base64" in said:
        return base64.b64decode(said["base64"])
    if "repeat" in said:
        return str(said["repeat"]) * int(said["count"])
    return "\x10" + json.dumps(said)


def expected_wire(kind: str, said: Any) -> object:
    return comparable(kind, frame_of(said)) if kind == "client" else said


def comparable(kind: str, what: object) -> object:
    """A control frame as its object: its text may have other spaces."""
    if kind == "client" and isinstance(what, str) and what.startswith("\x10") and what[1:2] != "\x10":
        try:
            return json.loads(what[1:])
        except ValueError:
            return what
    return what


def expected_event(step: dict[str, Any]) -> Event:
    match step["event"]:
        case "message":
            return "message", frame_of(step["data"])
        case "offline" | "close" as name:
            return name, step["code"]
        case "resumed":
            return "resumed", (step["recovered"], step["why"])
        case "unsure":
            return "unsure", [frame_of(one) for one in step["frames"]]
        case name:
            return name, None


class Player:
    """A client, and what it has done since the last stimulus."""

    def __init__(self, transcript: dict[str, Any]) -> None:
        self.world = FalseWorld()
        self.events: list[Event] = []
        self.was = "connecting"
        self.client = Client(
            "ws://example.org/",
            subprotocols=transcript.get("protocols", ()),
            only=transcript.get("only", False),
            ticket=transcript.get("ticket", ""),
            on_change=self.note,
            world=self.world,
        )

    def note(self, client: Client) -> None:
        """Translate a change into the events of a page."""
        was, self.was = self.was, client.state
        unsure = client.take_unsure()
        if unsure:
            self.events.append(("unsure", unsure))
        if client.state == "open" and was == "connecting":
            self.events.append(("open", None))
        elif client.state == "open" and client.recovered is not None:
            self.events.append(("resumed", (client.recovered, client.why)))
        elif client.state in ("away", "closed") and was != client.state:
            assert client.end is not None
            name = "offline" if client.state == "away" else "close"
            self.events.append((name, client.end.code))

    async def use(self) -> None:
        """What the user does: connect, and receive all that comes."""
        try:
            async with self.client:
                while True:
                    self.events.append(("message", await self.client.receive()))
        except Closed:
            pass

    def stimulate(self, kind: str, said: Any, reason: str) -> None:
        link = self.world.link
        match kind:
            case "accept":
                link.accept(said)
            case "server":
                link.serve(frame_of(said))
            case "end":
                link.end(said, reason)

    async def play(self, steps: list[dict[str, Any]]) -> None:
        using = asyncio.ensure_future(self.use())
        others: list[asyncio.Future[None]] = []
        await settle()
        for index, (step, expectations) in enumerate(in_parts(steps)):
            kind = next((key for key in STIMULI if key in step), "")
            said: Any = step.get(kind)
            for _ in range(step.get("times", 1)):
                if kind == "wait":
                    await self.world.wait(said)
                elif kind == "send":
                    others.append(asyncio.ensure_future(self.client.send(frame_of(said))))
                elif kind == "close":
                    others.append(asyncio.ensure_future(self.client.close(said.get("code", 1000))))
                else:
                    self.stimulate(kind, said, step.get("reason", ""))
                await settle()
            self.compare(f"part {index}, after {step}", expectations)
        for other in others:
            assert other.done() and other.exception() is None
        if self.world.link.handshake.done():
            self.world.link.end(1000)
        using.cancel()
        await asyncio.wait((using,))

    def compare(self, where: str, expectations: list[dict[str, Any]]) -> None:
        wire: list[Event] = []
        events: list[Event] = []
        for step in expectations:
            for _ in range(step.get("times", 1)):
                if "event" in step:
                    events.append(expected_event(step))
                else:
                    wire += [(kind, expected_wire(kind, step[kind])) for kind in WIRE if kind in step]
        done = [(kind, comparable(kind, what)) for kind, what in self.world.wire]
        assert done == wire, where
        assert self.events == without_the_pages_own(events), where
        self.world.wire.clear()
        self.events.clear()


def in_parts(
    steps: list[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each stimulus with what is expected after it; the first part has none."""
    stimulus: dict[str, Any] = {}
    expectations: list[dict[str, Any]] = []
    for step in steps:
        if any(key in step for key in STIMULI):
            yield stimulus, expectations
            stimulus, expectations = step, []
        else:
            expectations.append(step)
    yield stimulus, expectations


def without_the_pages_own(events: list[Event]) -> list[Event]:
    kept: list[Event] = []
    for event in events:
        if event == ("open", None) and kept and kept[-1] == ("close", 1006):
            kept.pop()
        else:
            kept.append(event)
    return kept


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=[one["name"] for one in TRANSCRIPTS])
async def test_the_client_plays_its_part(transcript: dict[str, Any]) -> None:
    if "python" in transcript and not transcript["python"]:
        pytest.skip("a transcript of what only pages have")
    await Player(transcript).play(transcript["steps"])
