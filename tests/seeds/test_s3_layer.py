"""S3-36 to S3-46: channels, groups and layers, in memory and on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import get_channel_layer
from compat.patterns import path
from compat.routing import URLRouter
from compat.settings import settings
from tests.seeds.conftest import Run
from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.paths import acceptance_material
from tests.support.servers import LiveServer
from tests.support.tutorial import Tutorial

MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
DEADLINE_S = 15


def redis_layer(port: int, **config: object) -> dict[str, Any]:
    """The tutorial's way of naming Redis: a (host, port) pair."""
    return {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [("127.0.0.1", port)], **config},
    }


@pytest.fixture(params=["memory", "redis"])
def layer(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The default layer, of either kind."""
    configured = MEMORY if request.param == "memory" else redis_layer(request.getfixturevalue("redis_port"))
    with settings.override(CHANNEL_LAYERS={"default": configured}):
        yield get_channel_layer()


async def received(layer: Any, channel: str) -> Any:
    return await asyncio.wait_for(layer.receive(channel), DEADLINE_S)


async def test_S3_36_whoever_knows_the_name_can_send(layer: Any, free_name: Callable[[], str]) -> None:
    mailbox, own = free_name(), await layer.new_channel()
    for channel in (mailbox, own):
        await layer.send(channel, {"type": "first"})
        await layer.send(channel, {"type": "second"})
        assert [await received(layer, channel), await received(layer, channel)] == [
            {"type": "first"},
            {"type": "second"},
        ]


async def test_S3_37_groups_add_remove_send_by_name(layer: Any, free_name: Callable[[], str]) -> None:
    group, members = free_name(), [await layer.new_channel() for _ in range(3)]
    for channel in members:
        await layer.group_add(group, channel)
    await layer.group_send(group, {"type": "to.all"})
    assert [await received(layer, channel) for channel in members] == [{"type": "to.all"}] * 3
    await layer.group_discard(group, members[1])
    await layer.group_send(group, {"type": "without.one"})
    await layer.send(members[1], {"type": "alone"})
    assert [await received(layer, channel) for channel in members] == [
        {"type": "without.one"},
        {"type": "alone"},
        {"type": "without.one"},
    ]


def test_S3_38_no_call_lists_the_members_of_a_group(layer: Any) -> None:
    names = {name for name in dir(type(layer)) if name.startswith("group_")}
    calls = {name for name in names if callable(getattr(layer, name))}
    assert {name.removesuffix("_sync") for name in calls} == {"group_add", "group_discard", "group_send"}


class Telling(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=self.channel_name)


def test_S3_39_every_consumer_has_a_channel_name_of_its_own(layer: Any) -> None:
    with LiveServer(URLRouter([path("", Telling.as_asgi())])) as server:
        names = []
        for _ in range(20):
            with Client(server, "/") as client:
                names.append(client.receive())
    assert len(set(names)) == 20 and all(names)


def test_S3_40_the_tutorial_s_channel_layers_are_read_as_they_are(
    run: Run, tutorial: Tutorial, redis_port: int
) -> None:
    project = tutorial.project(layer="redis", redis_port=redis_port)
    code = (
        "from channels.layers import get_channel_layer\n"
        "from django.conf import settings\n"
        "layer = get_channel_layer()\n"
        "print(settings.CHANNEL_LAYERS['default']['BACKEND'], type(layer).__module__, type(layer).__name__)"
    )
    expected = "channels_redis.core.RedisChannelLayer compat.layers.redis.core RedisChannelLayer"
    assert run(code, cwd=project) == expected


async def test_S3_41_a_host_as_a_pair_works(redis_port: int, free_name: Callable[[], str]) -> None:
    with settings.override(CHANNEL_LAYERS={"default": redis_layer(redis_port)}):
        layer: Any = get_channel_layer()
        name = free_name()
        await layer.send(name, {"type": "hello"})
        assert await received(layer, name) == {"type": "hello"}


def test_S3_42_asgi_application_is_accepted(run: Run) -> None:
    code = (
        "import django; django.setup()\n"
        "from channels.routing import get_default_application\n"
        "import mysite.asgi\n"
        "print(get_default_application() is mysite.asgi.application)"
    )
    assert run(code) == "True"


async def test_S3_43_several_layers_and_the_default(free_name: Callable[[], str]) -> None:
    with settings.override(CHANNEL_LAYERS={"default": MEMORY, "other": MEMORY}):
        default: Any = get_channel_layer()
        other: Any = get_channel_layer("other")
        assert default is get_channel_layer("default") is not other
        name = free_name()
        await default.send(name, {"type": "of.the.default"})
        await other.send(name, {"type": "of.the.other"})
        assert await received(other, name) == {"type": "of.the.other"}
        assert await received(default, name) == {"type": "of.the.default"}


def test_S3_44_get_channel_layer_imports_both_ways(run: Run) -> None:
    code = (
        "import channels.layers\n"
        "from channels.layers import get_channel_layer\n"
        "print(channels.layers.get_channel_layer() is get_channel_layer() is not None)"
    )
    assert run(code) == "True"


def shell_step() -> str:
    """What the seed has one type into the shell, its last expression printed; twice, as one would."""
    seed = acceptance_material() / "seeds" / "003_8c0bff871cd05d36.txt"
    lines = seed.read_text(encoding="utf-8").splitlines()
    typed = [line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")]
    *statements, last = typed
    once = "\n".join([*statements, f"print({last})"])
    return f"{once}\n{once}\n"


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_S3_45_the_shell_step_twice_in_one_process(
    env: Environment, tutorial: Tutorial, redis_port: int, kind: str
) -> None:
    project = tutorial.project(layer=kind, redis_port=redis_port)
    done = env.run("django-shim", "python", "manage.py", "shell", cwd=project, stdin=shell_step())
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert printed == ["{'type': 'hello'}"] * 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_S3_45_send_and_receive_from_two_event_loops(layer: Any, free_name: Callable[[], str]) -> None:
    name = free_name()
    for _ in range(3):
        async_to_sync(layer.send)(name, {"type": "hello"})
        assert async_to_sync(layer.receive)(name) == {"type": "hello"}


def test_S3_46_async_to_sync_is_asgiref_s_own(run: Run, project: Path) -> None:
    code = "import asgiref.sync, channels.consumer as c; print(c.async_to_sync is asgiref.sync.async_to_sync)"
    assert run(code) == "True"
