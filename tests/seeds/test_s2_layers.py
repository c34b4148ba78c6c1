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


def test_S2_25_names_import() -> None:
    assert callable(compat.layers.register_channel_layer)
    assert RedisChannelLayer.__name__ == "RedisChannelLayer"


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
    text = "\n".join(page.read_text(encoding="utf-8") for page in (REPO / "docs").rglob("*.md"))
    assert "InMemoryChannelLayer" in text and "single process" in text.lower()


async def test_S2_38_the_queue_layer_keeps_messages_until_somebody_reads(redis_url: str, prefix: str) -> None:
    sender = RedisChannelLayer(hosts=[redis_url], prefix=prefix)
    reader = RedisChannelLayer(hosts=[redis_url], prefix=prefix)
    for number in range(10):
        await sender.send("s2-worker", {"type": "job", "number": number})
    jobs = [await asyncio.wait_for(reader.receive("s2-worker"), 15) for _ in range(10)]
    assert [job["number"] for job in jobs] == list(range(10))
    for layer in (sender, reader):
        await layer.close_pools()


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
