"""S0-01 to S0-16 and S0-70 to S0-72: layers under aliases, on real Redis."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from compat.exceptions import ChannelFull, LayerUnavailable
from compat.layers import (
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
    has_layers,
    register_channel_layer,
)
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.paths import REPO
from tests.support.ported import app_of_the_seeds
from tests.support.processes import child_environment
from tests.support.seed_app import SeedApp
from tests.support.waiting import until

Src = Callable[[str], Any]
Imported = Callable[[str], dict[str, Any]]

ALIASES = {"memory", "chat", "queue", "notifications", "analytics"}
NOWHERE = "redis://127.0.0.1:1"
"""Where no Redis answers."""


async def nothing_comes(layer: Any, channel: str) -> bool:
    try:
        await asyncio.wait_for(layer.receive(channel), 0.3)
    except asyncio.TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    "line",
    [
        "from fast_channels.layers import InMemoryChannelLayer, has_layers, register_channel_layer",
        "from fast_channels.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer",
    ],
)
def test_S0_01_S0_02_imports(line: str, imported: Imported) -> None:
    names = imported(line)
    for name in line.partition(" import ")[2].split(", "):
        assert callable(names[name])


def test_S0_05_the_layers_of_the_concepts_page(tmp_path: Path) -> None:
    folder = app_of_the_seeds("fast_channels_concepts", tmp_path / "concepts")
    code = (
        "import layers; from compat.layers import channel_layers as c; print([*c], type(c['chat']).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("['chat'] RedisChannelLayer\n", "")


async def test_S0_03_a_url_without_a_database_is_a_host(redis_url: str) -> None:
    assert os.getenv("NO_SUCH_VARIABLE", "redis://localhost:6379") == "redis://localhost:6379"
    RedisChannelLayer(hosts=["redis://localhost:6379"])
    layer = RedisChannelLayer(hosts=[redis_url], prefix="s0-03")
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "hello"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "hello"}
    await layer.close_pools()


async def test_S0_04_memory_takes_no_argument_and_no_redis() -> None:
    layer = InMemoryChannelLayer()
    await layer.group_add("room", "mailbox")
    await layer.group_send("room", {"type": "hello"})
    assert await asyncio.wait_for(layer.receive("mailbox"), 5) == {"type": "hello"}


async def test_S0_05_pubsub_takes_hosts_and_a_prefix() -> None:
    layer = RedisPubSubChannelLayer(hosts=[NOWHERE], prefix="chat")
    assert layer.prefix == "chat"
    with pytest.raises(LayerUnavailable, match=re.escape("127.0.0.1:1")):
        await layer.group_send("room", {"type": "hello"})
    await layer.close_pools()


def test_S0_06_a_queue_takes_four_options_that_can_be_read_back() -> None:
    layer = RedisChannelLayer(hosts=[NOWHERE], prefix="queue", expiry=900, capacity=1000)
    assert (layer.prefix, layer.expiry, layer.capacity) == ("queue", 900, 1000)


def test_S0_07_an_alias_and_its_prefix_may_differ() -> None:
    layer = RedisPubSubChannelLayer(hosts=[NOWHERE], prefix="notify")
    register_channel_layer("notifications", layer)
    found = get_channel_layer("notifications")
    channel_layers.unregister("notifications")
    assert found is layer and layer.prefix == "notify"


def test_S0_08_analytics_has_options_of_its_own() -> None:
    layer = RedisChannelLayer(hosts=[NOWHERE], prefix="analytics", expiry=3600, capacity=5000)
    assert (layer.prefix, layer.expiry, layer.capacity) == ("analytics", 3600, 5000)


@pytest.mark.parametrize("kind", [RedisChannelLayer, RedisPubSubChannelLayer])
def test_S0_09_a_layer_that_is_made_opens_no_connection(kind: Any) -> None:
    kind(hosts=[NOWHERE])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        kind(hosts=[f"redis://{host}:{port}"])
        kind(hosts=[(host, port)])
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_S0_10_five_aliases_at_once(src: Src) -> None:
    src("layers").setup_layers()
    assert set(channel_layers) == ALIASES
    prefixes = {alias: getattr(get_channel_layer(alias), "prefix", None) for alias in ALIASES - {"memory"}}
    assert prefixes == {
        "chat": "chat",
        "queue": "queue",
        "notifications": "notify",
        "analytics": "analytics",
    }


def test_S0_11_has_layers_before_and_after(src: Src) -> None:
    assert has_layers() is False
    src("layers").setup_layers()
    assert has_layers() is True


def test_S0_12_a_second_call_registers_nothing(src: Src) -> None:
    setup_layers = src("layers").setup_layers
    setup_layers()
    before = {alias: get_channel_layer(alias) for alias in ALIASES}
    setup_layers()
    assert all(get_channel_layer(alias) is before[alias] for alias in ALIASES)


def test_S0_13_force_registers_all_again(src: Src) -> None:
    setup_layers = src("layers").setup_layers
    setup_layers()
    before = {alias: get_channel_layer(alias) for alias in ALIASES}
    setup_layers(force=True)
    assert set(channel_layers) == ALIASES
    assert all(get_channel_layer(alias) is not before[alias] for alias in ALIASES)


def test_S0_14_layers_are_set_up_while_a_module_is_imported(typed_app: SeedApp) -> None:
    code = "import src.main; from compat.layers import channel_layers; print(len(channel_layers))"
    done = typed_app.run("-c", code, REDIS_URL=NOWHERE)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr


async def test_S0_15_layers_with_other_prefixes_do_not_hear_each_other(redis_url: str) -> None:
    layers: list[Any] = [
        RedisPubSubChannelLayer(hosts=[redis_url], prefix="chat"),
        RedisPubSubChannelLayer(hosts=[redis_url], prefix="notify"),
        RedisChannelLayer(hosts=[redis_url], prefix="queue"),
        RedisChannelLayer(hosts=[redis_url], prefix="analytics"),
    ]
    channels = [await layer.new_channel() for layer in layers]
    for layer, channel in zip(layers, channels, strict=True):
        await layer.group_add("s0-15", channel)
    for number, layer in enumerate(layers):
        await layer.group_send("s0-15", {"type": "hello", "from": number})
    for number, (layer, channel) in enumerate(zip(layers, channels, strict=True)):
        assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "hello", "from": number}
        assert await nothing_comes(layer, channel)
        await layer.close_pools()


async def test_S0_16_an_unread_message_is_gone_after_expiry(redis_url: str) -> None:
    layer = RedisChannelLayer(hosts=[redis_url], prefix="s0-16", expiry=3)
    await layer.send("mailbox", {"type": "hello"})
    server = redis.from_url(redis_url)
    keys = list(server.scan_iter("s0-16*mailbox*"))
    assert keys
    await asyncio.to_thread(until, lambda: not server.exists(*keys), "the message expires")
    assert await nothing_comes(layer, "mailbox")
    server.close()
    await layer.close_pools()


async def test_S0_70_pubsub_keeps_nothing_for_those_who_come_later(redis_url: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix="s0-70")
    await layer.group_send("room", {"type": "before"})
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "after"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "after"}
    await layer.close_pools()


async def test_S0_71_a_queue_keeps_messages_for_a_reader_up_to_its_capacity(redis_url: str) -> None:
    layer = RedisChannelLayer(hosts=[redis_url], prefix="s0-71", capacity=3)
    for number in range(3):
        await layer.send("mailbox", {"type": "hello", "number": number})
    with pytest.raises(ChannelFull):
        await layer.send("mailbox", {"type": "hello", "number": 3})
    assert [(await layer.receive("mailbox"))["number"] for _ in range(3)] == [0, 1, 2]
    assert await nothing_comes(layer, "mailbox")
    await layer.close_pools()


def test_S0_72_memory_is_for_one_process_and_says_so(tmp_path: Path) -> None:
    layer = InMemoryChannelLayer()
    register_channel_layer("s0-72", layer)
    assert get_channel_layer("s0-72") is layer
    channel_layers.unregister("s0-72")
    text = (REPO / "docs" / "channel-layers.md").read_text(encoding="utf-8")
    assert re.search(r"(?i)memory.{0,300}one process", text, re.DOTALL)

    (tmp_path / "main.py").write_text(
        "from compat import configure\n"
        "configure(CHANNEL_LAYERS={'default': {'BACKEND': 'compat.layers.InMemoryChannelLayer'}})\n"
        "from starlette.applications import Starlette\n"
        "app = Starlette()\n"
    )
    command = [str(Path(sys.executable).parent / "channels-compat"), "runserver", "main:app"]
    done = subprocess.run(
        [*command, "--workers", "2", "--noreload", "--port", "0"],
        cwd=tmp_path,
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert 'layer "default" is in memory, where each process has its own' in " ".join(done.stderr.split())
