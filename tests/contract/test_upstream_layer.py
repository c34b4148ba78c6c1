"""The real channels_redis as a backend, for who insists on it: ``"UPSTREAM": True`` beside its BACKEND.

Runs where Channels is installed, since its layers need it: our consumers there, behind the pump.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.environments import environment
from tests.support.layers import unique_prefix

PROGRAM = """
import asyncio, json, sys
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import PushLayer, get_channel_layer
from compat.settings import configure
from compat.testing.websocket import WebsocketCommunicator

path, url, prefix = sys.argv[1:]
entry = {"BACKEND": path, "CONFIG": {"hosts": [url + "?socket_timeout=30"], "prefix": prefix}}
configure(CHANNEL_LAYERS={"default": {**entry, "UPSTREAM": True}, "ours": entry})

class Member(AsyncJsonWebsocketConsumer):
    groups = ["members"]
    async def receive_json(self, content, **kwargs):
        await self.channel_layer.group_send("members", {"type": "said", "what": content})
    async def said(self, event):
        await self.send_json(event["what"])

class OurMember(Member):
    channel_layer_alias = "ours"

async def main():
    layer, ours = get_channel_layer(), get_channel_layer("ours")
    print(type(layer).__module__, type(ours).__module__, isinstance(layer, PushLayer))
    members = [WebsocketCommunicator(cls.as_asgi(), "/") for cls in (Member, OurMember, Member)]
    for member in members:
        assert (await member.connect(timeout=20))[0]
    for number in range(9):
        await members[number % 3].send_json_to(number)
        for member in members:
            assert await member.receive_json_from(timeout=20) == number
    for member in members:
        await member.disconnect(timeout=20)
    await layer.flush()
    await ours.flush()
    print("fine")

asyncio.run(main())
"""


@pytest.mark.parametrize("module", ["core", "pubsub"])
def test_the_real_one_behind_the_pump(module: str, redis_url: str, tmp_path: Path) -> None:
    name = {"core": "RedisChannelLayer", "pubsub": "RedisPubSubChannelLayer"}[module]
    path = f"channels_redis.{module}.{name}"
    upstream = environment("channels")
    done = upstream.run("python", "-c", PROGRAM, path, redis_url, unique_prefix(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        f"channels_redis.{module}",
        f"compat.layers.redis.{module}",
        "False",
        "fine",
    ]
    assert not done.stderr
