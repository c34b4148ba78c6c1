"""The table of names that moved from other libraries to ours; ``check``, ``port`` and tests of the shim's
mirrors use it.

``MODULES``: modules whose names are, unchanged, in a module of ours. ``NAMES``: names that moved elsewhere or
were renamed. ``GONE``: names without an equivalent, and what to do instead. ``PREFIXES``: packages whose
modules are all ours under another prefix. ``NAMESAKES``: libraries that share their name with another one.
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
    "NAMESAKES",
    "PACKAGES",
    "PORTED",
    "PREFIXES",
    "PROVIDED",
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
"""Packages that the shim provides."""

PROVIDED = (*SHIMMED, "django")
"""Packages that a project imports and only the shim, or the real packages, can provide."""

PORTED = ("fast_channels", "chanx", "fastapi_channels")
"""Packages whose projects must be ported."""

PACKAGES = (*SHIMMED, *PORTED)
"""Packages whose names are here under other names."""

LIBRARIES = (*PACKAGES, "django")
"""Every package that ``check`` and ``port`` know."""

DJANGO = "django_shim.django"
"""The package that replaces ``django`` in a ported project without Django."""

WITH_DJANGO = "django_shim.with_django"
"""The app that connects compat with the real Django; names below it need the real Django."""

APPS: Mapping[str, str] = {
    "daphne": WITH_DJANGO,
    "daphne.apps.DaphneConfig": WITH_DJANGO,
    "channels": WITH_DJANGO,
    "channels.apps.ChannelsConfig": WITH_DJANGO,
    "chanx.channels": WITH_DJANGO,
    "chanx.channels.apps.ChanxChannelsConfig": WITH_DJANGO,
}
"""Entries of INSTALLED_APPS, and the entry that replaces each, or all of them, in a ported project."""

PREFIXES: Mapping[str, str] = {
    "channels": "compat",
    "channels_redis": "compat.layers.redis",
}
"""Packages whose modules are all ours under another prefix; ``MODULES`` precedes."""

_MODULES = {
    f"{WITH_DJANGO}.management.commands.runworker": "channels.management.commands.runworker",
    f"{WITH_DJANGO}.management.commands.runserver": "daphne.management.commands.runserver",
    "compat.generic.websocket": "fast_channels.consumer fast_channels.consumer.websocket",
    "compat.consumer": "fast_channels.consumer.base",
    "compat.generic.http": "fast_channels.consumer.http",
    "compat.exceptions": "fast_channels.exceptions",
    "compat.layers": "fast_channels.layers fast_channels.layers.registry",
    "compat.layers.base": "fast_channels.layers.base",
    "compat.layers.memory": "fast_channels.layers.in_memory",
    "compat.layers.redis": "fast_channels.layers.redis",
    "compat.layers.redis.core": "fast_channels.layers.redis.core",
    "compat.layers.redis.pubsub": "fast_channels.layers.redis.pubsub",
    "compat.layers.redis.serializers": "fast_channels.layers.redis.serializers",
    "compat.security.websocket": "fast_channels.middleware fast_channels.middleware.websocket",
    "compat.middleware": "fast_channels.middleware.base",
    "compat.testing": "fast_channels.testing",
    "compat.testing.application": "fast_channels.testing.application",
    "compat.testing.http": "fast_channels.testing.http",
    "compat.testing.websocket": "fast_channels.testing.websocket",
    "compat.types": "fast_channels.type_defs",
    "compat.typed.asyncapi": "chanx.asyncapi chanx.fast_channels chanx.fast_channels.type_defs "
    "chanx.fast_channels.views",
    "compat.routing": "chanx.channels.routing",
    "compat.typed.testing": "chanx.channels.testing chanx.core.testing chanx.fast_channels.testing",
    "compat.typed": "chanx.channels.websocket chanx.core.decorators chanx.core.topic chanx.core.websocket "
    "chanx.fast_channels.websocket chanx.messages.base chanx.messages.incoming "
    "chanx.messages.outgoing chanx.messages.topic",
    "compat.typed.constants": "chanx.constants",
    "compat.typed.authenticator": "chanx.core.authenticator",
    "compat.typed.config": "chanx.core.config",
    "compat.typed.envelope": "chanx.core.envelope",
    "compat.typed.groups": "chanx.utils.groups",
    "compat.typed.scope": "chanx.utils.scope",
}

_OF_MANAGER = """
backends backends.base backends.memory backends.redis config connections connections.heartbeat
connections.manager connections.registry connections.state consumer consumer.base exceptions middleware
middleware.base middleware.logging middleware.rate_limit middleware.validation serializers serializers.base
serializers.json_serializer serializers.orjson_serializer serializers.pickle_serializer typed utils
utils.batching utils.retry
"""

MODULES: Mapping[str, str] = {
    **{old: new for new, modules in _MODULES.items() for old in modules.split()},
    "fastapi_channels": "compat.manager",
    **{f"fastapi_channels.{module}": f"compat.manager.{module}" for module in _OF_MANAGER.split()},
}
"""Modules whose names are, unchanged, in a module of ours."""

_MOVED = (
    ("channels", "compat.layers", "DEFAULT_CHANNEL_LAYER"),
    ("channels.auth", "compat.db", "database_sync_to_async"),
    (
        "channels.auth",
        "django_shim.with_django.auth",
        "constant_time_compare get_user_model load_backend user_logged_in user_logged_out",
    ),
    ("channels.consumer fast_channels.utils", "compat.utils", "await_many_dispatch"),
    ("channels.generic.http channels.generic.websocket", "compat.db", "aclose_old_connections"),
    ("channels.layers", "compat.layers.memory", "time"),  # tests patch its clock
    ("channels.testing", "django_shim.with_django.live", "ChannelsLiveServerTestCase"),
    (
        "channels.testing.live",
        "django_shim.with_django.live",
        "ChannelsLiveServerTestCase DaphneProcess TEST_DATABASE_PREFIX TransactionTestCase "
        "set_database_connection",
    ),
    ("channels_redis.core", "compat.layers", "BaseChannelLayer"),
    (
        "channels_redis.core channels_redis.pubsub",
        "compat.layers.redis.utils",
        "_close_redis _consistent_hash _wrap_close create_pool decode_hosts",
    ),
    ("channels_redis.core", "compat.layers.redis.upstream_names", "RedisLoopLayer"),
    ("channels_redis.core channels_redis.pubsub", "compat.layers.redis.serializers", "registry"),
    (
        "channels_redis.pubsub",
        "compat.layers.redis.upstream_names",
        "RedisPubSubLoopLayer RedisSingleShardConnection",
    ),
    ("chanx.channels.routing", "compat.patterns", "path re_path"),
    ("chanx.core.decorators", "compat.typed.decorators", "OutputType"),
    ("chanx.core.envelope", "compat.typed", "TopicErrorReason"),
    ("chanx.core.websocket", "compat.typed", "ChanxWebsocketConsumerMixin=AsyncJsonWebsocketConsumer"),
    (
        "chanx.messages.outgoing",
        "compat.typed.constants",
        "EVENT_ACTION_COMPLETE GROUP_ACTION_COMPLETE MESSAGE_ACTION_COMPLETE",
    ),
    ("chanx.type_defs", "compat.typed.decorators", "ChannelInfo"),
    ("chanx.type_defs", "compat.typed.events", "EventPayload GroupMessageEvent"),
    ("chanx.utils.scope", "compat.types", "Scope"),
    ("chanx.utils.streaming", "compat.typed.streaming", "DeltaTracker"),
    ("fast_channels.consumer", "compat.generic.http", "AsyncHttpConsumer"),
    (
        "fast_channels.layers fast_channels.layers.registry",
        "compat.layers",
        "ChannelLayerRegistry=ChannelLayerManager",
    ),
    ("fast_channels.middleware", "compat.middleware", "BaseMiddleware"),
    (
        "fast_channels.type_defs",
        "compat.types",
        "ASGI3Application=ASGIApp ASGIApplication=ASGIApp ASGIReceiveCallable=Receive "
        "ASGISendCallable=Send ChannelApplication=ASGIApp ChannelMessage=Message ChannelScope=Scope "
        "MiddlewareProtocol=ASGIApp",
    ),
    ("fast_channels.type_defs", "compat.consumer", "ASGIApplicationProtocol=ConsumerApp"),
    (  # a star import leaves them to Python, so they are not in __all__
        "fastapi_channels.exceptions",
        "compat.manager.exceptions",
        "ConnectionError SystemError TimeoutError",
    ),
)
"""Old modules, the new module, and the names; ``old=new`` is a name that changed."""

NAMES: Mapping[Name, Name] = {
    Name(module, old): Name(target, new or old)
    for modules, target, names in _MOVED
    for module in modules.split()
    for old, _, new in (name.partition("=") for name in names.split())
}
"""Names that moved to another module than ``MODULES`` says, or were renamed."""

NAMESAKES: Mapping[str, frozenset[str]] = {
    "fastapi_channels": frozenset(
        "FastAPIChannel add_channel api channels decorators exceptions.ActionIsDeprecated "
        "exceptions.ActionNotExist exceptions.MethodNotAllowed exceptions.NotFound exceptions.ParseError "
        "exceptions.PermissionDenied exceptions.RateLimitExceeded exceptions.WebSocketException "
        "exceptions.WebSocketExceptionHandler lifespan metaclssses permission throttling types used".split()
    ),
}
"""Libraries that share their name with another one, of which nothing is here, and what only that one has.

``fastapi_channels`` is also the name of a package on the package index.
"""

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
    "daphne.testing": "with compat.testing.live.LiveServer(application) as server: it has server.url and "
    "server.ws_url",
    "chanx.asyncapi.constants": "the defaults are those of compat.typed.asyncapi.document(app)",
    "chanx.asyncapi.docs": "compat.typed.asyncapi.asyncapi_docs() returns the page",
    "chanx.asyncapi.generator": "use compat.typed.asyncapi.document(app), which returns a dict",
    "chanx.asyncapi.type_defs": "compat.typed.asyncapi.document(app) returns a dict of JSON values",
    "chanx.channels.authenticator": "it runs a Django REST framework view; write a BaseAuthenticator, or use "
    "UserAuthenticator (compat.typed) behind AuthMiddlewareStack",
    "chanx.channels.apps": 'remove "chanx.channels" from INSTALLED_APPS: compat.typed needs no app',
    "chanx.channels.discovery": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an "
    "application",
    "chanx.channels.management": "channels-compat asyncapi mysite.asgi:application prints the document",
    "chanx.channels.routing.include": "give path() a URLRouter: path('ws/', URLRouter(patterns))",
    "chanx.channels.settings": "compat.typed.config.config has each option of the setting CHANX in lower "
    "case, as in config.camelize",
    "chanx.channels.testing.WebsocketTestCase": "open a communicator in each test: async with "
    "DjangoWebsocketCommunicator(application, path, consumer=Consumer) as client",
    "chanx.channels.urls": "use compat.typed.asyncapi.asyncapi_app(application), and mount it at asyncapi/",
    "chanx.channels.utils": "get_websocket_application(): compat.routing.get_default_application() is one "
    'that serves websockets; override_chanx_settings(): with compat.settings.override(CHANX={"CAMELIZE": '
    "True}); request_from_scope(): starlette.requests.HTTPConnection(scope)",
    "chanx.channels.views": "use compat.typed.asyncapi.asyncapi_app(application), and mount it at asyncapi/",
    "chanx.cli": "channels-compat client",
    "chanx.client_generator": "channels-compat client, or compat.typed.codegen.write_client()",
    "chanx.constants.COMPLETE_ACTIONS_TYPE": "a str",
    "chanx.core.check": "channels-compat has one framework only",
    "chanx.core.envelope.TOPIC_EVENT_TYPE": "SomeTopic.broadcast(topic, event) sends it",
    "chanx.core.registry": "compat.typed.asyncapi.document(app) makes the schemas of messages",
    "chanx.fast_channels.constants": "the defaults are those of compat.typed.asyncapi.document(app)",
    "chanx.fast_channels.discovery": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an "
    "application",
    "chanx.fast_channels.type_defs.DEFAULT_ASYNCAPI_CONFIG": "the defaults are those of "
    "compat.typed.asyncapi.document(app)",
    "chanx.fast_channels.utils": "title, version and description are those of the app; change them with "
    "add_asyncapi(app, config=AsyncAPIConfig(title=...))",
    "chanx.routing": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an application",
    "chanx.type_defs": "compat.typed.decorators.Handler describes a handler",
    "chanx.utils.asyncio": "use asyncio.create_task, and keep the task; handlers run one at a time",
    "chanx.utils.framework": "channels-compat has one framework only",
    "chanx.utils.logging": 'logging.getLogger("compat.typed")',
    "fast_channels.layers.redis.type_defs": "the layers take hosts and keys in the same form",
    "fast_channels.layers.redis.utils": "internal; the layers take hosts in the same form",
    "fast_channels.type_defs.ChannelCapacityDict": "a dict of channel names or patterns to capacities",
    "fast_channels.type_defs.ChannelHeaders": "Iterable[tuple[bytes, bytes]]",
    "fast_channels.utils": "internal",
}
"""Names without an equivalent, by module or by module and name, and what to do instead."""


def gone(module: str, name: str | None = None) -> str | None:
    """Return what to do instead of ``from module import name`` (or ``import module``) without an equivalent,
    or None.
    """
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
    """Return our module with the names of ``module``, or None if its library is not in the table."""
    if module in MODULES:
        return MODULES[module]
    first, dot, rest = module.partition(".")
    if first not in PREFIXES or gone(module):
        return None
    return PREFIXES[first] + dot + rest


def moved_name(module: str, name: str) -> Name | None:
    """Return the new place of ``from module import name``; None if it is gone or its library is not in the
    table.
    """
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
