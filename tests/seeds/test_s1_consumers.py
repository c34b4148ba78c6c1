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
from compat.typed import event_handler
from compat.typed.asyncapi import document
from tests.seeds.test_s0_room import has_members
from tests.support.clients import Client
from tests.support.servers import Server
from tests.support.waiting import until_async
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
CHANNEL_OF = {
    "ReliableChatConsumer": "reliable_chat",
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


async def settled(client: Talk) -> None:
    """Read over what has come so far."""
    await client.say({"action": "ping"})
    while (await client.hear())["action"] != "pong":
        pass


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


MESSAGES = [
    ("S1_04", "ChatMessage", {"message": "x"}, "chat"),
    ("S1_04b", "ChatNotificationMessage", {"message": "x"}, "chat_notification"),
    ("S1_05", "ReliableChatMessage", {"message": "x"}, "reliable_chat"),
    ("S1_05b", "ReliableChatNotificationMessage", {"message": "x"}, "reliable_chat_notification"),
    ("S1_06", "NotificationMessage", {"message": "x", "type": "user"}, "notification"),
    ("S1_06b", "NotificationBroadcastMessage", {"message": "x", "type": "user"}, "notification_broadcast"),
    ("S1_07", "AnalyticsMessage", {"event": "x", "data": None}, "analytics"),
    ("S1_07b", "AnalyticsNotificationMessage", {"event": "x", "data": None}, "analytics_notification"),
    ("S1_08", "SystemNotify", "a bare string", "system_notify"),
    ("S1_09", "SystemPeriodicNotify", "a bare string", "system_periodic_notify"),
]
"""Row, class, payload with its defaults, action."""


@pytest.mark.parametrize(
    ("name", "payload", "action"), [pytest.param(*rest, id=row) for row, *rest in MESSAGES]
)
def test_S1_04_S1_05_S1_06_S1_07_S1_08_S1_09_messages(src: Src, name: str, payload: Any, action: str) -> None:
    kind = getattr(src("apps.showcase.messages"), name)
    message = kind.model_validate({"payload": payload})
    assert message.model_dump() == {"action": action, "payload": payload}
    for wrong in (3, None, {"message": 3, "event": 3}):
        with pytest.raises(ValidationError):
            kind.model_validate({"payload": wrong})
    with pytest.raises(ValidationError):
        kind.model_validate({"action": "another", "payload": payload})


def test_S1_06_a_notification_is_of_a_user_unless_it_says_otherwise(src: Src) -> None:
    assert src("apps.showcase.messages").NotificationPayload(message="x").type == "user"


def test_S1_07_an_event_may_have_no_data(src: Src) -> None:
    assert src("apps.showcase.messages").AnalyticsPayload(event="x").data is None


def test_S1_12_S1_13_the_users_base_is_generic_and_works_without_a_parameter(src: Src) -> None:
    base = src("base_consumer").BaseConsumer
    consumers = src("apps.showcase.consumer")
    for name in CONSUMERS:
        assert base in getattr(consumers, name).__mro__
    events = consumers.NotificationConsumer._compat_events.tags
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


DATA = {"a": [1, 2.5, None, True, "é"]}
FRAMES = [
    ("S1_28", "ChatConsumer", {"action": "chat", "payload": {"message": "hi"}}, chat("💬 hi")),
    (
        "S1_31",
        "ReliableChatConsumer",
        {"action": "reliable_chat", "payload": {"message": "hi"}},
        reliable("📨 hi"),
    ),
    (
        "S1_33",
        "NotificationConsumer",
        {"action": "notification", "payload": {"message": "hi"}},
        notification("🔔 Notification: hi", "user"),
    ),
    (
        "S1_34",
        "AnalyticsConsumer",
        {"action": "analytics", "payload": {"event": "hi", "data": DATA}},
        analytics("📊 Analytics: hi", DATA),
    ),
]
GREETINGS = [
    ("S1_26", "ChatConsumer", chat("📢 Someone joined the chat")),
    ("S1_29", "ReliableChatConsumer", reliable("🔒 Reliable chat connection established!")),
    ("S1_32", "NotificationConsumer", notification("🔔 Connected to notifications!", "system")),
]


@pytest.fixture
async def everybody(layers: None, src: Src) -> AsyncIterator[dict[str, Talk]]:
    """A client of each consumer, who has heard the greeting."""
    clients = {name: await talk(src, name) for name in CONSUMERS}
    for _, name, greeting in GREETINGS:
        assert await clients[name].hear() == greeting
    yield clients
    await ended(*clients.values())


@pytest.mark.parametrize(("name", "greeting"), [pytest.param(*rest, id=row) for row, *rest in GREETINGS])
async def test_S1_26_S1_29_S1_32_who_joins_is_greeted(
    layers: None, src: Src, name: str, greeting: Any
) -> None:
    one = await talk(src, name)
    assert await one.hear() == greeting
    two = await talk(src, name)
    assert await one.hear() == await two.hear() == greeting
    for client in (one, two):
        await client.hears_nothing()
    await ended(one, two)


@pytest.mark.parametrize(("name", "frame", "answer"), [pytest.param(*rest, id=row) for row, *rest in FRAMES])
async def test_S1_02_S1_28_S1_31_S1_33_S1_34_each_talks_on_its_own_layer(
    everybody: dict[str, Talk], name: str, frame: Any, answer: Any
) -> None:
    assert await everybody[name].ask(frame) == answer
    for client in everybody.values():
        await client.hears_nothing()


@pytest.mark.parametrize("data", [{"a": 1}, [1, [2]], 3, 2.5, None, True, "text", {}, []])
async def test_S1_10_any_data_passes_through_a_queue_unchanged(layers: None, src: Src, data: Any) -> None:
    client = await talk(src, "AnalyticsConsumer")
    frame = {"action": "analytics", "payload": {"event": "e", "data": data}}
    assert await client.ask(frame) == analytics("📊 Analytics: e", data)
    await ended(client)


@pytest.mark.parametrize("name", CONSUMERS)
async def test_S1_16_groups_of_the_class_are_joined_first_and_left_at_the_end(
    layers: None, src: Src, name: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = getattr(src("apps.showcase.consumer"), name)
    (group,) = consumer.groups
    assert group == {"ChatConsumer": "chat_room"}.get(name, CHANNEL_OF.get(name))
    layer = get_channel_layer(CONSUMERS[name])
    before: list[bool] = []
    original = consumer.post_authentication

    async def noted(self: Any) -> None:
        before.append(has_members(layer, group, redis_url))
        await original(self)

    monkeypatch.setattr(consumer, "post_authentication", noted)
    one, two = await talk(src, name), await talk(src, name)
    await settled(one)
    await settled(two)
    assert before == [True, True] and consumer.groups == [group]
    await one.leave()
    assert has_members(layer, group, redis_url)
    await two.leave()
    await until_async(lambda: not has_members(layer, group, redis_url), "the group has been left")


async def test_S1_17_without_groups_a_message_goes_to_the_consumers_own(layers: None, src: Src) -> None:
    await reaches_both(src, "ChatConsumer", "chat", chat("💬 to all"))


async def test_S1_18_groups_may_be_named(layers: None, src: Src) -> None:
    await reaches_both(src, "ReliableChatConsumer", "reliable_chat", reliable("📨 to all"))


async def reaches_both(src: Src, name: str, action: str, expected: Any) -> None:
    one = await talk(src, name)
    await one.hear()  # the greeting
    two = await talk(src, name)
    assert await one.hear() == await two.hear()
    await one.say({"action": action, "payload": {"message": "to all"}})
    assert await one.hear() == await two.hear() == expected
    for client in (one, two):
        await client.hears_nothing()
    await ended(one, two)


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


NOTES = [
    ("ChatConsumer", "system_notify_chat", chat("note")),
    # A message of another consumer's, sent as it is.
    pytest.param("ReliableChatConsumer", "system_notify_chat", chat("note"), id="S1_24"),
    ("NotificationConsumer", "system_notify_notification", notification("note", "system")),
    ("AnalyticsConsumer", "system_notify_analytic", analytics("note")),
]


@pytest.mark.parametrize(("name", "method", "answer"), NOTES)
async def test_S1_21_S1_24_S1_35_what_an_event_handler_returns_is_sent_to_its_client(
    everybody: dict[str, Talk], src: Src, name: str, method: str, answer: Any
) -> None:
    consumers, messages = src("apps.showcase.consumer"), src("apps.showcase.messages")
    await getattr(consumers, name).broadcast_event(messages.SystemNotify(payload="note"))
    assert await everybody[name].hear() == answer
    for client in everybody.values():
        await client.hears_nothing()


async def test_S1_20_S1_22_the_type_of_the_event_chooses_whatever_the_method_is_called(
    layers: None, src: Src
) -> None:
    consumers, messages = src("apps.showcase.consumer"), src("apps.showcase.messages")

    class Renamed(consumers.AnalyticsConsumer):  # type: ignore[misc, name-defined]  # a class of the seeds
        system_notify_analytic = None

        @event_handler
        async def any_name_at_all(self, whatever: messages.SystemNotify) -> Any:  # type: ignore[name-defined]
            return await consumers.AnalyticsConsumer.system_notify_analytic(self, whatever)

    client = Talk(Renamed.as_asgi())
    await client.open()
    await client.hears_nothing()
    await Renamed.broadcast_event(messages.SystemNotify(payload="note"))
    assert await client.hear() == analytics("note")
    await ended(client)
    handlers = {
        name: [method for method in vars(getattr(consumers, name)) if method.startswith("system_notify")]
        for name in CONSUMERS
    }
    assert handlers == {
        "ChatConsumer": ["system_notify_chat"],
        "ReliableChatConsumer": ["system_notify_chat"],
        "NotificationConsumer": ["system_notify_notification", "system_notify_periodic_notification"],
        "AnalyticsConsumer": ["system_notify_analytic"],
    }


async def test_S1_23_one_event_has_four_handlers(everybody: dict[str, Talk], src: Src) -> None:
    consumers, messages = src("apps.showcase.consumer"), src("apps.showcase.messages")
    for name in CONSUMERS:
        await getattr(consumers, name).broadcast_event(messages.SystemNotify(payload="note"))
    heard = {name: await client.hear() for name, client in everybody.items()}
    assert heard == {
        "ChatConsumer": chat("note"),
        "ReliableChatConsumer": chat("note"),
        "NotificationConsumer": notification("note", "system"),
        "AnalyticsConsumer": analytics("note"),
    }
    for client in everybody.values():
        await client.hears_nothing()


async def test_S1_25_S1_35_two_events_of_one_consumer(everybody: dict[str, Talk], src: Src) -> None:
    consumer = src("apps.showcase.consumer").NotificationConsumer
    messages = src("apps.showcase.messages")
    client = everybody["NotificationConsumer"]
    for kind, said in (("SystemPeriodicNotify", "periodic"), ("SystemNotify", "system")):
        await consumer.broadcast_event(getattr(messages, kind)(payload="tick"))
        assert await client.hear() == notification("tick", said)
    await client.hears_nothing()


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
