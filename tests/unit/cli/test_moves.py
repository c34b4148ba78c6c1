"""The table of where names have gone: every target is there, and the docs show the same table."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from compat.cli.moves import (
    APPS,
    GONE,
    MODULES,
    NAMES,
    PREFIXES,
    SHIMMED,
    Name,
    gone,
    moved_module,
    moved_name,
)
from compat.cli.porting.paths import moved, resolve
from compat.cli.porting.served import served
from tests.support.paths import REPO

SECTION = "## Where names have gone"
SEEDS = {
    "chanx.core.decorators": ("channel", "event_handler", "ws_handler"),
    "chanx.messages.base": ("BaseMessage",),
    "chanx.messages.incoming": ("PingMessage",),
    "chanx.messages.outgoing": ("PongMessage", "ErrorMessage", "CompleteMessage", "GroupCompleteMessage"),
    "chanx.fast_channels.websocket": ("AsyncJsonWebsocketConsumer", "ReceiveEvent"),
    "chanx.fast_channels": ("asyncapi_docs", "asyncapi_spec_json", "asyncapi_spec_yaml"),
    "chanx.fast_channels.testing": ("WebsocketCommunicator",),
    "chanx.fast_channels.type_defs": ("AsyncAPIConfig",),
    "chanx.core.testing": (
        "WebsocketCommunicatorMixin",
        "capture_broadcast_events",
        "capture_topic_broadcasts",
    ),
    "chanx.channels.testing": ("DjangoWebsocketCommunicator", "WebsocketCommunicator"),
    "chanx.fast_channels.views": ("asyncapi_docs", "generate_asyncapi_schema"),
    "chanx.core.topic": ("Topic",),
    "chanx.core.envelope": ("Envelope", "TopicErrorReason", "current_ref", "ENVELOPE_VERSION"),
    "chanx.core.authenticator": ("BaseAuthenticator", "Credential", "CLOSE_UNAUTHENTICATED"),
    "chanx.core.config": ("Config", "config"),
    "chanx.core.websocket": ("ChanxWebsocketConsumerMixin",),
    "chanx.constants": ("EVENT_ACTION_COMPLETE", "GROUP_ACTION_COMPLETE", "MESSAGE_ACTION_COMPLETE"),
    "chanx.utils.groups": ("safe_group_name",),
    "chanx.utils.scope": ("path_param", "path_params", "query_params", "scope_user"),
    "chanx.utils.streaming": ("DeltaTracker",),
    "chanx.channels.routing": ("path", "re_path"),
    "channels.generic.websocket": ("WebsocketConsumer", "AsyncJsonWebsocketConsumer"),
    "channels.layers": ("get_channel_layer",),
    "channels.routing": ("ProtocolTypeRouter", "URLRouter"),
    "channels_redis.core": ("RedisChannelLayer",),
    "channels_redis.pubsub": ("RedisPubSubChannelLayer",),
    "fast_channels.consumer": ("AsyncConsumer", "AsyncHttpConsumer", "AsyncWebsocketConsumer"),
    "fast_channels.consumer.websocket": ("AsyncJsonWebsocketConsumer",),
    "fast_channels.exceptions": ("ChannelFull", "StopConsumer", "MessageTooLarge"),
    "fast_channels.layers": (
        "BaseChannelLayer",
        "ChannelLayerRegistry",
        "InMemoryChannelLayer",
        "RedisChannelLayer",
        "channel_layers",
        "get_channel_layer",
        "has_layers",
        "register_channel_layer",
        "unregister_channel_layer",
    ),
    "fast_channels.layers.redis": ("RedisChannelLayer", "RedisPubSubChannelLayer"),
    "fast_channels.layers.registry": ("channel_layers",),
    "fast_channels.middleware": ("BaseMiddleware", "OriginValidator", "WebsocketDenier"),
    "fast_channels.testing": ("ApplicationCommunicator", "HttpCommunicator", "WebsocketCommunicator"),
    "fast_channels.type_defs": (
        "ASGIApplication",
        "ASGIApplicationProtocol",
        "ASGIReceiveCallable",
        "ASGISendCallable",
        "ChannelScope",
        "MiddlewareProtocol",
        "WebSocketDisconnectEvent",
    ),
    "fast_channels.utils": ("await_many_dispatch",),
    "channels.management.commands.runworker": ("Command",),
    "daphne.management.commands.runserver": ("Command",),
    "fast_channels.consumer.base": ("AsyncConsumer", "get_handler_name"),
    "fast_channels.consumer.http": ("AsyncHttpConsumer",),
    "fast_channels.layers.base": ("BaseChannelLayer",),
    "fast_channels.layers.in_memory": ("InMemoryChannelLayer",),
    "fast_channels.layers.redis.core": ("RedisChannelLayer",),
    "fast_channels.layers.redis.pubsub": ("RedisPubSubChannelLayer",),
    "fast_channels.layers.redis.serializers": ("registry",),
    "fast_channels.middleware.base": ("BaseMiddleware",),
    "fast_channels.middleware.websocket": ("OriginValidator", "WebsocketDenier"),
    "fast_channels.testing.application": ("ApplicationCommunicator",),
    "fast_channels.testing.http": ("HttpCommunicator",),
    "fast_channels.testing.websocket": ("WebsocketCommunicator",),
    "chanx.asyncapi": ("AsyncAPIConfig",),
    "chanx.channels.websocket": ("AsyncJsonWebsocketConsumer",),
    "chanx.messages.topic": ("SubscribeMessage", "UnsubscribeMessage"),
    "fastapi_channels": (
        "BaseConsumer",
        "BaseError",
        "Connection",
        "ConnectionManager",
        "ConnectionRegistry",
        "WSConfig",
        "get_manager",
    ),
    "fastapi_channels.backends": ("BaseBackend", "MemoryBackend", "RedisBackend"),
    "fastapi_channels.backends.base": ("BaseBackend",),
    "fastapi_channels.backends.memory": ("MemoryBackend",),
    "fastapi_channels.backends.redis": ("RedisBackend",),
    "fastapi_channels.config": ("WSConfig",),
    "fastapi_channels.connections": ("Connection", "ConnectionManager", "ConnectionRegistry"),
    "fastapi_channels.connections.heartbeat": ("HeartbeatMonitor",),
    "fastapi_channels.connections.manager": ("ConnectionManager",),
    "fastapi_channels.connections.registry": ("ConnectionRegistry",),
    "fastapi_channels.connections.state": ("Connection",),
    "fastapi_channels.consumer": ("BaseConsumer",),
    "fastapi_channels.consumer.base": ("BaseConsumer",),
    "fastapi_channels.exceptions": (
        "AuthenticationError",
        "AuthorizationError",
        "BackendError",
        "BaseError",
        "ConnectionError",
        "ErrorCategory",
        "ErrorContext",
        "ErrorResponse",
        "ErrorSeverity",
        "MessageError",
        "RateLimitError",
        "SystemError",
        "TimeoutError",
        "ValidationError",
        "create_error_context",
    ),
    "fastapi_channels.middleware": (
        "LoggingMiddleware",
        "Middleware",
        "RateLimitMiddleware",
        "ValidationMiddleware",
    ),
    "fastapi_channels.middleware.base": ("Middleware",),
    "fastapi_channels.middleware.logging": ("LoggingMiddleware",),
    "fastapi_channels.middleware.rate_limit": ("RateLimitMiddleware",),
    "fastapi_channels.middleware.validation": ("ValidationMiddleware",),
    "fastapi_channels.serializers": (
        "BaseSerializer",
        "JSONSerializer",
        "ORJSONSerializer",
        "PickleSerializer",
    ),
    "fastapi_channels.serializers.base": ("BaseSerializer",),
    "fastapi_channels.serializers.json_serializer": ("JSONSerializer",),
    "fastapi_channels.serializers.orjson_serializer": ("ORJSONSerializer",),
    "fastapi_channels.serializers.pickle_serializer": ("PickleSerializer",),
    "fastapi_channels.typed": ("ConnectionState", "Message", "MessagePriority"),
    "fastapi_channels.utils": (
        "BatchProcessor",
        "batch_items",
        "process_in_batches",
        "run_with_concurrency_limit",
        "with_retry",
    ),
    "fastapi_channels.utils.batching": ("BatchProcessor", "batch_items"),
    "fastapi_channels.utils.retry": ("with_retry",),
}
"""What people import from each module, as the libraries' documentation has it."""


NEED_DJANGO = {"channels.management.commands.runworker", "daphne.management.commands.runserver"}
"""Commands of manage.py: tests/with_django and tests/shim run them."""


@pytest.mark.parametrize("module", sorted(set(SEEDS) - NEED_DJANGO))
def test_what_people_import_is_found_here(module: str) -> None:
    for name in SEEDS[module]:
        target = moved_name(module, name)
        assert target is not None, name
        assert hasattr(importlib.import_module(target.module), target.name), target


RENAMED = {
    "ASGI3Application": "ASGIApp",
    "ASGIApplication": "ASGIApp",
    "ASGIApplicationProtocol": "ConsumerApp",
    "ASGIReceiveCallable": "Receive",
    "ASGISendCallable": "Send",
    "ChannelApplication": "ASGIApp",
    "ChannelLayerRegistry": "ChannelLayerManager",
    "ChannelMessage": "Message",
    "ChannelScope": "Scope",
    "ChanxWebsocketConsumerMixin": "AsyncJsonWebsocketConsumer",
    "MiddlewareProtocol": "ASGIApp",
}
"""What is called otherwise here; all else keeps its name."""


def test_faults_tests_porting_table_every_module_has_a_name_that_is_looked_up() -> None:
    assert set(MODULES) <= set(SEEDS)


def test_faults_tests_porting_table_names_are_kept() -> None:
    renamed = {old.name: new.name for old, new in NAMES.items() if old.name != new.name}
    assert renamed == RENAMED
    for module, names in SEEDS.items():
        for name in names:
            target = moved_name(module, name)
            assert target is not None and target.name == RENAMED.get(name, name), (module, name)


def test_faults_tests_porting_table_one_name_is_one_thing() -> None:
    """From whichever module of the library it was imported."""
    found: dict[str, set[int]] = {}
    objects = []
    for module in set(SEEDS) - NEED_DJANGO:
        for name in SEEDS[module]:
            target = moved_name(module, name)
            assert target is not None
            value = getattr(importlib.import_module(target.module), target.name)
            objects.append(value)  # keeps its id
            found.setdefault(f"{module.split('.')[0]}.{name}", set()).add(id(value))
    assert len(objects) > 80
    assert {name for name, ids in found.items() if len(ids) > 1} == set()


OURS = {old: new for old, new in NAMES.items() if not new.module.startswith("django_shim")}
"""The others are test cases that import the real Django: tests/with_django runs them."""


@pytest.mark.parametrize("module", sorted(set(MODULES.values()) | {name.module for name in OURS.values()}))
def test_every_module_that_the_table_names_is_there(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize(("old", "new"), OURS.items())
def test_every_name_that_the_table_names_is_there(old: Name, new: Name) -> None:
    assert hasattr(importlib.import_module(new.module), new.name)


def test_rules_of_packages() -> None:
    assert moved_module("channels") == "compat"
    assert moved_module("channels.security.websocket") == "compat.security.websocket"
    assert moved_module("channels_redis.core") == "compat.layers.redis.core"
    assert moved_module("fastapi_channels.config") == "compat.manager.config"
    assert moved_module("channelsnot.core") is None
    assert moved_module("chanx.unknown") is None
    assert moved_name("chanx.channels.routing", "include") is None
    assert moved_name("elsewhere", "name") is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("chanx.channels.discovery", "get_websocket_routes"),
        ("chanx.channels.settings", "chanx_settings"),
        ("chanx.channels.testing", "WebsocketTestCase"),
        ("chanx.channels.utils", "override_chanx_settings"),
        ("chanx.channels.utils.asgi", "get_websocket_application"),
        ("chanx.channels.views", "AsyncAPIDocsView"),
        ("chanx.fast_channels.discovery", "FastAPIRouteDiscovery"),
        ("chanx.fast_channels.utils", "merge_configs"),
        ("chanx.type_defs", "HandlerInfo"),
    ],
)
def test_what_is_gone_says_what_to_do(module: str, name: str) -> None:
    assert moved_name(module, name) is None and gone(module, name)


def test_only_public_names_are_taken_for_those_of_a_library_with_a_namesake() -> None:
    """Our module may import a thing of that name from elsewhere: Starlette has a WebSocketException too."""
    for module in (one for one in SEEDS if one.startswith("fastapi_channels")):
        for name in SEEDS[module]:
            assert resolve(module, name) == moved_name(module, name), (module, name)
    ours = importlib.import_module("compat.manager.exceptions")
    assert hasattr(ours, "WebSocketException") and resolve("fastapi_channels.exceptions", "time") is None
    assert resolve("fastapi_channels.exceptions", "WebSocketException") is None
    assert not moved("fastapi_channels.exceptions.WebSocketException.__init__").path
    assert moved("fastapi_channels.ConnectionManager.broadcast").path


def test_what_is_gone_is_nowhere_else_in_the_table() -> None:
    assert not set(GONE) & set(MODULES)
    assert not {f"{old.module}.{old.name}" for old in NAMES} & set(GONE)


def mirrors() -> dict[str, tuple[str, dict[str, str]]]:
    """Each mirror of the shim by its name: its target, and the names that it takes from elsewhere."""
    found = {}
    packages = REPO / "django_shim" / "packages"
    for path in packages.rglob("*.py"):
        name = ".".join(path.relative_to(packages).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "mirror":
                elsewhere = {keyword.arg: keyword.value for keyword in node.keywords}.get("elsewhere")
                constants = {key: ast.literal_eval(value) for key, value in names.items()}
                taken = eval(ast.unparse(elsewhere), constants) if elsewhere else {}
                found[name] = (ast.literal_eval(node.args[1]), taken)
    return found


MIRRORS = mirrors()


@pytest.mark.parametrize("name", sorted(MIRRORS))
def test_the_mirrors_of_the_shim_agree_with_the_table(name: str) -> None:
    target, elsewhere = MIRRORS[name]
    assert moved_module(name) == target
    of_the_table = {old.name: f"{new.module}:{new.name}" for old, new in NAMES.items() if old.module == name}
    assert of_the_table == elsewhere


def test_every_module_that_the_shim_serves_is_in_the_table() -> None:
    for module in served().modules:
        if module.partition(".")[0] in SHIMMED:
            assert moved_module(module) or gone(module), module


def test_entries_of_installed_apps_are_served() -> None:
    for entry in APPS:
        # Nothing serves Chanx's: it is only ported.
        assert served().has(entry) or entry.endswith("Config") or entry.startswith("chanx."), entry


def test_the_docs_show_the_same_table() -> None:
    text = Path(REPO / "docs" / "porting.md").read_text(encoding="utf-8").partition(SECTION)[2]
    rows = {(old, new) for old, new in re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|", text, re.MULTILINE)}
    expected = {*MODULES.items(), *PREFIXES.items()}
    expected |= {(f"{old.module}.{old.name}", f"{new.module}.{new.name}") for old, new in NAMES.items()}
    assert rows == expected
    for path in GONE:
        assert f"`{path}`" in text
