"""S1-01 to S1-37 and S1-62 to S1-64: four consumers on four layers, on real Redis and in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from compat.layers import InMemoryChannelLayer, channel_layers, get_channel_layer, register_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.typed.asyncapi import document
from tests.support.clients import Client
from tests.support.servers import Server
from tests.unit.typed.room import Talk

Src = Callable[[str], Any]
Imported = Callable[[str], dict[str, Any]]

CONSUMERS = {
    "ChatConsumer": "chat",
    "ReliableChatConsumer": "queue",
    "NotificationConsumer": "notifications",
    "AnalyticsConsumer": "analytics",
}
ADDRESSES = {
    "ChatConsumer": "chat",
    "ReliableChatConsumer": "reliable",
    "NotificationConsumer": "notifications",
    "AnalyticsConsumer": "analytics",
}
CHANNELS = {
    "chat": ("Basic Chat Consumer using centralized chat layer", ["chat", "showcase"]),
    "reliable_chat": ("Reliable Chat Consumer using queue-based layer", ["chat", "reliable", "showcase"]),
    "notifications": ("Notification Consumer for real-time notifications", ["notifications", "showcase"]),
    "analytics": ("Analytics Consumer for reliable event delivery", ["analytics", "showcase"]),
}


def chat(text: str) -> dict[str, Any]:
    return {"action": "chat_notification", "payload": {"message": text}}


def reliable(text: str) -> dict[str, Any]:
    return {"action": "reliable_chat_notification", "payload": {"message": text}}


def notification(text: str, kind: str) -> dict[str, Any]:
    return {"action": "notification_broadcast", "payload": {"type": kind, "message": text}}


def analytics(event: str, data: Any = None) -> dict[str, Any]:
    return {"action": "analytics_notification", "payload": {"event": event, "data": data}}


@pytest.fixture(params=["memory", "redis"])
async def layers(request: pytest.FixtureRequest, src: Src, redis_url: str) -> AsyncIterator[None]:
    """The four aliases, each a layer of its own: in memory, and of the kinds that the seed has."""
    for alias, kind in (
        ("chat", RedisPubSubChannelLayer),
        ("queue", RedisChannelLayer),
        ("notifications", RedisPubSubChannelLayer),
        ("analytics", RedisChannelLayer),
    ):
        memory = request.param == "memory"
        layer = InMemoryChannelLayer() if memory else kind(hosts=[redis_url], prefix=f"s1-{alias}")
        register_channel_layer(alias, layer)
    yield
    for alias in CONSUMERS.values():
        layer = get_channel_layer(alias)
        if not isinstance(layer, InMemoryChannelLayer):
            await layer.close_pools()


async def talk(src: Src, name: str) -> Talk:
    client = Talk(getattr(src("apps.showcase.consumer"), name).as_asgi(), f"/{ADDRESSES[name]}")
    await client.open()
    return client


async def ended(*clients: Talk) -> None:
    for client in clients:
        await client.leave()


def test_S1_01_S1_03_S1_38_four_aliases_are_in_use_at_once(src: Src) -> None:
    assert channel_layers.aliases() == []
    src("layers").setup_layers()
    assert len(channel_layers) == 5
    consumers = src("apps.showcase.consumer")
    for name, alias in CONSUMERS.items():
        assert getattr(consumers, name).channel_layer_alias == alias
        assert get_channel_layer(alias) is not None


@pytest.mark.parametrize(
    "line",
    [
        "from chanx.core.decorators import channel, event_handler, ws_handler",
        "from fast_channels.layers.registry import channel_layers",
    ],
)
def test_S1_11_S1_38_imports(line: str, imported: Imported) -> None:
    names = imported(line)
    for name in line.partition(" import ")[2].split(", "):
        assert names[name] is not None


def test_S1_04_to_S1_09_messages(src: Src) -> None:
    messages = src("apps.showcase.messages")
    text = {"message": "x"}
    for name, payload, action in (
        ("ChatMessage", text, "chat"),
        ("ChatNotificationMessage", text, "chat_notification"),
        ("ReliableChatMessage", text, "reliable_chat"),
        ("ReliableChatNotificationMessage", text, "reliable_chat_notification"),
        ("NotificationMessage", text, "notification"),
        ("NotificationBroadcastMessage", text, "notification_broadcast"),
        ("AnalyticsMessage", {"event": "x"}, "analytics"),
        ("AnalyticsNotificationMessage", {"event": "x"}, "analytics_notification"),
        ("SystemNotify", "a bare string", "system_notify"),
        ("SystemPeriodicNotify", "a bare string", "system_periodic_notify"),
    ):
        message = getattr(messages, name).model_validate({"payload": payload})
        assert message.action == action
        with pytest.raises(ValidationError):
            getattr(messages, name).model_validate({"payload": 3})
    assert messages.NotificationPayload(message="x").type == "user"
    assert messages.AnalyticsPayload(event="x").data is None


def test_S1_12_S1_13_the_users_base_is_generic_and_works_without_a_parameter(src: Src) -> None:
    base = src("base_consumer").BaseConsumer
    consumers = src("apps.showcase.consumer")
    for name in CONSUMERS:
        assert base in getattr(consumers, name).__mro__
    events = consumers.NotificationConsumer._typed_events.tags
    assert events == ("system_notify", "system_periodic_notify")


@pytest.mark.parametrize("name", CHANNELS)
def test_S1_14_S1_15_names_tags_and_descriptions(src: Src, name: str) -> None:
    consumers = src("apps.showcase.consumer")
    made = {}
    for consumer in CONSUMERS:
        made.update(document(getattr(consumers, consumer).as_asgi())["channels"])
    description, tags = CHANNELS[name]
    assert made[name]["description"] == description
    assert [tag["name"] for tag in made[name]["tags"]] == tags


async def test_S1_02_S1_28_to_S1_34_each_talks_on_its_own_layer(layers: None, src: Src) -> None:
    clients = {name: await talk(src, name) for name in CONSUMERS}
    assert await clients["ChatConsumer"].hear() == chat("📢 Someone joined the chat")
    assert await clients["ReliableChatConsumer"].hear() == reliable(
        "🔒 Reliable chat connection established!"
    )
    assert await clients["NotificationConsumer"].hear() == notification(
        "🔔 Connected to notifications!", "system"
    )
    for name, frame, answer in (
        ("ChatConsumer", {"action": "chat", "payload": {"message": "hi"}}, chat("💬 hi")),
        (
            "ReliableChatConsumer",
            {"action": "reliable_chat", "payload": {"message": "hi"}},
            reliable("📨 hi"),
        ),
        (
            "NotificationConsumer",
            {"action": "notification", "payload": {"message": "hi"}},
            notification("🔔 Notification: hi", "user"),
        ),
        (
            "AnalyticsConsumer",
            {"action": "analytics", "payload": {"event": "hi", "data": {"a": [1, 2.5, None, True, "é"]}}},
            analytics("📊 Analytics: hi", {"a": [1, 2.5, None, True, "é"]}),
        ),
    ):
        assert await clients[name].ask(frame) == answer
        for client in clients.values():
            await client.hears_nothing()
    await ended(*clients.values())


@pytest.mark.parametrize("data", [{"a": 1}, [1, [2]], 3, 2.5, None, True, "text", {}, []])
async def test_S1_10_any_data_passes_through_a_queue_unchanged(layers: None, src: Src, data: Any) -> None:
    client = await talk(src, "AnalyticsConsumer")
    frame = {"action": "analytics", "payload": {"event": "e", "data": data}}
    assert await client.ask(frame) == analytics("📊 Analytics: e", data)
    await ended(client)


async def test_S1_16_S1_17_S1_18_S1_26_groups_of_the_class(layers: None, src: Src) -> None:
    """The group is joined before post_authentication: whoever joins hears it."""
    one = await talk(src, "ChatConsumer")
    assert await one.hear() == chat("📢 Someone joined the chat")
    two = await talk(src, "ChatConsumer")
    assert await one.hear() == await two.hear() == chat("📢 Someone joined the chat")
    await one.say({"action": "chat", "payload": {"message": "to all"}})
    assert await one.hear() == await two.hear() == chat("💬 to all")
    established = reliable("🔒 Reliable chat connection established!")
    first = await talk(src, "ReliableChatConsumer")
    assert await first.hear() == established
    second = await talk(src, "ReliableChatConsumer")
    assert await first.hear() == await second.hear() == established
    await second.say({"action": "reliable_chat", "payload": {"message": "to all"}})
    assert await first.hear() == await second.hear() == reliable("📨 to all")
    for client in (one, two, first, second):
        await client.hears_nothing()
    await ended(one, two, first, second)


async def test_S1_27_S1_30_S1_36_leaving(layers: None, src: Src) -> None:
    one = await talk(src, "ChatConsumer")
    await one.hear()
    two = await talk(src, "ChatConsumer")
    assert await one.hear() == await two.hear()
    await two.leave()
    assert await one.hear() == chat("❌ Someone left the chat.")
    first = await talk(src, "ReliableChatConsumer")
    await first.hear()
    second = await talk(src, "ReliableChatConsumer")
    assert await first.hear() == await second.hear()
    await second.leave()
    assert await first.hear() == reliable("🚪 Left reliable chat!")
    silent, gone = await talk(src, "AnalyticsConsumer"), await talk(src, "AnalyticsConsumer")
    await silent.hears_nothing()  # analytics has no text for who comes
    await gone.leave()
    for client in (one, first, silent):
        await client.hears_nothing()
    await ended(one, first, silent)


async def test_S1_20_to_S1_25_S1_35_events(layers: None, src: Src) -> None:
    consumers, messages = src("apps.showcase.consumer"), src("apps.showcase.messages")
    clients = {name: await talk(src, name) for name in CONSUMERS}
    for name in ("ChatConsumer", "ReliableChatConsumer", "NotificationConsumer"):
        await clients[name].hear()
    for name, answer in (
        ("ChatConsumer", chat("note")),
        ("ReliableChatConsumer", chat("note")),  # a message of another consumer's, sent as it is
        ("NotificationConsumer", notification("note", "system")),
        ("AnalyticsConsumer", analytics("note")),
    ):
        await getattr(consumers, name).broadcast_event(messages.SystemNotify(payload="note"))
        assert await clients[name].hear() == answer
    await consumers.NotificationConsumer.broadcast_event(messages.SystemPeriodicNotify(payload="tick"))
    assert await clients["NotificationConsumer"].hear() == notification("tick", "periodic")
    for client in clients.values():
        await client.hears_nothing()
    await ended(*clients.values())


async def test_S1_37_a_queue_keeps_order_and_reports_what_it_loses(
    src: Src, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    layer = RedisChannelLayer(hosts=[redis_url], prefix="s1-37", capacity=100)
    register_channel_layer("analytics", layer)
    consumers, messages = src("apps.showcase.consumer"), src("apps.showcase.messages")
    client = await talk(src, "AnalyticsConsumer")
    await client.hears_nothing()
    for number in range(90):
        await consumers.AnalyticsConsumer.broadcast_event(messages.SystemNotify(payload=str(number)))
    assert [(await client.hear())["payload"]["event"] for _ in range(90)] == [str(n) for n in range(90)]

    dropped = sum(layer.metrics.dropped.values())
    reader = await layer.new_channel()  # a member that reads nothing
    await layer.group_add("analytics", reader)
    with caplog.at_level(logging.WARNING):
        for number in range(150):
            await consumers.AnalyticsConsumer.broadcast_event(messages.SystemNotify(payload=str(number)))
            await client.hear()
    lost = sum(layer.metrics.dropped.values()) - dropped
    kept = 0
    while True:
        try:
            await asyncio.wait_for(layer.receive(reader), 0.3)
        except asyncio.TimeoutError:
            break
        kept += 1
    assert (kept, lost) == (100, 50)
    assert "capacity" in caplog.text
    await ended(client)
    await layer.close_pools()


async def test_S1_62_one_coroutine_sends_on_several_layers(layers: None, src: Src) -> None:
    consumers, messages = src("apps.showcase.consumer"), src("apps.showcase.messages")
    clients = {name: await talk(src, name) for name in CONSUMERS}
    for name in ("ChatConsumer", "ReliableChatConsumer", "NotificationConsumer"):
        await clients[name].hear()
    for number in range(20):
        for name in CONSUMERS:
            await getattr(consumers, name).broadcast_event(messages.SystemNotify(payload=f"{name} {number}"))
    for name, client in clients.items():
        heard = [(await client.hear())["payload"] for _ in range(20)]
        texts = [payload.get("message") or payload.get("event") for payload in heard]
        assert texts == [f"{name} {number}" for number in range(20)]
        await client.hears_nothing()
    await ended(*clients.values())


@pytest.mark.parametrize("address", ADDRESSES.values())
def test_S1_19_S1_53_ping_on_every_route(typed_server: Server, address: str) -> None:
    with Client(typed_server, f"/ws/{address}") as client:
        client.send_json({"action": "ping"})
        until_pong(client)


def until_pong(client: Client) -> None:
    """The next pong; what others cause meanwhile is read over."""
    for _ in range(50):
        if client.receive_json() == {"action": "pong", "payload": None}:
            return
    raise AssertionError("no pong")


@pytest.mark.parametrize(
    ("frame", "kind", "loc"),
    [
        ("{", "json_invalid", []),
        ('{"action": "unknown"}', "union_tag_invalid", []),
        ('{"action": "chat", "payload": {}}', "missing", ["chat", "payload", "message"]),
        ('{"payload": {"message": "x"}}', "union_tag_not_found", []),
        (b"\x00binary", "json_invalid", []),
    ],
)
def test_S1_63_S1_64_errors_are_answered_and_the_socket_stays_open(
    typed_server: Server, frame: str | bytes, kind: str, loc: list[str]
) -> None:
    with Client(typed_server, "/ws/chat") as client:
        client.send(frame)
        answer = client.receive_json()
        while answer["action"] != "error":
            answer = client.receive_json()
        (error,) = answer["payload"]
        assert (error["type"], error["loc"]) == (kind, loc)
        if kind == "union_tag_invalid":
            assert "'ping', 'chat'" in error["msg"]
        client.send_json({"action": "ping"})
        until_pong(client)
