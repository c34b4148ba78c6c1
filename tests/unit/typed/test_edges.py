"""Frames that nobody thought of, and models and classes of unusual shapes."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

from compat.layers import InMemoryChannelLayer
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    Topic,
    event_handler,
    ws_handler,
)
from tests.unit.typed.room import Note, Room
from tests.unit.typed.test_consumer import PONG, talk


class Talkative(Topic):
    pattern = "t:{id}"

    @ws_handler
    async def note(self, message: Note) -> Note:
        return message


class Camel(Room):
    camelize = True


class Kind(Room):
    discriminator_field = "kind"


class WithTopics(Room):
    topics = [Talkative]


class Overriding(Room):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await super().receive_json(content, **kwargs)


DEEP = "[" * 100_000 + "]" * 100_000
HOSTILE = [
    DEEP,
    '{"action":"note","payload":' + DEEP + "}",
    '{"action":"note","payload":"\\ud800"}',
    '{"action":"\\ud800"}',
    '{"action":"note","payload":' + "9" * 10_000 + "}",
    '{"action":"note","payload":1e999}',
    '{"action":"note","payload":NaN}',
    '{"action":["note"]}',
    '{"action":{"a":1}}',
    '{"action":null}',
    '{"action":"note","action":"ping"}',
    '{"action":"note","ref":5,"payload":1}',
    '{"action":"note","ref":"\\ud800","payload":1}',
    '{"action":"note","ref":{"a":[]},"payload":1}',
    '{"action":"note","topic":[],"payload":1}',
    '{"action":"note","version":"x","ref":"1"}',
    '{"action":"note","topic":"t:1"}',
    '{"topic":"t:\\ud800","action":"subscribe"}',
    '{"topic":"t:1","action":"subscribe","ref":"\\udfff"}',
    '"\\ud800"',
    "null",
    "\ufeff{}",
    '{"action":"note","payload":"\\u0000"}',
]


@pytest.mark.parametrize("consumer", [Room, Camel, Kind, WithTopics, Overriding])
@pytest.mark.parametrize("frame", HOSTILE, ids=lambda frame: frame[:40])
async def test_no_frame_ends_a_connection(layer: InMemoryChannelLayer, consumer: Any, frame: str) -> None:
    if consumer is Kind:
        frame = frame.replace('"action"', '"kind"')
    client = await talk(consumer)
    await client.say(frame)
    answer = await client.hear()
    assert isinstance(answer, dict)
    await client.say({consumer.discriminator_field: "ping"})
    pong = await client.hear()
    assert pong == {consumer.discriminator_field: "pong", "payload": None}
    await client.leave()


# Models and classes of unusual shapes


T = TypeVar("T")


class Inner(BaseModel):
    first_name: str


class Tree(BaseModel):
    node_name: str = ""
    sub_trees: list[Tree] = []
    by_key: dict[str, Inner] = {}
    both_of: tuple[Inner, int] | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tree_size(self) -> int:
        return 1 + sum(sub.tree_size for sub in self.sub_trees)


class Aliased(BaseModel):
    shown_as: str = Field(alias="shownElsewhere")


class Shape(BaseMessage, Generic[T]):
    action: Literal["shape"] = "shape"
    payload: T


async def echo(model: Any, camelize: bool, frame: Any) -> Any:
    class Echo(AsyncJsonWebsocketConsumer):
        pass

    Echo.camelize = camelize

    class Echoing(Echo):
        @ws_handler(input_type=model)
        async def shape(self, message: Any) -> Any:
            return message

    client = await talk(Echoing)
    answer = await client.ask({"action": "shape", **frame})
    await client.leave()
    return answer


async def test_nested_models_in_camel_case(layer: InMemoryChannelLayer) -> None:
    tree = {
        "nodeName": "a",
        "subTrees": [{"nodeName": "b"}],
        "byKey": {"some_key": {"firstName": "x"}},
        "bothOf": [{"firstName": "y"}, 1],
    }
    answer = await echo(Shape[Tree], True, {"payload": tree})
    assert answer["payload"] == {
        "nodeName": "a",
        "subTrees": [{"nodeName": "b", "subTrees": [], "byKey": {}, "bothOf": None, "treeSize": 1}],
        "byKey": {"some_key": {"firstName": "x"}},
        "bothOf": [{"firstName": "y"}, 1],
        "treeSize": 2,
    }


@pytest.mark.parametrize("camelize", [False, True])
async def test_an_alias_is_the_name_in_both_directions(layer: InMemoryChannelLayer, camelize: bool) -> None:
    frame = {"payload": {"shownElsewhere": "x"}}
    assert await echo(Shape[Aliased], camelize, frame) == {"action": "shape", **frame}


class Strict(BaseMessage):
    model_config = ConfigDict(extra="forbid")
    action: Literal["shape"]
    payload: int


async def test_an_event_with_an_alias_arrives(layer: InMemoryChannelLayer) -> None:
    class Hearing(AsyncJsonWebsocketConsumer):
        groups = ["hearing"]

        @event_handler
        async def shape(self, event: Shape[Aliased]) -> Note:
            return Note(payload=event.payload.shown_as)

    client = await talk(Hearing)
    await Hearing.broadcast_event(Shape[Aliased](payload=Aliased(shownElsewhere="x")))
    assert (await client.hear())["payload"] == "x"
    await client.leave()


async def test_another_discriminator_and_a_model_that_forbids_more(layer: InMemoryChannelLayer) -> None:
    class Kinds(AsyncJsonWebsocketConsumer):
        discriminator_field = "kind"

        @ws_handler
        async def shape(self, message: Strict) -> Strict:
            return message

    client = await talk(Kinds)
    assert await client.ask({"kind": "shape", "payload": 1}) == {"kind": "shape", "payload": 1}
    assert (await client.ask({"kind": "shape", "payload": 1, "more": 1}))["payload"][0][
        "type"
    ] == "extra_forbidden"
    await client.leave()


class Failing(Topic):
    pattern = "failing:{when}"

    async def authorize(self, when: str) -> bool:
        return when != "authorize" or bool(1 / 0)

    async def on_subscribe(self) -> None:
        if self.params["when"] == "subscribe":
            raise LookupError("a secret of the house")

    async def on_unsubscribe(self) -> None:
        if self.params["when"] == "unsubscribe":
            raise LookupError("a secret of the house")


@pytest.mark.parametrize("when", ["authorize", "subscribe", "unsubscribe"])
async def test_a_topic_that_fails_ends_no_connection(
    layer: InMemoryChannelLayer, when: str, caplog: Any
) -> None:
    class Console(Room):
        topics = [Failing, Talkative]

    client = await talk(Console)
    await client.ask({"topic": "t:1", "action": "subscribe"})
    frames = [await client.ask({"topic": f"failing:{when}", "action": "subscribe", "ref": "1"})]
    if when == "subscribe":
        frames.append(await client.hear())
    if when == "unsubscribe":
        frames.append(await client.ask({"topic": f"failing:{when}", "action": "unsubscribe", "ref": "2"}))
    last = frames[-1]
    assert last["topic"] == f"failing:{when}" and "secret" not in json.dumps(last)
    if when == "unsubscribe":  # it is left all the same
        assert last["action"] == "unsubscribed" and "on_unsubscribe() failed" in caplog.text
    else:
        assert last["action"] == "error" and last["payload"]["error_id"] in caplog.text
    assert (await client.ask({"topic": "t:1", "action": "note", "payload": 1}))["payload"] == 1
    assert await client.ask({"action": "ping"}) == PONG
    await client.leave()


async def test_handlers_side_by_side(layer: InMemoryChannelLayer) -> None:
    come = asyncio.Event()

    class Patient(AsyncJsonWebsocketConsumer):
        concurrency = 2

        @ws_handler
        async def note(self, message: Note) -> Note:
            await come.wait()  # for another message of the same client
            return message

        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            come.set()
            return PongMessage()

    client = await talk(Patient)
    await client.say({"action": "note", "ref": "1"})
    await client.say({"action": "ping", "ref": "2"})
    answers = [await client.hear(), await client.hear()]
    assert {(one["action"], one["ref"]) for one in answers} == {("note", "1"), ("pong", "2")}
    await client.leave()


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_subscriptions_side_by_side(limit: int, layer: InMemoryChannelLayer) -> None:
    """What changes one subscription happens in the order of the frames."""
    may_go_on = asyncio.Event()
    order: list[str] = []

    class Slow(Topic):
        pattern = "slow:{id}"

        async def authorize(self, **params: Any) -> bool:
            await may_go_on.wait()
            return True

        async def on_subscribe(self) -> None:
            order.append(f"+{self.topic}")

        async def on_unsubscribe(self) -> None:
            order.append(f"-{self.topic}")

    class Wide(Room):
        concurrency = 20
        topics = [Slow]
        max_subscriptions = limit

    client = await talk(Wide)
    for action in ("subscribe", "unsubscribe", "subscribe", "subscribe"):
        await client.say({"topic": "slow:0", "action": action})
    for number in range(1, limit + 1):
        await client.say({"topic": f"slow:{number}", "action": "subscribe"})
    assert (await client.hear())["payload"]["reason"] == "too_many_subscriptions", (
        "the others are counted while they join"
    )
    may_go_on.set()
    answers = [await client.hear() for _ in range(limit + 3)]
    assert [one["action"] for one in answers if one["topic"] == "slow:0"] == [
        *("subscribed", "unsubscribed", "subscribed", "subscribed")
    ]
    assert [one for one in order if one.endswith(":0")] == ["+slow:0", "-slow:0", "+slow:0"]
    await client.leave()
    assert not layer.groups
