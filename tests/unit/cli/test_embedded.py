"""Which layers the development server replaces, and which it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.cli.embedded import LayerState, embed_unreachable, layer_states, unreachable
from compat.layers import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    InvalidChannelLayerError,
    RedisChannelLayer,
    channel_layers,
    get_channel_layer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.settings import override
from tests.support.processes import free_port
from tests.support.redis_server import Keyless, RedisServer


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COMPAT_EMBEDDED_LAYERS", "")
    yield
    for alias in ("by-hand", "third-party"):
        unregister_channel_layer(alias)


def redis(port: int, **config: Any) -> dict[str, Any]:
    hosts = [("127.0.0.1", port)]
    return {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts, **config}}


def test_only_what_cannot_be_reached_is_replaced(redis_port: int) -> None:
    away = free_port()
    memory = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    said: list[str] = []
    with override(CHANNEL_LAYERS={"default": redis(redis_port), "jobs": redis(away), "local": memory}):
        replaced = embed_unreachable(said.append)
        assert replaced == {"jobs": f"127.0.0.1:{away}"}
        assert [type(get_channel_layer(alias)).__name__ for alias in ("default", "jobs", "local")] == [
            "RedisChannelLayer",
            "InMemoryChannelLayer",
            "InMemoryChannelLayer",
        ]
        assert os.environ["COMPAT_EMBEDDED_LAYERS"] == "jobs"
        assert [str(state) for state in layer_states(replaced)] == [
            f"default: RedisChannelLayer at 127.0.0.1:{redis_port}",
            f"jobs: InMemoryChannelLayer (this process only), while Redis at 127.0.0.1:{away} is away",
            "local: InMemoryChannelLayer (this process only)",
        ]
        assert embed_unreachable(said.append) == {}, "what has been replaced stays so"
    assert len(said) == 1
    assert f"redis-server --port {away}" in said[0]
    assert "connection refused" in said[0]


async def test_the_options_that_both_layers_have_hold_on() -> None:
    """Was: who joined got no earlier messages while Redis was away."""
    config = redis(free_port(), capacity=7, prefix="x", history={"*": {"on_join": 5}}, presence={"*": {}})
    with override(CHANNEL_LAYERS={"default": config}):
        for how in ("here", "in a process that this one starts"):
            if how == "here":
                embed_unreachable(lambda line: None)
            else:
                channel_layers.backends.clear()
            layer = get_channel_layer()
            assert isinstance(layer, InMemoryChannelLayer) and layer.capacity == 7, how
            await layer.group_send("kitchen", {"type": "dish"})
            assert list(await layer.history("kitchen")) == [{"type": "dish"}], how
            assert layer.presence_rules, how


def test_a_layer_that_was_registered_is_replaced_and_the_environment_left_alone() -> None:
    register_channel_layer("by-hand", RedisChannelLayer(hosts=[("127.0.0.1", free_port())]))
    assert list(embed_unreachable(lambda line: None)) == ["by-hand"]
    assert isinstance(get_channel_layer("by-hand"), InMemoryChannelLayer)
    assert os.environ["COMPAT_EMBEDDED_LAYERS"] == ""


def test_another_machine_is_started_there() -> None:
    said: list[str] = []
    register_channel_layer("by-hand", RedisChannelLayer(hosts=["redis://:secret@redis.invalid:6380/2"]))
    assert embed_unreachable(said.append) == {"by-hand": "redis.invalid:6380"}
    assert "start it there" in said[0]
    assert "secret" not in said[0]


def test_a_redis_that_wants_a_password_is_there(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--requirepass", "secret")
    try:
        for host in (
            server.url,
            server.url.replace("//", "//:wrong@"),
            server.url.replace("//", "//:secret@"),
        ):
            assert unreachable(RedisChannelLayer(hosts=[host])) is None
    finally:
        server.stop()


def test_a_credential_provider_that_fails_is_an_error_to_report(redis_port: int) -> None:
    """Was: a traceback of the command, instead of the consumer's."""
    host = {"host": "127.0.0.1", "port": redis_port, "credential_provider": Keyless()}
    assert unreachable(RedisChannelLayer(hosts=[host])) is None


def test_a_redis_that_hangs_is_away(redis_server: RedisServer) -> None:
    redis_server.pause()
    layer = RedisChannelLayer(hosts=[f"{redis_server.url.replace('//', '//user:password@')}/3"])
    away = unreachable(layer)
    redis_server.resume()
    assert away is not None
    assert away[1].startswith("no answer within 2 s")


async def test_inside_a_running_loop() -> None:
    assert unreachable(RedisChannelLayer(hosts=[("127.0.0.1", free_port())])) is not None


def test_a_layer_of_somebody_else_is_left_alone() -> None:
    register_channel_layer("third-party", BaseChannelLayer())
    assert embed_unreachable(lambda line: None) == {}
    assert str(layer_states({})[0]) == "third-party: BaseChannelLayer"


def test_a_layer_that_is_configured_wrongly_is_an_error() -> None:
    with override(CHANNEL_LAYERS={"default": {"BACKEND": "channels_redis.core.RedisChanelLayer"}}):
        with pytest.raises(InvalidChannelLayerError, match="did you mean"):
            embed_unreachable(lambda line: None)


def test_a_state_in_words() -> None:
    assert str(LayerState("a", "Some")) == "a: Some"
