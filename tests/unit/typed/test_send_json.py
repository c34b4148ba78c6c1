"""What send_json() sends, and what a class that overrides it is given."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from compat.layers import InMemoryChannelLayer
from compat.typed import AsyncJsonWebsocketConsumer, BaseMessage, PingMessage, Topic, ws_handler
from tests.unit.typed.room import Note, Talk


class Line(BaseModel):
    body_text: str
    extra_data: dict[str, Any] = {}


class Said(BaseMessage):
    action: Literal["was_said"] = "was_said"
    payload: Line


WAS_SAID = {"action": "was_said", "payload": {"body_text": "x", "extra_data": {"a_key": 1}}}
CAMEL = {"action": "was_said", "payload": {"bodyText": "x", "extraData": {"a_key": 1}}}


class SideTopic(Topic):
    pattern = "side"

    @ws_handler
    async def ping(self, message: PingMessage) -> None:
        await self.send_json(WAS_SAID)

    @ws_handler(output_type=Said)
    async def note(self, message: Note) -> Said:
        return Said.model_validate(WAS_SAID)


class Raw(AsyncJsonWebsocketConsumer):
    topics = [SideTopic]

    @ws_handler
    async def ping(self, message: PingMessage) -> None:
        await self.send_json(WAS_SAID)
        await self.send_json({"action": "unknown", "some_key": 1})
        await self.send_json(["some_key"])

    @ws_handler
    async def note(self, message: Note) -> Said:
        return Said.model_validate(WAS_SAID)


class CamelRaw(Raw):
    camelize = True


async def talk(consumer: Any) -> Talk:
    client = Talk(consumer.as_asgi())
    await client.open()
    return client


@pytest.mark.parametrize(("consumer", "form"), [(Raw, WAS_SAID), (CamelRaw, CAMEL)])
@pytest.mark.parametrize("envelope", [{}, {"version": 1, "ref": "7"}])
async def test_an_object_is_an_answer_like_a_message(
    layer: InMemoryChannelLayer, consumer: Any, form: Any, envelope: dict[str, Any]
) -> None:
    client = await talk(consumer)
    assert await client.ask({"action": "ping", **envelope}) == {**form, **envelope}
    assert await client.hear() == {"action": "unknown", "some_key": 1, **envelope}
    assert await client.hear() == ["some_key"]
    await client.leave()


@pytest.mark.parametrize(("consumer", "form"), [(Raw, WAS_SAID), (CamelRaw, CAMEL)])
async def test_under_a_topic_as_well(layer: InMemoryChannelLayer, consumer: Any, form: Any) -> None:
    client = await talk(consumer)
    await client.ask({"topic": "side", "action": "subscribe"})
    ping = {"topic": "side", "action": "ping", "ref": "7"}
    assert await client.ask(ping) == {**form, "version": 1, "topic": "side", "ref": "7"}
    await client.leave()


@pytest.mark.parametrize(("base", "form"), [(Raw, WAS_SAID), (CamelRaw, CAMEL)])
async def test_an_override_is_given_pythons_names(layer: InMemoryChannelLayer, base: Any, form: Any) -> None:
    given = []

    class Seeing(base):  # type: ignore[misc]
        async def send_json(self, content: Any, close: bool | int = False) -> None:
            given.append(content)
            await super().send_json({**content, "seen_it": True}, close)

    client = await talk(Seeing)
    answer = await client.ask({"action": "note", "ref": "7"})
    assert answer == {**form, "seen_it": True, "version": 1, "ref": "7"}
    assert given == [WAS_SAID]
    await client.leave()


@pytest.mark.parametrize("camelize", [False, True])
async def test_an_override_of_a_topic_is_given_pythons_names(
    layer: InMemoryChannelLayer, camelize: bool
) -> None:
    given = []

    class SeeingTopic(SideTopic):
        async def send_json(self, content: Any, close: bool | int = False) -> None:
            given.append(content)
            await super().send_json(content, close)

    host = type("Host", (AsyncJsonWebsocketConsumer,), {"topics": [SeeingTopic], "camelize": camelize})
    client = await talk(host)
    await client.ask({"topic": "side", "action": "subscribe"})
    answer = await client.ask({"topic": "side", "action": "note", "ref": "7"})
    form = CAMEL if camelize else WAS_SAID
    assert answer == {**form, "version": 1, "topic": "side", "ref": "7"}
    assert given == [{"action": "subscribed", "payload": None}, WAS_SAID]
    await client.leave()
