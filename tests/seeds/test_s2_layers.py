"""S2-25, S2-26 and S2-35 to S2-38: layers registered by hand, and messages from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.routing import WebSocketRoute

import compat.layers
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import get_channel_layer, register_channel_layer, unregister_channel_layer
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.pubsub import RedisPubSubChannelLayer
from compat.settings import settings
from tests.seeds.conftest import ServeTutorial
from tests.support.clients import Client, get
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import LiveServer


class Listening(AsyncWebsocketConsumer):
    """A member of one group, on the layer `chat`."""

    channel_layer_alias = "chat"
    groups = ["s2.listening"]

    async def heard(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


@pytest.fixture
def prefix(free_name: Callable[[], str]) -> str:
    return free_name()


@pytest.fixture
def server(redis_url: str, prefix: str) -> Iterator[LiveServer]:
    """A FastAPI app with a page and a background task that send to the group."""
    app = FastAPI()

    async def tell(text: str) -> None:
        layer: Any = get_channel_layer("chat")
        await layer.group_send("s2.listening", {"type": "heard", "text": text})

    @app.get("/tell/{text}")
    async def tell_now(text: str) -> None:
        await tell(text)

    @app.get("/later/{text}")
    async def tell_later(text: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(tell, text)

    app.router.routes.append(WebSocketRoute("/ws", Listening.as_asgi()))
    with settings.override(CHANNEL_LAYERS={}):
        register_channel_layer("chat", RedisChannelLayer(hosts=[redis_url], prefix=prefix))
        with LiveServer(app) as server:
            yield server
        unregister_channel_layer("chat")


def test_S2_25_names_import(imported: Callable[[str], dict[str, Any]]) -> None:
    """As the page has them, on one line from one module, by the rewrite rule."""
    names = imported("from fast_channels.layers import register_channel_layer, RedisChannelLayer")
    assert names["register_channel_layer"] is register_channel_layer
    assert names["RedisChannelLayer"] is RedisChannelLayer


def test_S2_26_register_a_layer_of_a_host_by_url(redis_url: str) -> None:
    with settings.override(CHANNEL_LAYERS={}):
        layer = RedisChannelLayer(hosts=[redis_url])
        register_channel_layer("s2-registered", layer)
        assert get_channel_layer("s2-registered") is layer
        unregister_channel_layer("s2-registered")


def test_S2_35_messages_from_a_page_a_background_task_and_another_process(
    server: LiveServer, bare: Environment, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    script = (
        "import asyncio\n"
        "from compat.layers.redis.core import RedisChannelLayer\n"
        f"layer = RedisChannelLayer(hosts=[{redis_url!r}], prefix={prefix!r})\n"
        "event = {'type': 'heard', 'text': 'from another process'}\n"
        "asyncio.run(layer.group_send('s2.listening', event))\n"
    )
    with Client(server, "/ws") as client:
        assert get(server, "/tell/page").status_code == 200
        assert client.receive() == "page"
        assert get(server, "/later/task").status_code == 200
        assert client.receive() == "task"
        done = bare.run("python", "-W", "error", "-c", script, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert client.receive() == "from another process"


def test_S2_36_servers_share_one_redis(serve_tutorial: ServeTutorial, bare: Environment) -> None:
    one = serve_tutorial(bare, how="uvicorn", layer="redis")
    two = serve_tutorial(bare, how="workers", layer="redis")
    with Client(one, "/ws/chat/shared/") as here, Client(two, "/ws/chat/shared/") as there:
        for sender in (here, there):
            sender.send_json({"message": "hello"})
            assert here.receive_json() == there.receive_json() == {"message": "hello"}


def test_S2_37_docs_say_that_memory_is_for_one_process() -> None:
    page = (REPO / "docs" / "channel-layers.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("| `compat.layers.InMemoryChannelLayer`")]
    assert "consumers of one process" in row and "tests, development" in row
    told = " ".join(page.split())
    assert "**Memory** is for a single process. Two workers have two separate layers" in told


async def test_S2_37_another_process_has_a_memory_layer_of_its_own(bare: Environment, tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from compat.layers import InMemoryChannelLayer\n"
        "asyncio.run(InMemoryChannelLayer().group_send('room', {'type': 'said', 'by': 'another process'}))\n"
    )
    layer = compat.layers.InMemoryChannelLayer()
    await layer.group_add("room", "member")
    done = await asyncio.to_thread(bare.run, "python", "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    await layer.group_send("room", {"type": "said", "by": "this process"})
    assert (await asyncio.wait_for(layer.receive("member"), 15))["by"] == "this process"


async def test_S2_38_messages_outlive_the_process_that_sent_them(
    redis_url: str, prefix: str, bare: Environment, tmp_path: Path
) -> None:
    """Nobody reads yet when they are sent: to a channel, and to the group that it is in."""
    script = (
        "import asyncio\n"
        "from compat.layers.redis.core import RedisChannelLayer\n"
        "async def main():\n"
        f"    layer = RedisChannelLayer(hosts=[{redis_url!r}], prefix={prefix!r})\n"
        "    await layer.group_add('workers', 's2-worker')\n"
        "    for number in range(5):\n"
        "        await layer.send('s2-worker', {'type': 'job', 'number': number})\n"
        "    for number in range(5, 10):\n"
        "        await layer.group_send('workers', {'type': 'job', 'number': number})\n"
        "    await layer.close_pools()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(bare.run, "python", "-W", "error", "-c", script, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    readers = [RedisChannelLayer(hosts=[redis_url], prefix=prefix) for _ in range(2)]
    numbers = []
    for turn in range(10):  # what one reader has not taken another one takes
        job = await asyncio.wait_for(readers[turn // 5].receive("s2-worker"), 15)
        numbers.append(job["number"])
        if turn == 4:
            await readers[0].close_pools()
    assert numbers == list(range(10))
    await readers[1].close_pools()


async def test_S2_39_the_pubsub_layer_keeps_nothing(redis_url: str, prefix: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix=prefix)
    await layer.group_send("room", {"type": "early", "number": 0})
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for number in range(1, 4):
        await layer.group_send("room", {"type": "in.time", "number": number})
    got = [await asyncio.wait_for(layer.receive(channel), 15) for _ in range(3)]
    assert [message["number"] for message in got] == [1, 2, 3]
    await layer.close_pools()
