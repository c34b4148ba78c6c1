"""channels.layers: the manager, names, the layer in memory."""

import asyncio

from channels.exceptions import ChannelFull
from channels.layers import (
    BaseChannelLayer,
    ChannelLayerManager,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
)
from django.test import override_settings

NAMES = (
    "ok",
    "a.b-c_d",
    "",
    "x" * 99,
    "x" * 100,
    "a b",
    "a:b",
    "a/b",
    "a!b",
    "!b",
    "a!",
    "a!b!c",
    5,
    None,
    b"a",
    "ä",
)
MEMORY = "channels.layers.InMemoryChannelLayer"


def names(tell):
    layer = BaseChannelLayer()
    tell("defaults", [layer.expiry, layer.capacity, layer.channel_capacity, layer.MAX_NAME_LENGTH])
    for name in NAMES:
        shown = name if not isinstance(name, str) or len(name) < 20 else f"{len(name)} letters"
        tell.calls(f"channel {shown!r}", layer.require_valid_channel_name, name)
        tell.calls(f"receiving channel {shown!r}", layer.require_valid_channel_name, name, receive=True)
        tell.calls(f"group {shown!r}", layer.require_valid_group_name, name)
    tell.calls("non_local_name", layer.non_local_name, "a!b")
    tell.calls("non_local_name of a plain one", layer.non_local_name, "ab")
    tell.calls("valid_channel_names", layer.valid_channel_names, ["a", "b"])
    tell.calls("no channel names", layer.valid_channel_names, [])
    capacities = layer.compile_capacities({"http.*": 3, "a?": 4})
    layer.channel_capacity = capacities
    tell("capacities", [layer.get_capacity(name) for name in ("http.x", "ab", "abc")])


def manager(tell):
    tell("no such alias", get_channel_layer("nobody"))
    tell("the same one", get_channel_layer() is get_channel_layer())
    bad = {
        "no backend": {},
        "no module": {"BACKEND": "no.such.Layer"},
        "no class": {"BACKEND": "channels.layers.Nothing"},
        "bad config": {"BACKEND": MEMORY, "CONFIG": {"hosts": 3, "capacity": 5}},
        "routing": {"BACKEND": MEMORY, "ROUTING": "x"},
    }
    with override_settings(CHANNEL_LAYERS=bad):
        for alias in bad:
            tell.calls(alias, lambda alias=alias: type(get_channel_layer(alias)).__name__)
        tell.calls("make_test_backend", channel_layers.make_test_backend, "no class")
    tested = {"default": {"BACKEND": MEMORY, "TEST_CONFIG": {"expiry": 7}, "CONFIG": {"expiry": 8}}}
    with override_settings(CHANNEL_LAYERS=tested):
        tell("TEST_CONFIG", channel_layers.make_test_backend("default").expiry)
        tell("CONFIG", get_channel_layer().expiry)
        tell("configs", channel_layers.configs == tested)
        tell("in", ["default" in channel_layers, "x" in channel_layers])
    own = ChannelLayerManager()
    tell("set", [own.set("a", 1), own.set("a", 2), own.set("a", None)])
    with override_settings(CHANNEL_LAYERS={}):
        tell("none configured", get_channel_layer())


async def memory(tell):
    layer = InMemoryChannelLayer(capacity=2)
    tell("attributes", [layer.extensions, layer.expiry, layer.group_expiry, layer.capacity])
    name = await layer.new_channel()
    tell("new_channel", [name.partition("!")[0], len(name.partition("!")[2])])
    tell("with prefix", (await layer.new_channel("mine")).partition("!")[0])
    event = {"type": "x", "list": [1]}
    await layer.send("plain", event)
    event["list"].append(2)
    tell("a copy", await layer.receive("plain"))
    for content in ("text", None):
        await tell.awaits(f"send {content!r}", layer.send("plain", content))
        await tell.awaits(f"group_send {content!r}", layer.group_send("g", content))
    await tell.awaits("reserved key", layer.send("plain", {"type": "x", "__asgi_channel__": "y"}))
    await layer.send("full", {"n": 1})
    await layer.send("full", {"n": 2})
    try:
        await layer.send("full", {"n": 3})
    except ChannelFull as error:
        tell("ChannelFull", error.args)
    await layer.group_add("g", "full")
    await layer.group_add("g", name)
    await layer.group_send("g", {"type": "t"})  # one of the two is full: no error
    tell("the other has it", await layer.receive(name))
    tell("in order", [await layer.receive("full") for _ in range(2)])
    await layer.group_discard("g", name)
    await tell.awaits("discarded twice", layer.group_discard("g", name))
    await tell.awaits("unknown group", layer.group_discard("nobody", name))
    await tell.awaits("bad group", layer.group_add("a b", name))
    await tell.awaits("bad channel", layer.group_add("g", "a b"))
    await layer.group_send("g", {"type": "t"})
    waiting = asyncio.ensure_future(layer.receive(name))
    await asyncio.sleep(0)
    tell("nothing for who has left", waiting.done())
    waiting.cancel()
    await layer.flush()
    tell("flushed", [dict(layer.channels), dict(layer.groups)])
    await tell.awaits("close", layer.close())
    gone = InMemoryChannelLayer(expiry=0.001)
    await gone.group_add("g", "c")
    await gone.send("c", {"type": "t"})
    await asyncio.sleep(0.02)
    waiting = asyncio.ensure_future(gone.receive("c"))
    await asyncio.sleep(0.01)
    tell("expired", [waiting.done(), "g" in gone.groups and "c" in gone.groups["g"]])
    waiting.cancel()


async def script(tell):
    names(tell)
    manager(tell)
    await memory(tell)
