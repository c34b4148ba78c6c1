"""A layer that takes any name for a group takes it everywhere: as channels_redis' pub/sub layer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI
from starlette.requests import Request

import compat.live
from compat.cli.layers import NoGroup, show_history, show_presence
from compat.fastapi import group_history
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.history import History
from compat.layers.redis import RedisPubSubChannelLayer
from compat.live import watching
from compat.publish import bearer, router
from tests.support.layers import close, member, moving, unique_prefix

HISTORY = {"room*": {"count": 5}}
WAYS = ("publish", "watch", "page", "history", "presence")


@pytest_asyncio.fixture(params=["pubsub", "moving", "moving to strict names"])
async def layer(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Any]:
    both = [RedisPubSubChannelLayer([redis_url], prefix=unique_prefix(), history=HISTORY) for _ in range(2)]
    if request.param == "pubsub":
        made: Any = both[0]
    else:
        strict = InMemoryChannelLayer(history=HISTORY)
        made = moving(both[0], both[1] if request.param == "moving" else strict, "old")
    register_channel_layer("default", made)
    yield made
    unregister_channel_layer("default")
    await close(*both)


async def somebody(request: Request) -> str:
    return "ada"


def application() -> FastAPI:
    app = FastAPI()
    app.include_router(router(authenticate=bearer("a token")), prefix="/publish")
    app.mount("/live", compat.live.page(authenticate=somebody))

    @app.get("/page/{room}")
    async def page(said: Annotated[History, Depends(group_history("room{room}"))]) -> int:
        return len(said)

    return app


async def taken(way: str, group: str) -> bool:
    """Whether the name of the group is one, in one of the ways to use it without a consumer."""
    if way in ("history", "presence"):
        show = show_history if way == "history" else show_presence
        try:
            await asyncio.to_thread(show, group)
        except NoGroup:
            return False
        return True
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        if way == "publish":
            token, body = {"Authorization": "Bearer a token"}, {"group": group, "message": {"type": "x"}}
            answer = await client.post("/publish", json=body, headers=token)
        elif way == "watch":
            answer = await client.get("/live/watch", params={"group": group})
        else:
            answer = await client.get(f"/page/{group.removeprefix('room')}")
    return answer.status_code == (503 if way == "watch" else 200)


@pytest.mark.parametrize("way", WAYS)
async def test_a_name_is_one_for_the_layers_group_add_and_here(
    layer: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_WATCHERS", 0)  # an answer that ends: there is no room for one more
    for group in ("room_1", "room:1"):
        inbox = await member(layer)
        try:
            await layer.group_add(group, inbox.channel)
            may_join = True
        except TypeError:
            may_join = False
        assert await taken(way, group) is may_join
        await layer.detach(inbox.channel)
