"""CHANNEL_LAYERS, aliases, registered layers, and the errors of a wrong dict."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compat.exceptions import InvalidChannelLayerError
from compat.layers import (
    ChannelLayerManager,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
    has_layers,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.settings import override

MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}


class Raising:
    """A backend whose constructor has a bug."""

    def __init__(self, **config: Any) -> None:
        raise KeyError("a bug of its own")


class Together(InMemoryChannelLayer):
    """A layer whose constructor ends when four threads are in it."""

    four = threading.Barrier(4, timeout=20)

    def __init__(self) -> None:
        super().__init__()
        self.four.wait()


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with override(CHANNEL_LAYERS={}):
        yield
    for alias in tuple(channel_layers.backends):
        unregister_channel_layer(alias)


def layers(**entries: Any) -> Any:
    return override(CHANNEL_LAYERS=entries)


@pytest.mark.parametrize(
    "path", ["channels.layers.InMemoryChannelLayer", "compat.layers.InMemoryChannelLayer"]
)
def test_a_backend_by_upstreams_path_or_ours(path: str) -> None:
    with layers(default={"BACKEND": path, "CONFIG": {"capacity": 7}}):
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer) and layer.capacity == 7
        assert get_channel_layer() is layer


def test_threads_that_ask_first_at_the_same_time_get_one_layer() -> None:
    with layers(default={"BACKEND": f"{__name__}.Together"}), ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(get_channel_layer) for _ in range(4)]
        assert {id(one.result(30)) for one in asked} == {id(get_channel_layer())}


def test_an_alias_that_is_not_configured_is_none() -> None:
    assert get_channel_layer() is None
    with layers(default=MEMORY):
        assert get_channel_layer("other") is None


def test_changing_the_setting_makes_new_layers_and_keeps_registered_ones() -> None:
    registered = InMemoryChannelLayer()
    register_channel_layer("mine", registered)
    with layers(default=MEMORY):
        first = get_channel_layer()
        with layers(default=MEMORY):
            assert get_channel_layer() is not first
        assert get_channel_layer("mine") is registered
    assert get_channel_layer() is None


def test_registered_layers() -> None:
    assert not has_layers() and len(channel_layers) == 0
    layer = InMemoryChannelLayer()
    register_channel_layer("chat", layer)
    assert has_layers() and list(channel_layers) == ["chat"] and "chat" in channel_layers
    assert get_channel_layer("chat") is layer
    replacement = InMemoryChannelLayer()
    register_channel_layer("chat", replacement)
    assert get_channel_layer("chat") is replacement
    unregister_channel_layer("chat")
    assert not has_layers()


def test_the_registry_by_fast_channels_names() -> None:
    with layers(default=MEMORY):
        mine = InMemoryChannelLayer()
        register_channel_layer("chat", mine)
        assert channel_layers.list_aliases() == ["chat", "default"]
        assert channel_layers.get("chat") is mine and channel_layers.get("nope") is None
        made = channel_layers.get("default")
        assert made is get_channel_layer()
        channel_layers.clear()
        assert channel_layers.list_aliases() == ["default"]
        assert channel_layers.get("default") is not made


def test_a_reset_by_channels_private_name() -> None:
    manager = ChannelLayerManager()
    manager.set(key="mine", layer=InMemoryChannelLayer())
    manager._reset_backends("OTHER")
    assert manager.backends
    manager._reset_backends(setting="CHANNEL_LAYERS", value=None, enter=True)
    assert not manager.backends


def test_set_puts_a_layer_in_and_gives_the_old_one_back() -> None:
    with layers(default=MEMORY):
        mine = InMemoryChannelLayer()
        assert channel_layers.set("default", mine) is None
        assert get_channel_layer() is mine
        assert channel_layers.set("default", None) is mine
        assert get_channel_layer() is not mine


def test_test_backends() -> None:
    with layers(default={**MEMORY, "TEST_CONFIG": {"expiry": 100500}}, bare=MEMORY):
        assert channel_layers.make_test_backend("default").expiry == 100500
        with pytest.raises(InvalidChannelLayerError, match="No TEST_CONFIG specified for bare"):
            channel_layers.make_test_backend("bare")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({}, "No BACKEND specified for default"),
        ({"BACKEND": "nowhere.Layer"}, "Cannot import BACKEND 'nowhere.Layer' specified for default"),
        (
            {"BACKEND": "channels.layers.InMemoryChanelLayer"},
            "did you mean 'channels.layers.InMemoryChannelLayer'",
        ),
        ({"BACKEND": "compat.layers.NoSuchLayer"}, "Cannot import BACKEND"),
        ({"BACKEND": InMemoryChannelLayer}, "expected a dotted path"),
        ({**MEMORY, "ROUTING": "x"}, "ROUTING"),
        (
            {**MEMORY, "CONFG": {}},
            r"CHANNEL_LAYERS\['default'\] has an unknown key 'CONFG'; did you mean 'CONFIG'",
        ),
        ({**MEMORY, "history": {}}, "unknown key 'history'.*options of the layer belong into its CONFIG"),
        ({**MEMORY, "CONFIG": ["x"]}, "must be a dict"),
        ("channels.layers.InMemoryChannelLayer", "must be a dict with a BACKEND.*a layer has an alias"),
    ],
)
def test_a_wrong_entry_says_what_is_wrong(entry: Any, text: str) -> None:
    with layers(default=entry), pytest.raises(InvalidChannelLayerError, match=text):
        get_channel_layer()


@pytest.mark.parametrize(
    ("beside", "text"),
    [
        ({"symmetric_encryption_keys": ["secret"]}, "options of the layer belong into its CONFIG"),
        ({"LOCATION": "here"}, "unknown key 'LOCATION'"),
    ],
)
def test_a_key_that_channels_ignores_is_a_warning(
    beside: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with layers(default={**MEMORY, **beside}):
        assert isinstance(get_channel_layer(), InMemoryChannelLayer)
        get_channel_layer()
    (record,) = caplog.records
    assert record.levelname == "WARNING" and text in record.getMessage() and "secret" not in caplog.text


def test_a_wrong_setting_says_what_is_wrong() -> None:
    with (
        override(CHANNEL_LAYERS=["x"]),
        pytest.raises(InvalidChannelLayerError, match="CHANNEL_LAYERS must be a dict"),
    ):
        get_channel_layer()


def test_an_error_of_a_backend_is_not_taken_for_a_missing_alias() -> None:
    with (
        layers(default={"BACKEND": f"{__name__}.Raising"}),
        pytest.raises(KeyError, match="a bug of its own"),
    ):
        get_channel_layer()


def test_an_option_that_does_not_exist() -> None:
    with (
        layers(default={**MEMORY, "CONFIG": {"expiri": 1}}),
        pytest.raises(TypeError, match="did you mean 'expiry'"),
    ):
        get_channel_layer()


def test_an_embedded_layer_stands_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COMPAT_EMBEDDED_LAYERS", "default")
    with layers(default={"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["x"]}}):
        assert isinstance(get_channel_layer(), InMemoryChannelLayer)
    assert len(caplog.records) == 1 and "stands in for" in caplog.text


def test_a_layer_is_made_while_another_one_looks_who_is_beside_it() -> None:
    """Was: RuntimeError, a dictionary had changed its size, from get_channel_layer()."""
    queue = "compat.layers.redis.core.RedisChannelLayer"
    entries = {alias: {"BACKEND": queue, "CONFIG": {"prefix": alias}} for alias in ("a", "ab", "z")}

    class OtherThread(logging.Handler):
        """Makes one just when the second layer says that its prefix begins with the first one's."""

        def emit(self, record: logging.LogRecord) -> None:
            other = threading.Thread(target=get_channel_layer, args=("z",))
            other.start()
            other.join()

    other = OtherThread()
    logging.getLogger("compat.layers").addHandler(other)
    try:
        with override(CHANNEL_LAYERS=entries):
            first = get_channel_layer("a")
            assert get_channel_layer("ab") is not first
            assert set(channel_layers.backends) >= {"a", "ab", "z"}
    finally:
        logging.getLogger("compat.layers").removeHandler(other)
