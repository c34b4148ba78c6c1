"""Where the names of other libraries have gone: the one table behind the docs and the tools that port.

Pure data, and two look-ups. ``MODULES`` says which module of ours has what a module of theirs has, under the
same names; ``NAMES`` has what is called otherwise or lies elsewhere; ``GONE`` what has no equal, and what to
do. Rules stand in for what follows from them: every module of Channels is ours with its first word replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["GONE", "MODULES", "NAMES", "PREFIXES", "Name", "moved_module", "moved_name"]


class Name(NamedTuple):
    """A name and the module that it is imported from."""

    module: str
    name: str


PREFIXES: Mapping[str, str] = {
    "channels": "compat",
    "channels_redis": "compat.layers.redis",
    "fastapi_channels": "compat.manager",
}
"""Packages whose modules are all ours under another beginning; ``MODULES`` goes first."""

MODULES: Mapping[str, str] = {
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
    Name("chanx.channels.routing", "path"): Name("compat.patterns", "path"),
    Name("chanx.channels.routing", "re_path"): Name("compat.patterns", "re_path"),
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
    Name("chanx.utils.streaming", "DeltaTracker"): Name("compat.typed.streaming", "DeltaTracker"),
    Name("fast_channels.consumer", "AsyncHttpConsumer"): Name("compat.generic.http", "AsyncHttpConsumer"),
    Name("fast_channels.layers", "ChannelLayerRegistry"): Name("compat.layers", "ChannelLayerManager"),
    Name("fast_channels.layers.registry", "ChannelLayerRegistry"): Name(
        "compat.layers", "ChannelLayerManager"
    ),
    Name("fast_channels.middleware", "BaseMiddleware"): Name("compat.middleware", "BaseMiddleware"),
    Name("fast_channels.type_defs", "ASGIApplicationProtocol"): Name("compat.consumer", "ConsumerApp"),
    Name("fast_channels.type_defs", "MiddlewareProtocol"): Name("compat.types", "ASGIApp"),
}
"""Names that are elsewhere than ``MODULES`` says, or are called otherwise."""

GONE: Mapping[str, str] = {
    "chanx.asyncapi.generator": "use compat.typed.asyncapi.document(app), which returns a dict",
    "chanx.asyncapi.type_defs": "a document is JSON values here: compat.typed.asyncapi.document(app)",
    "chanx.channels.authenticator": "it runs a Django REST framework view; write a BaseAuthenticator, or use "
    "UserAuthenticator (compat.typed) behind AuthMiddlewareStack",
    "chanx.channels.routing.include": "give path() a URLRouter: path('ws/', URLRouter(patterns))",
    "chanx.channels.urls": "use compat.typed.asyncapi.asyncapi_app(application), and mount it at asyncapi/",
    "chanx.client_generator": "channels-compat client, or compat.typed.codegen.write_client()",
    "chanx.core.registry": "message schemas are made by compat.typed.asyncapi.document(app) when asked for",
    "chanx.routing": "compat.typed.asyncapi.consumer_routes(app) finds the consumers of an application",
    "chanx.utils.asyncio": "asyncio.create_task, and keep the task; handlers run one at a time here",
    "chanx.utils.framework": "there is one framework here",
    "fast_channels.layers.redis.utils": "internal; hosts are given to the layers as they were",
    "fast_channels.utils": "internal",
}
"""What has no equal, by module or by module and name, and what to do instead."""


def moved_module(module: str) -> str | None:
    """The module of ours that has the names of ``module``; None for one of no library known here."""
    if module in MODULES:
        return MODULES[module]
    first, dot, rest = module.partition(".")
    if first not in PREFIXES:
        return None
    return PREFIXES[first] + dot + rest


def moved_name(module: str, name: str) -> Name | None:
    """Where ``from module import name`` finds it here; None as ``moved_module``, and for what is gone."""
    if f"{module}.{name}" in GONE:
        return None
    renamed = NAMES.get(Name(module, name))
    if renamed is not None:
        return renamed
    target = moved_module(module)
    return Name(target, name) if target is not None else None
