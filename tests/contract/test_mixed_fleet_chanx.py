"""A process with the real Chanx and typed consumers of ours in the same groups, while a fleet is ported."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from compat.layers import register_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.settings import override
from compat.typed import Topic, event_handler, ws_handler
from tests.support.environments import environment
from tests.support.layers import unique_prefix
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.unit.typed.room import Alert, Line, Note, Room, Said, Talk

PEER = Path(__file__).parent / "chanx_peer.py"
OURS: dict[str, Any] = {
    "fast_channels.layers.redis.core.RedisChannelLayer": RedisChannelLayer,
    "fast_channels.layers.redis.pubsub.RedisPubSubChannelLayer": RedisPubSubChannelLayer,
}


class RunTopic(Topic[Alert]):
    """A topic of the same name as in the process with Chanx."""

    pattern = "run:{run_id}"

    @classmethod
    def group_name(cls, topic: str) -> str:
        """The name that Chanx makes, as docs/howto/mixed-fleet.md says."""
        return f"{cls.__name__}.{re.sub('[^A-Za-z0-9._-]+', '-', topic).strip('-')}"

    @event_handler
    async def alert(self, event: Alert) -> Said:
        return Said(payload=Line(text=event.payload))


class MixedRoom(Room):
    topics = [RunTopic]

    @ws_handler
    async def handle_note(self, message: Note) -> Note:
        return Note(payload=self.channel_name)


@pytest.mark.parametrize("path", OURS)
async def test_events_of_a_process_with_chanx(path: str, redis_url: str) -> None:
    """To a group, to one consumer, on a topic; and a broadcast, which goes to the client as it is."""
    prefix = unique_prefix()
    layer = OURS[path](hosts=[redis_url], prefix=prefix)
    with override(CHANNEL_LAYERS={}):
        register_channel_layer("default", layer)
        client = Talk(MixedRoom.as_asgi())
        await client.open()
        assert (await client.ask({"action": "subscribe", "topic": "run:7"}))["action"] == "subscribed"
        channel = (await client.ask({"action": "note", "payload": None}))["payload"]
        options = json.dumps({"hosts": [redis_url], "prefix": prefix})
        process = await asyncio.create_subprocess_exec(
            *(environment("peers").python, str(PEER), path, options, channel),
            cwd=REPO,
            env=child_environment(),
        )
        assert await process.wait() == 0
        heard = [await client.hear() for _ in range(4)]
        said = {frame["payload"]["text"]: frame for frame in heard}
        assert set(said) == {"to a group", "to one", "on a topic", "a broadcast"}
        assert (said["on a topic"]["topic"], said["on a topic"]["seq"]) == ("run:7", 3)
        await client.hears_nothing()
        await client.leave()
    await layer.flush()
    await layer.close_pools()
