"""The counters as Prometheus reads them: the text, a page of an application, a registry of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from compat import metrics
from compat.engine.inbox import Inbox
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.metrics import connections, snapshot
from compat.prometheus import CONTENT_TYPE, Counters, endpoint, prometheus_text
from tests.support.environments import Environment
from tests.support.paths import REPO


@pytest.fixture
def layer() -> Iterator[InMemoryChannelLayer]:
    made = InMemoryChannelLayer(capacity=2)
    register_channel_layer('odd "alias"', made)
    yield made
    unregister_channel_layer('odd "alias"')


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Name and labels of each sample: its value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def traffic(layer: Any) -> None:
    mine = await layer.new_channel()
    await layer.group_add("room", mine)
    for _ in range(5):
        await layer.group_send("room", {"type": "x"})
    layer.metrics.gap_begins(1.0)


async def test_every_counter_is_in_the_text(layer: InMemoryChannelLayer) -> None:
    await traffic(layer)
    alias = 'odd "alias"'
    counted = snapshot()["layers"][alias]
    assert counted["dropped"] == {"overflow": 3} and counted["depth"] == 2
    got = samples(prometheus_text())
    assert got["channels_connections",] == connections.current
    assert got["channels_connections_accepted_total",] == connections.total
    for name, value in {"sent": 5, "delivered": 2, "reconnects": 0}.items():
        assert got[f"channels_layer_{name}_total", alias] == counted[name] == value
    assert got["channels_layer_dropped_total", alias, "overflow"] == 3
    assert got["channels_layer_dropped_total", alias, "queue full"] == 0, "so that its first loss is seen"
    assert got["channels_layer_depth", alias] == 2
    assert got["channels_layer_unavailable", alias] == 1


async def test_presence() -> None:
    layer = InMemoryChannelLayer(presence={"room*": {"key": "channel"}})
    register_channel_layer("default", layer)
    channels = [await layer.new_channel() for _ in range(3)]
    try:
        for channel in channels:
            layer.attach(channel, Inbox(asyncio.get_running_loop()))
            layer.attend(channel, {}, hears=False)
            await layer.group_add("room", channel)
            await layer.group_add("hall", channel)
        await layer.group_add("room.2", channels[0])
        layer.metrics.count_taken_out()
        got = samples(prometheus_text())
        assert got["channels_layer_presence_present", "default"] == 4
        assert got["channels_layer_presence_taken_out_total", "default"] == 1
        for channel in channels:
            layer.departs(channel)
        assert samples(prometheus_text())["channels_layer_presence_present", "default"] == 0
    finally:
        unregister_channel_layer("default")


async def test_resumable_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {name for name, *_ in samples(prometheus_text()) if "resumable" in name} or metrics.resumable()
    lost = {"gone": 4, "user": 1}
    counts = {"live": 3, "parked": 2, "resumed": 7, "replaced": 3, "groups": 2, "lost": lost}
    monkeypatch.setattr(metrics, "_resumable", lambda: counts)
    got = samples(prometheus_text())
    assert got.pop(("channels_resumable_lost_total", "stopped")) == 0, "so that its first one is seen"
    assert {name: value for name, value in got.items() if value and "resumable" in name[0]} == {
        ("channels_resumable_live",): 3,
        ("channels_resumable_parked",): 2,
        ("channels_resumable_resumed_total",): 7,
        ("channels_resumable_replaced_total",): 3,
        ("channels_resumable_groups_total",): 2,
        ("channels_resumable_lost_total", "gone"): 4,
        ("channels_resumable_lost_total", "user"): 1,
    }


async def test_a_page_of_an_application(layer: InMemoryChannelLayer) -> None:
    await traffic(layer)
    app = FastAPI()
    app.add_route("/metrics", endpoint)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE
    found = samples(answer.text)
    (process,) = (labels[0] for name, *labels in found if name == "channels_connections")
    assert found["channels_layer_dropped_total", 'odd "alias"', process, "overflow"] == 3
    assert found["channels_processes_readable",] == 0, "no layer is on Redis"


async def test_a_registry_that_the_application_has(layer: InMemoryChannelLayer) -> None:
    registry = CollectorRegistry()
    registry.register(Counters())
    before = samples(generate_latest(registry).decode())
    await traffic(layer)
    after = samples(generate_latest(registry).decode())
    key = ("channels_layer_sent_total", 'odd "alias"')
    assert after[key] - before[key] == 5


def test_without_the_extra_it_says_so(bare: Environment) -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None; import compat.metrics; import compat.prometheus"
    )
    done = bare.run("python", "-c", code, cwd=REPO)
    assert done.returncode == 1
    assert "pip install 'channels-compat[metrics]'" in done.stderr
