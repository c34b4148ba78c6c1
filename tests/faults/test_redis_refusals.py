"""Workers of several plain channels, of which Redis refuses one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from compat.layers.redis import RedisChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from tests.faults.rooms import QUICK
from tests.support.layers import close
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async


@pytest.mark.parametrize("of", [RedisChannelLayer, RedisStreamsChannelLayer])
async def test_one_channel_whose_key_holds_foreign_data(
    of: Any, redis_server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of, "block_s" if of is RedisStreamsChannelLayer else "brpop_timeout", 0.5)
    layer = of(hosts=[redis_server.url + QUICK])
    got: list[tuple[str, int]] = []

    async def work(channel: str) -> None:
        while True:
            message = await layer.receive(channel)
            got.append((channel, message["n"]))

    workers = [asyncio.create_task(work(channel)) for channel in ("mail", "thumbs")]
    wire: Any
    with redis.Redis.from_url(redis_server.url) as wire:
        for channel in ("mail", "thumbs"):
            await layer.send(channel, {"type": "job", "n": 0})
        await until_async(lambda: len(got) == 2, "both channels have a worker")
        streams = of is RedisStreamsChannelLayer
        key = layer.keys.jobs("thumbs") if streams else layer.keys.queue("thumbs")
        wire.set(key, "foreign")
        del got[:]
        for number in range(1, 6):
            await layer.send("mail", {"type": "job", "n": number})
        await until_async(lambda: len(got) == 5, "the other channel's messages arrive")
        assert got == [("mail", number) for number in range(1, 6)]
        await until_async(lambda: "thumbs at" in caplog.text, "the refused channel is logged")
        assert "hold foreign data" in caplog.text
        wire.delete(key)
        await layer.send("thumbs", {"type": "job", "n": 6})
        await until_async(lambda: got[5:] == [("thumbs", 6)], "it is tried again")
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await close(layer)
