"""Outages: a log line when one begins and one when it ends, however often one comes; and who ends them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from compat import metrics
from compat.exceptions import LayerUnavailable
from compat.metrics import LOG_EVERY_S, MOST_CAUSES, LayerMetrics
from compat.redis.outages import OutageLog
from compat.redis.unavailable import RedisUnavailable
from compat.types import Message
from tests.support.layers import ON_REDIS, close, unique_prefix
from tests.support.logs import recorded
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async


class Layer:
    """What an ``OutageLog`` uses of a layer."""

    def __init__(self) -> None:
        self.metrics = LayerMetrics()
        self.on_disconnect: Message | None = None
        self.on_reconnect: Message | None = None

    def name(self) -> str:
        return "the layer"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(metrics, "time", SimpleNamespace(monotonic=lambda: clock.at))
    return clock


def outages(**options: Any) -> OutageLog:
    shards: Any = SimpleNamespace(hosts=[SimpleNamespace(where="localhost:6379", options=options)])
    return OutageLog(Layer(), shards, lambda message: None)


def lose(log: OutageLog, reason: str = "refused") -> None:
    log.lost(0, RedisUnavailable(f"no Redis: {reason}", reason), "the reader", 1.0)


def lines(records: Any) -> list[str]:
    return ["back" if "is back" in one.getMessage() else one.getMessage() for one in records.kept]


def test_an_outage_soon_after_another_one_is_logged_if_it_lasts(now: SimpleNamespace) -> None:
    log = outages()
    with recorded() as records:
        lose(log)
        log.back(0, "the reader")
        now.at += LOG_EVERY_S / 3
        lose(log)
        lose(log)
        assert lines(records) == ["no Redis: refused. Trying again until it answers", "back"]
        now.at += LOG_EVERY_S
        lose(log)
        lose(log)
        now.at += 10 * LOG_EVERY_S
        lose(log)
        log.back(0, "the reader")
    assert lines(records)[2:] == ["no Redis: refused. Trying again until it answers", "back"]


def test_short_outages_are_logged_once_a_minute(now: SimpleNamespace) -> None:
    log = outages()
    with recorded() as records:
        for _ in range(3):
            lose(log)
            log.back(0, "the reader")
            now.at += 1
        assert len(records.kept) == 2
        now.at += LOG_EVERY_S
        lose(log)
    assert lines(records)[2:] == [
        "no Redis: refused. Trying again until it answers (3 times since the last report)"
    ]


def test_other_lines_do_not_hold_back_that_of_an_outage(now: SimpleNamespace) -> None:
    log = outages()
    for number in range(MOST_CAUSES + 1):
        log.layer.metrics.throttle.due(("group", number))
    with recorded() as records:
        lose(log)
    assert len(records.kept) == 1


async def test_an_outage_behind_sentinels_ends_when_senders_have_found_the_master_too() -> None:
    """It goes on if the host is lost again meanwhile; an end that is awaited ends with the connections."""
    log = outages(sentinels=[("localhost", 26379)], master_name="mymaster")
    lose(log)
    log.back(0, "the reader")
    (gap,) = log.layer.metrics.gaps
    assert gap.ended is None
    lose(log)
    assert not log._settling
    log.back(0, "the reader")
    log.back(0, "another one that was not affected")
    await until_async(lambda: gap.ended, "it is over")
    assert list(log.layer.metrics.gaps) == [gap] and not log.layer.metrics.is_away()
    lose(log)
    log.back(0, "the reader")
    log.closed()
    assert not log._settling
    assert log.layer.metrics.reconnects == 1 and not log.layer.metrics.is_away()


@pytest.mark.parametrize("kind", sorted(ON_REDIS))
async def test_closing_the_connections_ends_an_outage(kind: str, redis_server: RedisServer) -> None:
    """What was closed does not come back; the next outage is recorded, and ends, as any other."""
    layer = ON_REDIS[kind]([redis_server.url], prefix=unique_prefix())
    await asyncio.to_thread(redis_server.kill)
    with pytest.raises(LayerUnavailable):
        await layer.receive("plain")
    assert layer.metrics.is_away()
    await layer.close_pools()
    assert not layer.metrics.is_away()
    assert layer.metrics.reconnects == 0
    await asyncio.to_thread(redis_server.start)
    waiting = asyncio.ensure_future(layer.receive("plain"))
    await layer.send("other", {"type": "x"})
    await asyncio.to_thread(redis_server.kill)
    await until_async(layer.metrics.is_away, "the second outage is recorded")
    await asyncio.to_thread(redis_server.start)
    await until_async(lambda: not layer.metrics.is_away(), "it is over")
    assert layer.metrics.reconnects == 1
    waiting.cancel()
    await close(layer)


@pytest.mark.parametrize("kind", sorted(ON_REDIS))
def test_the_end_of_an_event_loop_ends_its_outage(kind: str, redis_server: RedisServer) -> None:
    layer = ON_REDIS[kind]([redis_server.url], prefix=unique_prefix())
    redis_server.kill()
    with pytest.raises(LayerUnavailable):
        asyncio.run(layer.receive("plain"))
    assert len(layer.metrics.gaps) == 1
    assert not layer.metrics.is_away()
