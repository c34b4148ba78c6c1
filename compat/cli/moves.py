"""Where the names of other libraries have gone: the one table behind the docs and the tools that port.

Pure data, and its look-ups. ``MODULES`` says which module of ours has what a module of theirs has, under the
same names; ``NAMES`` has what is called otherwise or lies elsewhere; ``GONE`` what has no equal, and what to
do. Rules stand in for what follows from them: every module of Channels is ours with its first word replaced.
``channels-compat check`` and ``port``, the docs and the tests of the shim's mirrors go by this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "APPS",
    "DJANGO",
    "GONE",
    "LIBRARIES",
    "MODULES",
    "NAMES",
    "PREFIXES",
    "SHIMMED",
    "WITH_DJANGO",
    "Name",
    "gone",
    "moved_module",
    "moved_name",
]


class Name(NamedTuple):
    """A name and the module that it is imported from."""

    module: str
    name: str


SHIMMED = ("channels", "channels_redis", "daphne")
"""Packages that the shim serves: what imports them runs as it is."""

LIBRARIES = (*SHIMMED, "django", "fast_channels", "chanx", "fastapi_channels")
"""Every package that the tools know."""

DJANGO = "django_shim.django"
"""Where ``django`` is imported from in a ported project that has no Django."""

WITH_DJANGO = "django_shim.with_django"
"""The app that connects compat with the real Django; names below it need the real Django."""

APPS: Mapping[str, str] = {
    "daphne": WITH_DJANGO,
    "daphne.apps.DaphneConfig": WITH_DJANGO,
    "channels": WITH_DJANGO,
    "channels.apps.ChannelsConfig": WITH_DJANGO,
}
"""Entries of INSTALLED_APPS, and what stands there in a ported project."""

PREFIXES: Mapping[str, str] = {
    "channels": "compat",
    "channels_redis": "compat.layers.redis",
    "fastapi_channels": "compat.manager",
}
"""Packages whose modules are all ours under another beginning; ``MODULES`` goes first."""

MODULES: Mapping[str, str] = {
    # commands of manage.py
    "channels.management.commands.runworker": f"{WITH_DJANGO}.management.commands.runworker",
    "daphne.management.commands.runserver": f"{WITH_DJANGO}.management.commands.runserver",
    # fast-channels
    "fast_channels.consumer": "compat.generic.websocket",
    "fast_channels.consumer.base": "compat.consumer",
    "fast_channels.consumer.http": "compat.generic.http",
    "fast_channels.consumer.websocket": "compat.generic.websocket",
    "fast_channels.exceptions": "compat.exceptions",
    "fast_channels.layers": "compat.layers",
    "fast_channels.layers.base": "compat.layers.base",
    "fast_channels.layers.in_memory": "compat.layers.memory",
    "fast_channels.layers.redis": "compat.layers.redis",
    "fast_channels.layers.redis.core": "compat.layers.redis.core",
    "fast_channels.layers.redis.pubsub": "compat.layers.redis.pubsub",
    "fast_channels.layers.redis.serializers": "compat.layers.redis.serializers",
    "fast_channels.layers.registry": "compat.layers",
    "fast_channels.middleware": "compat.security.websocket",
    "fast_channels.middleware.base": "compat.middleware",
    "fast_channels.middleware.websocket": "compat.security.websocket",
    "fast_channels.testing": "compat.testing",
    "fast_channels.testing.application": "compat.testing.application",
    "fast_channels.testing.http": "compat.testing.http",
    "fast_channels.testing.websocket": "compat.testing.websocket",
    "fast_channels.type_defs": "compat.types",
    # Chanx
    "chanx.asyncapi": "compat.typed.asyncapi",
    "chanx.channels.routing": "compat.routing",
    "chanx.channels.testing": "compat.typed.testing",
    "chanx.channels.websocket": "compat.typed",
    "chanx.constants": "compat.typed.constants",
    "chanx.core.authenticator": "compat.typed.authenticator",
    "chanx.core.config": "compat.typed.config",
    "chanx.core.decorators": "compat.typed",
    "chanx.core.envelope": "compat.typed.envelope",
    "chanx.core.testing": "compat.typed.testing",
    "chanx.core.topic": "compat.typed",
    "chanx.core.websocket": "compat.typed",
    "chanx.fast_channels": "compat.typed.asyncapi",
    "chanx.fast_channels.testing": "compat.typed.testing",
    "chanx.fast_channels.type_defs": "compat.typed.asyncapi",
    "chanx.fast_channels.views": "compat.typed.asyncapi",
    "chanx.fast_channels.websocket": "compat.typed",
    "chanx.messages.base": "compat.typed",
    "chanx.messages.incoming": "compat.typed",
    "chanx.messages.outgoing": "compat.typed",
    "chanx.messages.topic": "compat.typed",
    "chanx.utils.groups": "compat.typed.groups",
    "chanx.utils.scope": "compat.typed.scope",
}
"""Modules whose names are found, unchanged, in a module of ours."""

NAMES: Mapping[Name, Name] = {
    # what upstream's modules pass on
    Name("channels", "DEFAULT_CHANNEL_LAYER"): Name("compat.layers", "DEFAULT_CHANNEL_LAYER"),
    Name("channels.auth", "database_sync_to_async"): Name("compat.db", "database_sync_to_async"),
    Name("channels.consumer", "await_many_dispatch"): Name("compat.utils", "await_many_dispatch"),
    Name("channels.generic.http", "aclose_old_connections"): Name("compat.db", "aclose_old_connections"),
    Name("channels.generic.websocket", "aclose_old_connections"): Name("compat.db", "aclose_old_connections"),
    Name("channels.testing", "ChannelsLiveServerTestCase"): Name(
        "django_shim.with_django.live", "ChannelsLiveServerTestCase"
    ),
    Name("channels.testing.live", "ChannelsLiveServerTestCase"): Name(
        "django_shim.with_django.live", "ChannelsLiveServerTestCase"
    ),
    Name("channels.testing.live", "TEST_DATABASE_PREFIX"): Name(
        "django_shim.with_django.live", "TEST_DATABASE_PREFIX"
    ),
    Name("channels.testing.live", "set_database_connection"): Name(
        "django_shim.with_django.live", "set_database_connection"
    ),
    Name("channels_redis.core", "BaseChannelLayer"): Name("compat.layers", "BaseChannelLayer"),
    Name("channels_redis.core", "_close_redis"): Name("compat.layers.redis.utils", "_close_redis"),
    Name("channels_redis.core", "_consistent_hash"): Name("compat.layers.redis.utils", "_consistent_hash"),
    Name("channels_redis.core", "_wrap_close"): Name("compat.layers.redis.utils", "_wrap_close"),
    Name("channels_redis.core", "RedisLoopLayer"): Name(
        "compat.layers.redis.upstream_names", "RedisLoopLayer"
    ),
    Name("channels_redis.core", "create_pool"): Name("compat.layers.redis.utils", "create_pool"),
    Name("channels_redis.core", "decode_hosts"): Name("compat.layers.redis.utils", "decode_hosts"),
    Name("channels_redis.core", "registry"): Name("compat.layers.redis.serializers", "registry"),
    Name("channels_redis.pubsub", "_close_redis"): Name("compat.layers.redis.utils", "_close_redis"),
    Name("channels_redis.pubsub", "_consistent_hash"): Name("compat.layers.redis.utils", "_consistent_hash"),
    Name("channels_redis.pubsub", "_wrap_close"): Name("compat.layers.redis.utils", "_wrap_close"),
    Name("channels_redis.pubsub", "RedisPubSubLoopLayer"): Name(
        "compat.layers.redis.upstream_names", "RedisPubSubLoopLayer"
    ),
    Name("channels_redis.pubsub", "RedisSingleShardConnection"): Name(
        "compat.layers.redis.upstream_names", "RedisSingleShardConnection"
    ),
    Name("channels_redis.pubsub", "create_pool"): Name("compat.layers.redis.utils", "create_pool"),
    Name("channels_redis.pubsub", "decode_hosts"): Name("compat.layers.redis.utils", "decode_hosts"),
    Name("channels_redis.pubsub", "registry"): Name("compat.layers.redis.serializers", "registry"),
    Name("chanx.channels.routing", "path"): Name("compat.patterns", "path"),
    Name("chanx.channels.routing", "re_path"): Name("compat.patterns", "re_path"),
    Name("chanx.core.decorators", "OutputType"): Name("compat.typed.decorators", "OutputType"),
    Name("chanx.core.envelope", "TopicErrorReason"): Name("compat.typed", "TopicErrorReason"),
    Name("chanx.core.websocket", "ChanxWebsocketConsumerMixin"): Name(
        "compat.typed", "AsyncJsonWebsocketConsumer"
    ),
    Name("chanx.messages.outgoing", "EVENT_ACTION_COMPLETE"): Name(
        "compat.typed.constants", "EVENT_ACTION_COMPLETE"
    ),
    Name("chanx.messages.outgoing", "GROUP_ACTION_COMPLETE"): Name(
        "compat.typed.constants", "GROUP_ACTION_COMPLETE"
    ),
    Name("chanx.messages.outgoing", "MESSAGE_ACTION_COMPLETE"): Name(
        "compat.typed.constants", "MESSAGE_ACTION_COMPLETE"
    ),
    Name("chanx.type_defs", "ChannelInfo"): Name("compat.typed.decorators", "ChannelInfo"),
    Name("chanx.type_defs", "EventPayload"): Name("compat.typed.events", "EventPayload"),
    Name("chanx.type_defs", "GroupMessageEvent"): Name("compat.typed.events", "GroupMessageEvent"),
    Name("chanx.utils.scope", "Scope"): Name("compat.types", "Scope"),
    Name("chanx.utils.streaming", "DeltaTracker"): Name("compat.typed.streaming", "DeltaTracker"),
    Name("fast_channels.consumer", "AsyncHttpConsumer"): Name("compat.generic.http", "AsyncHttpConsumer"),
    Name("fast_channels.layers", "ChannelLayerRegistry"): Name("compat.layers", "ChannelLayerManager"),
    Name("fast_channels.layers.registry", "ChannelLayerRegistry"): Name(
        "compat.layers", "ChannelLayerManager"
    ),
    Name("fast_channels.middleware", "BaseMiddleware"): Name("compat.middleware", "BaseMiddleware"),
    Name("fast_channels.type_defs", "ASGI3Application"): Name("compat.types", "ASGIApp"),
    Name("fast_channels.type_defs", "ASGIApplication"): Name("compat.types", "ASGIApp"),
    Name("fast_channels.type_defs", "ASGIApplicationProtocol"): Name("compat.consumer", "ConsumerApp"),
    Name("fast_channels.type_defs", "ASGIReceiveCallable"): Name("compat.types", "Receive"),
    Name("fast_channels.type_defs", "ASGISendCallable"): Name("compat.types", "Send"),
    Name("fast_channels.type_defs", "ChannelApplication"): Name("compat.types", "ASGIApp"),
    Name("fast_channels.type_defs", "ChannelMessage"): Name("compat.types", "Message"),
    Name("fast_channels.type_defs", "ChannelScope"): Name("compat.types", "Scope"),
    Name("fast_channels.type_defs", "MiddlewareProtocol"): Name("compat.types", "ASGIApp"),
    Name("fast_channels.utils", "await_many_dispatch"): Name("compat.utils", "await_many_dispatch"),
}
"""Names that are elsewhere than ``MODULES`` says, or are called otherwise."""

GONE: Mapping[str, str] = {
    "channels.Channel": "of Channels 1: get_channel_layer().send(name, message)",
    "channels.Group": "of Channels 1: get_channel_layer().group_send(name, message)",
    "channels.apps": 'the app "django_shim.with_django" takes its place in INSTALLED_APPS',
    "channels.asgi": "of Channels 1 and 2: ASGI_APPLICATION names it, as in mysite.asgi.application",
    "channels.http": "of Channels 2 and 3: django.core.asgi.get_asgi_application() serves the pages",
    "channels.management": 'the app "django_shim.with_django" has runworker; or run channels-compat worker',
    "channels.routing.route": "of Channels 1: URLRouter([path('ws/', Consumer.as_asgi())])",
    "channels.staticfiles": "of Channels 2 and 3: runserver serves static files by itself",
    "daphne": "run uvicorn; in tests, compat.testing.live serves an application",
    "chanx.asyncapi.constants": "the defaults are those of compat.typed.asyncapi.document(app)",
    "chanx.asyncapi.docs": "the page loads nothing from elsewhere: compat.typed.asyncapi.asyncapi_docs()",
    "chanx.asyncapi.generator": "use compat.typed.asyncapi.document(app), which returns a dict",
    "chanx.asyncapi.type_defs": "a document is JSON values here: compat.typed.asyncapi.document(app)",
    "chanx.channels.authenticator": "it runs a Django REST framework view; write a BaseAuthenticator, or use "
    "UserAuthenticator (compat.typed) behind AuthMiddlewareStack",
    "chanx.channels.apps": 'take "chanx.channels" out of INSTALLED_APPS: no app is needed here',
    "chanx.channels.discovery": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an "
    "application",
    "chanx.channels.management": "channels-compat asyncapi mysite.asgi:application prints the document",
    "chanx.channels.routing.include": "give path() a URLRouter: path('ws/', URLRouter(patterns))",
    "chanx.channels.settings": "compat.typed.config.config has each option in small letters, as in "
    "config.camelize; the setting CHANX fills it",
    "chanx.channels.testing.WebsocketTestCase": "a test opens its own: async with "
    "DjangoWebsocketCommunicator(application, path, consumer=Consumer) as client; the block ends it",
    "chanx.channels.urls": "use compat.typed.asyncapi.asyncapi_app(application), and mount it at asyncapi/",
    "chanx.channels.utils": "get_websocket_application(): compat.routing.get_default_application() is one "
    'that serves websockets; override_chanx_settings(): with compat.settings.override(CHANX={"CAMELIZE": '
    "True}); request_from_scope(): starlette.requests.HTTPConnection(scope)",
    "chanx.channels.views": "use compat.typed.asyncapi.asyncapi_app(application), and mount it at asyncapi/",
    "chanx.cli": "channels-compat client",
    "chanx.client_generator": "channels-compat client, or compat.typed.codegen.write_client()",
    "chanx.constants.COMPLETE_ACTIONS_TYPE": "a str",
    "chanx.core.check": "there is one framework here",
    "chanx.core.envelope.TOPIC_EVENT_TYPE": "SomeTopic.broadcast(topic, event) sends it",
    "chanx.core.registry": "message schemas are made by compat.typed.asyncapi.document(app) when asked for",
    "chanx.fast_channels.constants": "the defaults are those of compat.typed.asyncapi.document(app)",
    "chanx.fast_channels.discovery": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an "
    "application",
    "chanx.fast_channels.type_defs.DEFAULT_ASYNCAPI_CONFIG": "the defaults are those of "
    "compat.typed.asyncapi.document(app)",
    "chanx.fast_channels.utils": "title, version and description are the app's own; say otherwise with "
    "add_asyncapi(app, config=AsyncAPIConfig(title=...))",
    "chanx.routing": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an application",
    "chanx.type_defs": "what is said of a handler is a compat.typed.decorators.Handler",
    "chanx.utils.asyncio": "asyncio.create_task, and keep the task; handlers run one at a time here",
    "chanx.utils.framework": "there is one framework here",
    "chanx.utils.logging": 'logging.getLogger("compat.typed")',
    "fast_channels.layers.redis.type_defs": "hosts and keys are given to the layers as they were",
    "fast_channels.layers.redis.utils": "internal; hosts are given to the layers as they were",
    "fast_channels.type_defs.ChannelCapacityDict": "a dict: what a channel holds, by its name or a pattern",
    "fast_channels.type_defs.ChannelHeaders": "Iterable[tuple[bytes, bytes]]",
    "fast_channels.utils": "internal",
}
"""What has no equal, by module or by module and name, and what to do instead."""


def gone(module: str, name: str | None = None) -> str | None:
    """What to do instead of ``from module import name`` (or ``import module``), where there is no equal."""
    path = module if name is None else f"{module}.{name}"
    if name is not None and Name(module, name) in NAMES:
        return None
    while path:
        if path in GONE:
            return GONE[path]
        if path in MODULES:
            return None
        path = path.rpartition(".")[0]
    return None


def moved_module(module: str) -> str | None:
    """The module of ours that has the names of ``module``; None for one of no library known here."""
    if module in MODULES:
        return MODULES[module]
    first, dot, rest = module.partition(".")
    if first not in PREFIXES or gone(module):
        return None
    return PREFIXES[first] + dot + rest


def moved_name(module: str, name: str) -> Name | None:
    """Where ``from module import name`` finds it here; None as ``moved_module``, and for what is gone."""
    if gone(module, name):
        return None
    renamed = NAMES.get(Name(module, name))
    if renamed is not None:
        return renamed
    submodule = MODULES.get(f"{module}.{name}")
    if submodule is not None:
        package, _, last = submodule.rpartition(".")
        return Name(package, last)
    target = moved_module(module)
    return Name(target, name) if target is not None else None
