"""Whether a process is ready for new clients: the endpoints, on layers whose Redis goes and comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from compat import health
from compat.clock import wall
from compat.engine.admissions import admissions
from compat.exceptions import ImproperlyConfigured
from compat.layers import channel_layers, get_channel_layer, register_channel_layer, unregister_channel_layer
from compat.layers.redis.core import RedisChannelLayer
from compat.settings import override
from tests.support.layers import close
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_awaited

QUEUE = "compat.layers.redis.core.RedisChannelLayer"
PUBSUB = "compat.layers.redis.pubsub.RedisPubSubChannelLayer"
MEMORY = {"BACKEND": "compat.layers.InMemoryChannelLayer"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "EVERY_S", 0.0)
    monkeypatch.setattr(health, "_layers", health._Layers())
    yield
    for alias in tuple(channel_layers.backends):
        unregister_channel_layer(alias)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.add_route("/live", health.live)
    app.add_route("/ready", health.ready)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


async def answer(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    found = await client.get("/ready")
    return found.status_code, found.json()


async def test_without_a_server_that_could_be_away(client: httpx.AsyncClient) -> None:
    with override(CHANNEL_LAYERS={"default": MEMORY, "other": MEMORY}):
        assert await answer(client) == (200, {"ready": True})
    assert (await client.get("/live")).json() == {"live": True}


@pytest.mark.parametrize("seconds", [0, 3600])
async def test_a_redis_that_goes_and_comes_back(
    client: httpx.AsyncClient, tmp_path: Path, seconds: float
) -> None:
    server = RedisServer(tmp_path)
    layers = {"default": {"BACKEND": QUEUE, "CONFIG": {"hosts": [server.url]}}, "other": MEMORY}
    with override(CHANNEL_LAYERS=layers, CHANNEL_READY_SECONDS=seconds):
        assert await answer(client) == (200, {"ready": True})
        server.stop()
        if seconds:
            assert await answer(client) == (200, {"ready": True}), "it may be back soon"
        else:
            found = await client.get("/ready")
            assert (found.status_code, found.headers["Retry-After"]) == (503, "5")
            (why,) = found.json()["why"]
            assert found.json() == {"ready": False, "why": [why]}
            assert re.fullmatch(r"layer 'default' has been away for \d s", why)
        again = RedisServer(tmp_path, port=server.port)
        await until_awaited(lambda: answer(client), (200, {"ready": True}))
        again.stop()


@pytest.mark.parametrize("of", [QUEUE, PUBSUB])
@pytest.mark.parametrize("asked", [True, False], ids=["asked before", "never asked"])
async def test_a_worker_that_was_never_asked_says_what_the_others_say(
    client: httpx.AsyncClient, redis_server: RedisServer, of: str, asked: bool
) -> None:
    """It has worked before the outage, which each of them gets the same time to survive."""
    layers = {"default": {"BACKEND": of, "CONFIG": {"hosts": [redis_server.url]}}}
    with override(CHANNEL_LAYERS=layers, CHANNEL_READY_SECONDS=3600):
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        if asked:
            assert await answer(client) == (200, {"ready": True})
        redis_server.kill()
        assert await answer(client) == (200, {"ready": True}), "it may be back soon"
        await until_awaited(lambda: asyncio.sleep(0, bool(layer.metrics.gaps)), True)
        with override(CHANNEL_READY_SECONDS=0):
            code, told = await answer(client)
        assert code == 503 and told["why"][0].startswith("layer 'default' has been away for ")
        await close(layer)


async def test_several_hosts_of_which_one_has_never_answered(
    client: httpx.AsyncClient, redis_server: RedisServer
) -> None:
    hosts = [redis_server.url, f"redis://127.0.0.1:{free_port()}"]
    with override(CHANNEL_LAYERS={"default": {"BACKEND": QUEUE, "CONFIG": {"hosts": hosts}}}):
        layer: Any = get_channel_layer()
        await asyncio.gather(
            *(layer.group_send(f"room-{n}", {"type": "x"}) for n in range(9)), return_exceptions=True
        )
        code, told = await answer(client)
        await close(layer)
    assert (code, told["why"]) == (503, ["layer 'default' has not answered yet"])


async def test_a_layer_that_has_never_answered(client: httpx.AsyncClient) -> None:
    config = {"hosts": [f"redis://127.0.0.1:{free_port()}"]}
    with override(CHANNEL_LAYERS={"default": {"BACKEND": QUEUE, "CONFIG": config}}):
        code, told = await answer(client)
    assert (code, told["why"]) == (503, ["layer 'default' has not answered yet"])


async def test_while_it_drains(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissions, "draining", True)
    assert await answer(client) == (503, {"ready": False, "why": ["the server is stopping"]})
    assert (await client.get("/live")).status_code == 200


async def test_many_who_ask_cost_one_question(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """And all of them wait for its answer."""
    asked = []

    class Counted(RedisChannelLayer):
        async def ping(self) -> None:
            asked.append(self)
            await super().ping()

    monkeypatch.setattr(health, "EVERY_S", 3600.0)
    monkeypatch.setattr(health, "_layers", health._Layers())
    register_channel_layer("default", layer := Counted(hosts=[redis_url]))
    assert await asyncio.gather(*(health.not_ready() for _ in range(100))) == [[]] * 100
    assert await health.not_ready() == [] and asked == [layer]
    await layer.close_pools()


async def test_the_time_for_which_redis_does_not_answer_counts(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    monkeypatch.setattr(health, "PING_S", 1.0)
    layers = {"default": {"BACKEND": QUEUE, "CONFIG": {"hosts": [redis_server.url]}}}
    with override(CHANNEL_LAYERS=layers, CHANNEL_READY_SECONDS=0.5):
        assert await answer(client) == (200, {"ready": True})
        redis_server.pause()
        assert (await answer(client))[0] == 503


async def test_what_the_layer_has_noticed_before_counts(
    client: httpx.AsyncClient, redis_server: RedisServer
) -> None:
    layers = {"default": {"BACKEND": QUEUE, "CONFIG": {"hosts": [redis_server.url]}}}
    with override(CHANNEL_LAYERS=layers, CHANNEL_READY_SECONDS=3600):
        assert await answer(client) == (200, {"ready": True})
        layer: Any = channel_layers["default"]
        layer.metrics.gap_ends(layer.metrics.gap_begins(wall() - 7200), wall() - 5000)
        redis_server.stop()
        assert await answer(client) == (200, {"ready": True}), "it has been back since"
        layer.metrics.gap_begins(wall() - 3600)
        code, told = await answer(client)
    assert code == 503 and told["why"][0].startswith("layer 'default' has been away for 36")


@pytest.mark.parametrize("value", [-1, True, "10", float("nan"), None])
async def test_a_setting_that_is_none(value: Any) -> None:
    with override(CHANNEL_READY_SECONDS=value), pytest.raises(ImproperlyConfigured, match="READY_SECONDS"):
        await health.not_ready()
