"""Whatever is said to a room, each member gets what its own handlers would make of it, in that order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.types import Message
from tests.support.resuming import Resuming, end_links
from tests.support.servers import LiveServer

SCHEDULES = settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Room(AsyncJsonWebsocketConsumer):
    groups = ("room",)
    heard = 0

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        for event in content:
            await self.channel_layer.group_send("room", event)

    async def text_message(self, event: Message) -> None:
        await self.send(text_data=event["said"])

    async def json_message(self, event: Message) -> None:
        await self.send_json({"said": event["said"]})

    async def twice_message(self, event: Message) -> None:
        await self.send(text_data=json.dumps(event["said"]))
        await self.send(text_data="again")

    async def long_message(self, event: Message) -> None:
        if event["said"]:
            await self.send(text_data=json.dumps(event["said"] * 2))

    async def changed_message(self, event: Message) -> None:
        event["said"] = [event["said"], event.get("more")]
        await self.send_json(event["said"])

    async def own_message(self, event: Message) -> None:
        self.heard += 1
        await self.send(text_data=f"{event['said']} {self.heard}")


class Other(Room):
    async def text_message(self, event: Message) -> None:
        await self.send(text_data=f"other {event['said']}")


class Model:
    """What a member must get."""

    def __init__(self, path: str) -> None:
        self._other = path == "/other/"
        self._heard = 0

    def gets(self, event: Message) -> list[str]:
        said = event["said"]
        makes: dict[str, Callable[[], list[str]]] = {
            "text.message": lambda: [f"other {said}" if self._other else said],
            "json.message": lambda: [json.dumps({"said": said})],
            "twice.message": lambda: [json.dumps(said), "again"],
            "long.message": lambda: [json.dumps(said * 2)] if said else [],
            "changed.message": lambda: [json.dumps([said, event.get("more")])],
            "own.message": self._own(said),
            "websocket.send": lambda: [event["text"]],
        }
        return makes[event["type"]]()

    def _own(self, said: str) -> Callable[[], list[str]]:
        def make() -> list[str]:
            self._heard += 1
            return [f"{said} {self._heard}"]

        return make


class Plain:
    """A client that never comes back."""

    def __init__(self, link: ClientConnection) -> None:
        self._link = link

    @classmethod
    async def open(cls, server: LiveServer, compression: str | None) -> Plain:
        return cls(
            await connect(
                server.ws("/"),
                origin=Origin(server.origin),
                compression=compression,
                max_size=None,
                proxy=None,
            )
        )

    async def receive(self) -> str | bytes:
        return await asyncio.wait_for(self._link.recv(), 30)

    async def leave(self) -> None:
        await self._link.close()


async def application(scope: Any, receive: Any, send: Any) -> None:
    await (Other if scope["path"] == "/other/" else Room).as_asgi()(scope, receive, send)


@pytest.fixture
def server(layer: InMemoryChannelLayer) -> Iterator[LiveServer]:
    with LiveServer(application) as server:
        yield server


KINDS = ("text", "json", "twice", "long", "changed", "own")
SAID = st.sampled_from(["a", "b", "ü", "\x10", "x" * 1025, "𝄞", '"', "a"])
MORE = st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner, max_size=2), max_leaves=4)


def run(kind: str, said: list[str], more: Any) -> list[Message]:
    if kind == "frame":
        return [{"type": "websocket.send", "said": text, "text": text} for text in said]
    return [{"type": f"{kind}.message", "said": text, "more": more} for text in said]


RUNS = st.builds(run, st.sampled_from([*KINDS, "frame"]), st.lists(SAID, min_size=1, max_size=5), MORE)
STEPS: st.SearchStrategy[tuple[str, list[Message]]] = st.one_of(
    st.tuples(st.sampled_from(["say", "say one by one"]), RUNS),
    st.tuples(st.sampled_from(["ack", "read", "cut", "back"]), st.just([])),
)


@SCHEDULES
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
async def test_each_member_gets_its_own_in_order(server: LiveServer, steps: list[tuple[str, Any]]) -> None:
    sender = await Resuming(server, "/").open()
    shapes: list[dict[str, Any]] = [
        {"path": "/"},
        {"path": "/", "compression": "deflate"},
        {"path": "/other/"},
        {"path": "/other/", "acks": False},
    ]
    plain = [await Plain.open(server, compression) for compression in (None, "deflate")]
    resuming = [await Resuming(server, **shape).open() for shape in shapes]
    members: dict[Any, Model] = {member: Model("/") for member in (sender, *plain)}
    members |= {member: Model(shape["path"]) for member, shape in zip(resuming, shapes, strict=True)}
    expected: dict[Any, list[str]] = {member: [] for member in members}
    away = False
    moves = resuming[0]

    async def read() -> None:
        for member in members:
            if not (away and member is moves):
                assert [await member.receive() for _ in expected[member]] == expected[member]
                expected[member].clear()

    for step, events in [*steps, ("back", []), ("say", [{"type": "text.message", "said": "last"}])]:
        if step.startswith("say"):
            for part in [events] if step == "say" else [[event] for event in events]:
                await sender.send(json.dumps(part))
                if step != "say":
                    await sender.pong()
            for member, model in members.items():
                for event in events:
                    expected[member] += model.gets(event)
        elif step == "read":
            await read()
        elif step == "ack":
            await read()
            for member in (sender, *resuming):
                if not (away and member is moves):
                    await member.ack()
        elif step == "cut" and not away:
            moves.cut()
            away = True
        elif step == "back" and away:
            assert await moves.back() == "all"
            away = False
    await read()
    for member in members:
        await member.leave()
    await end_links()
