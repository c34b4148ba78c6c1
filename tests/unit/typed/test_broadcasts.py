"""Broadcasts between classes of different forms, and to classes that look at what is sent."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, PingMessage, PongMessage, Topic, ws_handler
from compat.typed.events import GroupMessageEvent
from tests.unit.typed.room import Talk


class Deep(BaseModel):
    own_name: str = "n"
    free_data: dict[str, Any] = {"a_key": {"own_name": 1}}


class Text(BaseModel):
    body_text: str = "x"
    all_parts: list[Deep] = [Deep()]


class Say(BaseMessage):
    action: Literal["say_it"] = "say_it"
    payload: Text = Text()


class Undeclared(BaseMessage):
    action: Literal["undeclared_one"] = "undeclared_one"
    payload: Text = Text()


class Others(BaseMessage):
    action: Literal["to_others"] = "to_others"
    payload: None = None


class Dict(BaseMessage):
    action: Literal["a_dict"] = "a_dict"
    payload: Any = None


SNAKE = {"body_text": "x", "all_parts": [{"own_name": "n", "free_data": {"a_key": {"own_name": 1}}}]}
CAMEL = {"bodyText": "x", "allParts": [{"ownName": "n", "freeData": {"a_key": {"own_name": 1}}}]}


class SideTopic(Topic):
    pattern = "side:{side_name}"
    discriminator_field = "kind"

    @ws_handler
    async def say(self, message: Say) -> None:
        await self.broadcast_message(message)


class V1(AsyncJsonWebsocketConsumer):
    groups = ["versions"]
    topics = [SideTopic]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def say(self, message: Say) -> None:
        await self.broadcast_message(message)
        await self.broadcast_message(Undeclared())

    @ws_handler
    async def to_others(self, message: Others) -> None:
        await self.broadcast_message(Undeclared(), exclude_current=True)

    @ws_handler
    async def a_dict(self, message: Dict) -> None:
        await self.broadcast_message({"action": "say_it", "payload": SNAKE, "own_name": 1})


class V2(V1):
    camelize = True


class Marking(V1):
    """Marks what it has sent itself."""

    seen: list[GroupMessageEvent] = []

    async def handle_group_message(self, event: GroupMessageEvent) -> None:
        self.seen.append(event)
        message = event["message"]
        message["payload"]["body_text"] += "!"
        await self.send_json({**message, "mine": event["from_channel"] == self.channel_name})


class CamelMarking(Marking):
    camelize = True


class Dumping(BaseMessage):
    action: Literal["dumping"] = "dumping"
    payload: str = "x"
    hidden_field: str = "of the server"

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return {k: v for k, v in super().model_dump(**options).items() if k != "hidden_field"}


class Writing(BaseMessage):
    action: Literal["writing"] = "writing"
    payload: str = "x"
    hidden_field: str = "of the server"

    def model_dump_json(self, **options: Any) -> str:
        return super().model_dump_json(exclude={"hidden_field"}, **options)


class Both(Dumping):
    action: Literal["both"] = "both"  # type: ignore[assignment]

    def model_dump_json(self, **options: Any) -> str:
        raise NotImplementedError("model_dump() is for both")


class Showing(V1):
    """Sends a message in every way."""

    groups = ["showing"]
    passthrough_events = [Dumping, Writing, Both]
    shown: Any

    @ws_handler
    async def a_dict(self, message: Dict) -> BaseMessage:  # type: ignore[override]
        await self.send_message(self.shown())
        await self.broadcast_message(self.shown())
        await type(self).broadcast_event(self.shown())
        answer: BaseMessage = self.shown()
        return answer


async def talk(consumer: Any, *more: Any) -> list[Talk]:
    clients = []
    for one in (consumer, *more):
        clients.append(Talk(one.as_asgi()))
        await clients[-1].open()
        assert (await clients[-1].ask("{"))["action"] == "error"  # its groups are joined
    return clients


async def leave(clients: list[Talk]) -> None:
    for client in clients:
        await client.leave()


@pytest.mark.parametrize("sender", [0, 1])
@pytest.mark.parametrize("options", [{}, {"send_completion": True}, {"log_websocket_message": True}])
async def test_each_member_gets_its_own_form(
    layer: InMemoryChannelLayer, sender: int, options: dict[str, Any]
) -> None:
    members = [type(version.__name__, (version,), dict(options)) for version in (V1, V2)]
    clients = await talk(*members)
    await clients[sender].say({"action": "say_it"})
    for client, payload in zip(clients, (SNAKE, CAMEL), strict=True):
        for action in ("say_it", "undeclared_one"):
            heard = await client.hear()
            if heard["action"] == "complete":  # of the handler, which comes before what the group is sent
                heard = await client.hear()
            assert heard == {"action": action, "payload": payload}
            if options.get("send_completion"):
                assert (await client.hear())["action"] == "group_complete"
    await leave(clients)


@pytest.mark.parametrize("sender", [0, 1])
async def test_a_dict_of_a_known_message_as_well(layer: InMemoryChannelLayer, sender: int) -> None:
    clients = await talk(V1, V2)
    await clients[sender].say({"action": "a_dict"})
    assert await clients[0].hear() == {"action": "say_it", "payload": SNAKE, "own_name": 1}
    assert await clients[1].hear() == {"action": "say_it", "payload": CAMEL, "own_name": 1}
    await leave(clients)


@pytest.mark.parametrize("sender", [0, 1])
async def test_each_subscriber_of_a_topic_gets_its_own_form(layer: InMemoryChannelLayer, sender: int) -> None:
    clients = await talk(V1, V2)
    for client in clients:
        await client.ask({"topic": "side:a", "kind": "subscribe"})
    await clients[sender].say({"topic": "side:a", "kind": "say_it"})
    for client, payload in zip(clients, (SNAKE, CAMEL), strict=True):
        heard = await client.hear()
        assert (heard["topic"], heard["payload"]) == ("side:a", payload)
    await leave(clients)


async def test_members_of_one_form_get_the_senders_own_text(layer: InMemoryChannelLayer) -> None:
    for version in (V1, V2):
        clients = await talk(*[version] * 3)
        await clients[0].say({"action": "say_it"})
        texts = [await client.receive_from() for client in clients]
        assert all(text is texts[0] for text in texts)
        await leave(clients)


async def test_clients_get_the_frame_and_nothing_else(layer: InMemoryChannelLayer) -> None:
    clients = await talk(V1, V1, V2)
    await clients[0].say({"action": "to_others"})
    for client in clients[1:]:
        assert set(await client.receive_output(timeout=15)) == {"type", "text"}
    await clients[0].hears_nothing()
    await leave(clients)


async def test_a_frame_of_another_sender_stays_as_it_is(layer: InMemoryChannelLayer) -> None:
    clients = await talk(V1, V2)
    for frame in ({"text": '{"own_name": 1}'}, {"bytes": b"own"}):
        await layer.group_send("versions", {"type": "websocket.send", **frame})
        for client in clients:
            assert await client.receive_output(timeout=15) == {"type": "websocket.send", **frame}
    await leave(clients)


@pytest.mark.parametrize("sender", [V1, V2])
@pytest.mark.parametrize(("consumer", "form"), [(Marking, SNAKE), (CamelMarking, CAMEL)])
async def test_an_override_sees_pythons_names_and_the_sender(
    layer: InMemoryChannelLayer, sender: Any, consumer: Any, form: dict[str, Any]
) -> None:
    clients = await talk(sender, consumer)
    (channel, own) = layer.groups["versions"]
    for client, mine in ((clients[0], False), (clients[1], True)):
        await client.say({"action": "say_it"})
        heard = await clients[1].hear()
        (text,) = form.keys() - {"all_parts", "allParts"}
        assert heard == {"action": "say_it", "payload": {**form, text: "x!"}, "mine": mine}
        assert (await clients[1].hear())["mine"] is mine
        for _ in range(2):
            await clients[0].hear()
    assert [event["from_channel"] for event in Marking.seen] == [channel] * 2 + [own] * 2
    assert not any(event["exclude_current"] for event in Marking.seen)
    Marking.seen.clear()
    await clients[0].say({"action": "to_others"})
    await clients[1].hear()
    assert Marking.seen.pop()["exclude_current"]
    await leave(clients)


@pytest.mark.parametrize("kind", [RedisPubSubChannelLayer, RedisChannelLayer])
async def test_over_redis(redis_url: str, kind: Any) -> None:
    layer = kind(hosts=[redis_url], prefix=f"forms-{kind.__name__}")
    register_channel_layer("default", layer)
    try:
        clients = await talk(V1, V2, CamelMarking)
        await clients[0].say({"action": "say_it"})
        assert (await clients[0].hear())["payload"] == SNAKE
        assert (await clients[1].hear())["payload"] == CAMEL
        heard = await clients[2].hear()
        assert (heard["payload"], heard["mine"]) == ({**CAMEL, "bodyText": "x!"}, False)
        await clients[2].hear()
        await clients[2].say({"action": "say_it"})
        assert (await clients[2].hear())["mine"] is True
        Marking.seen.clear()
        await leave(clients)
    finally:
        await layer.close_pools()
        unregister_channel_layer("default")


async def test_from_a_process_that_runs_chanx(layer: InMemoryChannelLayer) -> None:
    clients = await talk(V1, V2, CamelMarking)
    event = {"message": {"action": "say_it", "payload": SNAKE}, "exclude_current": False}
    await layer.group_send("versions", {"type": "handle_group_message", "from_channel": "other", **event})
    assert (await clients[0].hear())["payload"] == SNAKE
    assert (await clients[1].hear())["payload"] == CAMEL
    assert (await clients[2].hear())["payload"] == {**CAMEL, "bodyText": "x!"}
    assert Marking.seen.pop()["from_channel"] == "other"
    await leave(clients)


@pytest.mark.parametrize("shown", [Dumping, Writing, Both])
@pytest.mark.parametrize("camelize", [False, True])
@pytest.mark.parametrize("envelope", [{}, {"ref": "7"}])
async def test_a_message_decides_what_is_sent_of_it(
    layer: InMemoryChannelLayer, shown: type[BaseMessage], camelize: bool, envelope: dict[str, Any]
) -> None:
    (client,) = await talk(type("Shown", (Showing,), {"shown": shown, "camelize": camelize}))
    await client.say({"action": "a_dict", **envelope})
    for _ in range(4):
        assert (await client.hear()).keys() - {"version", "ref"} == {"action", "payload"}
    await leave([client])
