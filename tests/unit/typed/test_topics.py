"""Topics: several conversations on one socket, each with its own handlers and its own authorization."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from compat.exceptions import ImproperlyConfigured
from compat.layers import InMemoryChannelLayer
from compat.names import require_valid_group_name
from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    Topic,
    TopicErrorReason,
    event_handler,
    ws_handler,
)
from compat.typed.wire import error_payload
from tests.unit.typed.room import Alert, Line, Note, Said, Say, Talk

LOG: list[str] = []
MAIN = """
import multiprocessing, sys
from compat.typed import Topic

class Run(Topic):
    pattern = "run:{id}"

def show():
    print(Run.group_name("run:1"), flush=True)

if __name__ == "__main__" and sys.argv[1:]:
    child = multiprocessing.get_context("spawn").Process(target=show)
    child.start()
    child.join()
elif __name__ == "__main__":
    show()
"""


class Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


class Strict(BaseMessage):
    action: Literal["say"] = "say"
    payload: Exact


class RunTopic(Topic[Alert]):
    """The course of a run."""

    pattern = "run:{run_id}"
    emits = [Note]

    async def authorize(self, run_id: str) -> bool:
        return run_id != "forbidden"

    async def on_subscribe(self) -> None:
        LOG.append(f"subscribed {self.params['run_id']}")
        await self.send_message(Note(payload=f"state of {self.topic}"))

    async def on_unsubscribe(self) -> None:
        LOG.append(f"unsubscribed {self.params['run_id']}")

    @ws_handler
    async def say(self, message: Say) -> Said:
        return Said(payload=message.payload)

    @event_handler
    async def alert(self, event: Alert) -> Said:
        return Said(payload=Line(text=event.payload))


class TeamTopic(Topic):
    pattern = "team:{team}:member:{member}"

    @ws_handler(output_type=Said)
    async def say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload), exclude_current=True)

    @ws_handler
    async def fail(self, message: Note) -> None:
        raise LookupError("secret")


class Console(AsyncJsonWebsocketConsumer):
    topics = [RunTopic, TeamTopic]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


@pytest.fixture(autouse=True)
def clean() -> None:
    LOG.clear()


async def console(consumer: Any = Console) -> Talk:
    client = Talk(consumer.as_asgi())
    await client.open()
    return client


def on(topic: str, action: str, payload: Any = None, **more: Any) -> dict[str, Any]:
    return {"action": action, "payload": payload, "version": 1, "topic": topic, **more}


async def subscribed(client: Talk, topic: str) -> None:
    assert await client.ask({"action": "subscribe", "topic": topic}) == on(topic, "subscribed")


async def test_subscribing_and_talking(layer: InMemoryChannelLayer) -> None:
    client = await console()
    assert await client.ask({"action": "subscribe", "topic": "run:1", "ref": "a"}) == on(
        "run:1", "subscribed", ref="a"
    )
    assert await client.hear() == on("run:1", "note", "state of run:1")  # news, and no answer
    line = {"text": "hi", "room_name": None}
    assert await client.ask({"action": "say", "topic": "run:1", "payload": line, "ref": "b"}) == on(
        "run:1", "said", line, ref="b"
    )
    assert await client.ask({"action": "subscribe", "topic": "run:1"}) == on("run:1", "subscribed")
    assert await client.ask({"action": "unsubscribe", "topic": "run:1"}) == on("run:1", "unsubscribed")
    assert await client.ask({"action": "unsubscribe", "topic": "run:1"}) == on("run:1", "unsubscribed")
    assert LOG == ["subscribed 1", "unsubscribed 1"]
    await client.hears_nothing()
    await client.leave()
    assert layer.groups == {}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"action": "subscribe", "topic": "walk:1"}, TopicErrorReason.UNKNOWN_TOPIC),
        ({"action": "subscribe", "topic": "run:1:2"}, TopicErrorReason.UNKNOWN_TOPIC),
        ({"action": "subscribe", "topic": "run:forbidden"}, TopicErrorReason.UNAUTHORIZED),
        ({"action": "say", "topic": "run:1", "payload": {"text": "x"}}, TopicErrorReason.NOT_SUBSCRIBED),
    ],
)
async def test_what_is_not_served_says_why(layer: InMemoryChannelLayer, frame: Any, reason: str) -> None:
    client = await console()
    answer = await client.ask({**frame, "ref": "1"})
    assert (answer["action"], answer["topic"], answer["ref"]) == ("error", frame["topic"], "1")
    assert answer["payload"]["reason"] == reason and answer["payload"]["detail"]
    assert layer.groups == {}
    await client.hears_nothing()
    await client.leave()


@pytest.mark.parametrize("frame", [{}, {"action": "subscribe"}, {"action": "say", "ref": "1"}])
async def test_a_frame_without_a_topic_is_told_the_patterns(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, frame: Any
) -> None:
    class Alone(AsyncJsonWebsocketConsumer):
        topics = [RunTopic, TeamTopic]

    client = await console(Alone)
    answer = await client.ask(frame)
    assert answer["payload"]["reason"] == TopicErrorReason.NOT_SUBSCRIBED
    assert "'run:{run_id}', 'team:{team}:member:{member}'" in answer["payload"]["detail"]
    assert answer.get("ref") == frame.get("ref")
    assert (await client.ask([1]))["payload"][0]["type"] == "dict_type"
    await client.leave()
    assert not caplog.records


async def test_errors_are_the_topics(layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    client = await console()
    await subscribed(client, "team:a:member:b")
    answer = await client.ask({"action": "sing", "topic": "team:a:member:b"})
    assert answer["topic"] == "team:a:member:b" and answer["payload"][0]["type"] == "union_tag_invalid"
    answer = await client.ask({"action": "note", "topic": "team:a:member:b"})
    assert answer["payload"]["error_id"] in caplog.text and "TeamTopic 'team:a:member:b'" in caplog.text
    await client.leave()


async def test_an_event_reaches_those_who_have_subscribed(layer: InMemoryChannelLayer) -> None:
    one, two, three = await console(), await console(), await console()
    for client, topic in ((one, "run:1"), (two, "run:1"), (three, "run:2")):
        await subscribed(client, topic)
        await client.hear()
    await RunTopic.broadcast("run:1", Alert(payload="go"), seq=7)
    expected = on("run:1", "said", {"text": "go", "room_name": None}, seq=7)
    assert await one.hear() == await two.hear() == expected
    await three.hears_nothing()
    for client in (one, two, three):
        await client.leave()
    assert LOG[-3:] == ["unsubscribed 1", "unsubscribed 1", "unsubscribed 2"]
    assert layer.groups == {}


async def test_a_broadcast_goes_to_the_topics_own_group(layer: InMemoryChannelLayer) -> None:
    one, two = await console(), await console()
    for client in (one, two):
        await subscribed(client, "team:a:member:b")
    await one.say({"action": "say", "topic": "team:a:member:b", "payload": {"text": "x"}})
    assert await two.hear() == on("team:a:member:b", "said", {"text": "x", "room_name": None})
    await one.hears_nothing()
    await one.leave()
    await two.leave()


class ActingTopic(Topic):
    """Acts by its consumer."""

    pattern = "acting"

    @ws_handler
    async def say(self, message: Say) -> None:
        said = Said(payload=message.payload)
        if message.payload.text == "join":
            await self.join_group("hall")
        elif message.payload.text == "leave":
            await self.leave_group("hall")
        elif message.payload.text == "others":
            await self.broadcast_message(said, ["hall"], exclude_current=True)
        else:
            await self.broadcast_message(said, groups="hall")

    @ws_handler
    async def note(self, message: Note) -> Note:
        if message.payload == "everybody":
            await self.broadcast_event(Alert(payload="to all"))
            await self.broadcast_event(Alert(payload="to the hall"), "hall")
            await self.send_event(Alert(payload="to one"), self.channel_name)
        return Note(payload=dict(self.url_params))


class Acting(Console):
    topics = [ActingTopic]
    groups = ["acting"]

    @event_handler
    async def alert(self, event: Alert) -> Note:
        return Note(payload=event.payload)


async def test_a_topic_acts_by_its_consumer(layer: InMemoryChannelLayer) -> None:
    def say(text: str) -> Any:
        return {"topic": "acting", "action": "say", "payload": {"text": text}}

    clients = [Talk(Acting.as_asgi()), Talk(Acting.as_asgi())]
    one, two = clients
    for client in clients:
        client.scope["url_route"] = {"args": (), "kwargs": {"room": "lobby"}}
        await client.open()
        await subscribed(client, "acting")
        await client.say(say("join"))
        await client.hears_nothing()
    await one.say(say("hello"))
    hello = {"action": "said", "payload": {"text": "hello", "room_name": None}}
    assert await one.hear() == await two.hear() == hello
    await one.say(say("others"))
    assert (await two.hear())["payload"]["text"] == "others"
    await two.say(say("leave"))
    await two.hears_nothing()

    answer = await one.ask({"topic": "acting", "action": "note", "payload": "everybody"})
    assert answer == on("acting", "note", {"room": "lobby"})
    assert [(await one.hear())["payload"] for _ in range(3)] == ["to all", "to the hall", "to one"]
    assert (await two.hear())["payload"] == "to all"
    for client in clients:
        await client.hears_nothing()
        await client.leave()


async def test_a_broadcast_of_the_consumer_reaches_no_topic(layer: InMemoryChannelLayer) -> None:
    class Lobby(Console):
        groups = ["lobby"]

        @ws_handler(output_type=Note)
        async def note(self, message: Note) -> None:
            await self.broadcast_message(message)

    inside, outside = await console(Lobby), await console()
    for client in (inside, outside):
        await subscribed(client, "team:a:member:b")
    assert await inside.ask({"action": "note", "payload": "for the lobby"}) == {
        "action": "note",
        "payload": "for the lobby",
    }
    await inside.hears_nothing()
    await outside.hears_nothing()
    await inside.leave()
    await outside.leave()
    assert layer.groups == {}


async def test_a_topic_of_another_pattern_is_an_error_for_the_sender(layer: InMemoryChannelLayer) -> None:
    with pytest.raises(ValueError, match="'walk:1' is not a topic of RunTopic"):
        await RunTopic.broadcast("walk:1", Alert(payload="x"))


async def test_a_topic_on_a_route_of_its_own(layer: InMemoryChannelLayer) -> None:
    consumer = RunTopic.as_consumer()
    assert consumer.__name__ == "RunConsumer" and consumer.__doc__ == "The course of a run."
    client = Talk(consumer.as_asgi(), "/ws/run/5/")
    client.scope["path_params"] = {"run_id": "5"}
    await client.open()
    assert await client.hear() == on("run:5", "subscribed")
    assert await client.hear() == on("run:5", "note", "state of run:5")
    line = {"text": "no envelope", "room_name": None}
    assert await client.ask({"action": "say", "payload": line, "ref": "1"}) == on(
        "run:5", "said", line, ref="1"
    )
    await RunTopic.broadcast("run:5", Alert(payload="go"))
    assert (await client.hear())["payload"]["text"] == "go"
    await client.leave()


@pytest.mark.parametrize("value", ["a:b", ":", "1\n"])
async def test_a_route_with_a_value_that_no_topic_has_is_closed(
    layer: InMemoryChannelLayer, value: str
) -> None:
    client = Talk(RunTopic.as_consumer().as_asgi(), "/ws/run/")
    client.scope["path_params"] = {"run_id": value}
    await client.open()
    assert (await client.hear())["payload"]["reason"] == TopicErrorReason.UNKNOWN_TOPIC
    assert await client.closed() == 4404
    assert layer.groups == {}


async def test_a_route_to_a_topic_that_is_not_allowed_stays_open(layer: InMemoryChannelLayer) -> None:
    """Who is allowed later may subscribe on the same connection."""
    client = Talk(RunTopic.as_consumer().as_asgi(), "/ws/run/")
    client.scope["path_params"] = {"run_id": "forbidden"}
    await client.open()
    for _ in range(2):
        assert (await client.hear())["payload"]["reason"] == TopicErrorReason.UNAUTHORIZED
        await client.say({"action": "subscribe"})
    await client.leave()


async def test_a_route_that_lacks_the_topics_parameters(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    client = Talk(RunTopic.as_consumer().as_asgi(), served=False)
    await client.connect()
    with pytest.raises(ImproperlyConfigured, match=r"RunTopic.*the route has no parameter run_id"):
        await client.receive_output()


async def test_one_topic_that_fails_to_end_keeps_no_other_from_it(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Topic):
        pattern = "bad:{name}"

        async def on_unsubscribe(self) -> None:
            raise LookupError("cannot end")

    class Both(AsyncJsonWebsocketConsumer):
        topics = [Bad, RunTopic]

    client = await console(Both)
    await subscribed(client, "bad:1")
    await subscribed(client, "run:1")
    await client.hear()
    await client.leave()
    assert LOG == ["subscribed 1", "unsubscribed 1"]
    assert "Bad 'bad:1': on_unsubscribe() failed" in caplog.text
    assert layer.groups == {}


async def test_camel_case_is_the_connections(layer: InMemoryChannelLayer) -> None:
    class Camel(Console):
        camelize = True

    client = await console(Camel)
    await subscribed(client, "run:1")
    await client.hear()
    answer = await client.ask({"action": "say", "topic": "run:1", "payload": {"text": "x", "roomName": "y"}})
    assert answer["payload"] == {"text": "x", "roomName": "y"}
    await client.leave()


def test_patterns() -> None:
    assert TeamTopic.param_names == ("team", "member")
    assert TeamTopic.parse("team:a:member:b") == {"team": "a", "member": "b"}
    assert TeamTopic.parse("team:a:member:") is None
    with pytest.raises(TypeError, match="uses a parameter twice"):
        type("Twice", (Topic,), {"pattern": "a:{x}:{x}"})
    with pytest.raises(TypeError, match="Topic has no pattern"):
        Topic.parse("x")


@pytest.mark.parametrize("text", ["\0", "\n", "\x1f", "\x7f"])
def test_a_parameter_has_no_control_characters(text: str) -> None:
    """``int("1\\n")`` is 1, so an ``authorize()`` that converts its parameter would admit it."""
    assert all(RunTopic.parse(f"run:{name}") is None for name in (text, f"1{text}", f"{text}1", f"1{text}1"))


@pytest.mark.parametrize("text", [" ", "~", "\x80", "é", "a b/c?"])
def test_a_parameter_may_have_any_other_character(text: str) -> None:
    assert RunTopic.parse(f"run:{text}") == {"run_id": text}


@pytest.mark.parametrize("name", ["run:1", "run:café", "run:" + "x" * 500, "run:a b"])
def test_groups_of_topics_are_valid_and_tell_topics_apart(name: str) -> None:
    assert require_valid_group_name(RunTopic.group_name(name))
    assert RunTopic.group_name(name) != RunTopic.group_name(name + "y")


async def test_topics_of_one_name_in_two_modules_have_groups_of_their_own(
    layer: InMemoryChannelLayer,
) -> None:
    class Private(TeamTopic):
        async def authorize(self, **params: str) -> bool:
            return params["member"] == "b"

    private: Any = type("TeamTopic", (Private,), {"__module__": "elsewhere"})
    inside, outside = await console(type("Inside", (Console,), {"topics": [private]})), await console()
    for client in (inside, outside):
        await subscribed(client, "team:a:member:b")
    await inside.say({"action": "say", "topic": "team:a:member:b", "payload": {"text": "x"}})
    await outside.hears_nothing()
    for client in (inside, outside):
        await client.leave()
    assert layer.groups == {}


@pytest.mark.parametrize(
    "program",
    [["main.py"], ["-m", "main"], ["-c", "import main; main.show()"], ["main.py", "spawn"]],
    ids=str,
)
def test_the_program_of_a_process_has_the_groups_of_its_module(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"}
    command = [sys.executable, *program]
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    expected: Any = type("Run", (Topic,), {"pattern": "run:{id}", "__module__": "main"})
    assert shown.stdout.split() == [expected.group_name("run:1")]


# What a client may cost


class Rooms(AsyncJsonWebsocketConsumer):
    topics = [RunTopic, TeamTopic]
    max_subscriptions = 2


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_faults_security_small_topics_number_of_subscriptions(
    layer: InMemoryChannelLayer, limit: int
) -> None:
    limited: Any = type("Limited", (Rooms,), {"max_subscriptions": limit})
    client = Talk(limited.as_asgi())
    await client.open()
    names = [f"team:red:member:{number}" for number in range(limit)]
    for name in names:
        await client.say({"action": "subscribe", "topic": name})
        assert (await client.hear())["action"] == "subscribed"
    for _ in range(2):  # what it has is no more
        await client.say({"action": "subscribe", "topic": names[0]})
        assert (await client.hear())["action"] == "subscribed"
    await client.say({"action": "subscribe", "topic": "team:red:member:too many"})
    refused = await client.hear()
    assert refused["payload"]["reason"] == str(TopicErrorReason.TOO_MANY)
    assert len(layer.groups) == limit
    await client.say({"action": "unsubscribe", "topic": names[0]})
    assert (await client.hear())["action"] == "unsubscribed"
    await client.say({"action": "subscribe", "topic": "team:red:member:again"})
    assert (await client.hear())["action"] == "subscribed"
    await client.leave()
    assert not layer.groups


def test_faults_security_small_topics_have_a_limit_by_default() -> None:
    assert AsyncJsonWebsocketConsumer.max_subscriptions == 100


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "say", 7])
@pytest.mark.parametrize("field", ["topic", "ref"])
async def test_faults_security_small_topics_length_of_a_name(
    layer: InMemoryChannelLayer, field: str, action: Any
) -> None:
    client = Talk(Rooms.as_asgi())
    await client.open()
    for length, fits in ((255, True), (256, False), (200_000, False)):
        content = {"action": action, "topic": "team:red:member:1", "ref": "1"}
        content[field] = content[field] + "x" * (length - len(content[field]))
        await client.say(content)
        answer = await client.hear()
        assert len(str(answer)) < 2000
        too_long = answer["action"] == "error" and "string_too_long" in str(answer["payload"])
        assert too_long is not fits
    await client.leave()


LONG = "x" * 200_000


@pytest.mark.parametrize(
    "content",
    [
        {"action": LONG},
        {"action": "say", "payload": {LONG: 1}},
        {"action": "say", "payload": LONG},
        {LONG: LONG},
        {"action": [LONG]},
        {"action": LONG, "topic": "run:1"},
        {"action": "say", "payload": {"text": [LONG] * 3}, "topic": "run:1"},
        {"action": "subscribe", "topic": LONG},
        LONG,
        [LONG],
        {"action": "say", "payload": dict.fromkeys((f"{number}{LONG}" for number in range(60)), 1)},
    ],
)
async def test_faults_security_small_typed_errors_are_short(
    layer: InMemoryChannelLayer, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Host(AsyncJsonWebsocketConsumer):
        topics = [RunTopic]

        @ws_handler
        async def strict(self, message: Strict) -> None: ...

    client = Talk(Host.as_asgi())
    await client.open()
    if isinstance(content, dict) and content.get("topic") == "run:1":
        await client.say({"action": "subscribe", "topic": "run:1"})
        await client.hear()
        await client.hear()
    await client.say(content)
    answer = await client.hear()
    assert answer["action"] == "error" and len(str(answer)) < 20_000
    assert all(len(record.getMessage()) < 2000 for record in caplog.records)
    await client.leave()


@pytest.mark.parametrize(("wrong", "listed"), [(50, 50), (51, 51), (1000, 51), (1001, 1), (20_000, 1)])
def test_faults_security_small_typed_errors_are_counted(wrong: int, listed: int) -> None:
    """A frame of 20,000 wrong parts: no object for each is made on the event loop."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(["x"] * wrong)
    payload = error_payload(caught.value)
    assert len(payload) == listed
    if wrong > 50:
        assert str(wrong if listed == 1 else wrong - 50) in payload[-1]["msg"]


async def test_handlers_of_one_topic_may_be_cancelled_in_any_order(layer: InMemoryChannelLayer) -> None:
    """Was: a KeyError, if the second had ended before the first."""

    class Slow(Topic):
        pattern = "slow:{id}"

        async def authorize(self, id: str) -> bool:
            # A cancel passes through two tasks, so that the other handler ends first.
            return await asyncio.ensure_future(nested())

    async def nested() -> bool:
        return await asyncio.ensure_future(asyncio.Event().wait())

    class Host(Console):
        topics = [Slow]
        concurrency = 4

    client = Talk(Host.as_asgi(), served=False)
    await client.open()
    for ref in "ab":
        await client.say({"action": "subscribe", "topic": "slow:1", "ref": ref})
    await client.hears_nothing()  # both are being handled
    await client.leave()
