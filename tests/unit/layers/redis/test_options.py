"""Making a Redis layer: defaults of channels_redis, clear errors, and no connection."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from compat.layers import ChannelLayerManager, channel_layers
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.settings import override

NOWHERE = ["redis://127.0.0.1:1"]


def test_the_queue_layers_defaults() -> None:
    layer = RedisChannelLayer()
    assert (layer.prefix, layer.expiry, layer.group_expiry, layer.capacity) == ("asgi", 60, 86400, 100)
    assert layer.hosts == [{"address": "redis://localhost:6379"}] and layer.ring_size == 1
    assert layer.extensions == ["groups", "flush"] and layer.brpop_timeout == 5
    assert (layer.lease, layer.on_overflow, layer.on_disconnect, layer.on_reconnect) == (
        60,
        "drop",
        None,
        None,
    )
    assert str(layer) == "RedisChannelLayer(hosts=[{'address': 'redis://localhost:6379'}])"
    names = list(inspect.signature(RedisChannelLayer).parameters)
    assert names[:6] == ["hosts", "prefix", "expiry", "group_expiry", "capacity", "channel_capacity"]
    assert names[6:9] == ["symmetric_encryption_keys", "random_prefix_length", "serializer_format"]


def test_the_pubsub_layers_defaults() -> None:
    layer = RedisPubSubChannelLayer()
    assert (layer.prefix, layer.expiry, layer.capacity) == ("asgi", float("inf"), 1000)
    positional = RedisPubSubChannelLayer(NOWHERE, "chat", "gone", "back")
    assert (positional.prefix, positional.on_disconnect, positional.on_reconnect) == (
        "chat",
        {"type": "gone"},
        {"type": "back"},
    )


def test_values_can_be_read_back() -> None:
    layer = RedisChannelLayer(
        hosts=NOWHERE, prefix="queue", expiry=900, capacity=1000, group_expiry=5, lease=7
    )
    assert (layer.prefix, layer.expiry, layer.capacity, layer.group_expiry, layer.lease) == (
        "queue",
        900,
        1000,
        5,
        7,
    )
    assert layer.hosts == [{"address": NOWHERE[0]}]


def test_the_pubsub_layer_takes_the_queue_layers_options() -> None:
    layer = RedisPubSubChannelLayer(
        hosts=NOWHERE,
        expiry=60,
        capacity=100,
        group_expiry=86400,
        random_prefix_length=12,
        channel_capacity={},
    )
    assert (layer.expiry, layer.capacity) == (60, 100)


def test_an_option_that_only_upstreams_pubsub_takes_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It ignores all that it does not know, and the settings of some projects have such options."""
    RedisPubSubChannelLayer(hosts=NOWHERE, password="secret")
    (record,) = caplog.records
    assert "has no option 'password'" in record.getMessage() and "secret" not in caplog.text
    with pytest.raises(TypeError, match="unexpected option 'password'"):
        RedisChannelLayer(hosts=NOWHERE, password="secret")


@pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"hosts": "redis://h"},
            ValueError,
            "You must pass a list of Redis hosts, even if there is only one.",
        ),
        ({"host": NOWHERE}, TypeError, "unexpected option 'host'.*did you mean 'hosts'"),
        ({"prefix": 5}, TypeError, "prefix must be a str, not 5"),
        ({"expiry": 0}, ValueError, "expiry must be a number greater than 0, not 0"),
        ({"capacity": "100"}, ValueError, "capacity must be a number greater than 0, not '100'"),
        ({"expiry": float("nan")}, ValueError, "expiry must be a number greater than 0, not nan"),
        (
            {"channel_capacity": [("x", 1)]},
            ValueError,
            "channel_capacity must be a dict of pattern to capacity",
        ),
        ({"channel_capacity": {5: 1}}, ValueError, "a pattern is a glob such as .* not 5"),
        (
            {"channel_capacity": {"x": "9"}},
            ValueError,
            r"channel_capacity\['x'\] must be a number .*, not '9'",
        ),
        ({"serializer_format": "xml"}, KeyError, "there is no serializer 'xml'"),
        ({"symmetric_encryption_keys": "key"}, ValueError, "must be a list of possible keys"),
        ({"symmetric_encryption_keys": {"a": "key"}}, ValueError, "must be a list of possible keys"),
        (
            {"symmetric_encryption_keys": [b"key", ""]},
            ValueError,
            "each key is a non-empty str or bytes; found ''",
        ),
        ({"on_overflow": "wait"}, ValueError, "on_overflow='wait': expected one of"),
        ({"on_disconnect": 5}, ValueError, "on_disconnect must be a message type such as 'redis.disconnect'"),
    ],
)
def test_mistakes_are_explained(cls: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        cls(**options)


@pytest.mark.parametrize(
    "options",
    [{"lease": 0}, {"group_expiry": 0.5}, {"lease": "60"}, {"expiry": float("inf")}, {"lease": float("nan")}],
)
def test_times_of_the_queue_layer(options: Any) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds, 1 or more"):
        RedisChannelLayer(**options)


def test_a_backend_of_channels_redis_means_ours() -> None:
    backends = {
        "channels_redis.core.RedisChannelLayer": RedisChannelLayer,
        "channels_redis.pubsub.RedisPubSubChannelLayer": RedisPubSubChannelLayer,
    }
    for path, cls in backends.items():
        entry = {
            "BACKEND": path,
            "CONFIG": {"hosts": NOWHERE},
            "TEST_CONFIG": {"hosts": NOWHERE, "prefix": "test"},
        }
        with override(CHANNEL_LAYERS={"default": entry}):
            manager = ChannelLayerManager()
            assert type(manager["default"]) is cls
            assert manager.make_test_backend("default").prefix == "test"


def test_a_layer_is_called_by_its_alias() -> None:
    layer = RedisChannelLayer(hosts=["redis://:secret@127.0.0.1:1"])
    assert layer.name() == "channel layer RedisChannelLayer"
    channel_layers.register("events", layer)
    try:
        error = layer.explain(layer.redis_hosts[0], "connection refused")
    finally:
        channel_layers.unregister("events")
    assert "channel layer 'events' cannot use Redis at 127.0.0.1:1: connection refused" in str(error)
    assert "secret" not in str(error)


def test_the_key_of_a_group_by_upstreams_name() -> None:
    assert RedisChannelLayer()._group_key("chat") == b"asgi:group:chat"
    assert RedisChannelLayer(prefix="mine")._group_key("chat") == b"mine:group:chat"
