"""``channels-compat worker``: run consumers for messages that are sent to channels by name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from compat.cli.application import application_name, load_application, search_here
from compat.cli.embedded import layer_state
from compat.exceptions import CompatError
from compat.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, get_channel_layer, known_layers
from compat.worker import Worker
from compat.worker.application import problem_of

__all__ = ["CannotWork", "work"]


class CannotWork(CompatError):
    """The worker would not get messages, or could not handle them."""


def work(
    channels: Sequence[str], application: str | None = None, *, layer: str = DEFAULT_CHANNEL_LAYER
) -> None:
    """Pass the messages of ``channels`` to ``application`` until Ctrl-C.

    ``application``: "module:name"; None for the setting ASGI_APPLICATION. Each channel has one instance of
    its consumer, which handles its messages in order. Raises CannotWork if the layer is not configured or in
    memory, or if the application is known to handle no messages of one of the channels.
    """
    search_here()
    name = application_name(application, f"channels-compat worker {channels[0]} --app main:app")
    app = load_application(name)
    if problem := problem_of(app, channels):
        raise CannotWork(f"{name}: {problem}")
    channel_layer = layer_to_work_on(layer)
    state = layer_state(layer, channel_layer)
    print(f"Working on {', '.join(channels)} for {name}, layer {state}  (Ctrl-C ends it)", flush=True)
    logging.basicConfig(format="%(levelname)s:     %(message)s")
    try:
        Worker(app, channels, channel_layer).run()
    except KeyboardInterrupt:
        pass


def layer_to_work_on(alias: str) -> Any:
    """Return the layer ``alias``; raise CannotWork if other processes cannot send to it."""
    layer = get_channel_layer(alias)
    if layer is None:
        raise CannotWork(
            f"there is no layer {alias!r}; configured: {known_layers()}. Choose one with --layer"
        )
    if isinstance(layer, InMemoryChannelLayer):
        raise CannotWork(
            f"layer {alias!r} is in memory: other processes cannot send to this worker. Use Redis: in "
            'CHANNEL_LAYERS, the BACKEND "compat.layers.redis.core.RedisChannelLayer"'
        )
    return layer
