"""One entry of ``CHANNEL_LAYERS``: its keys, and the class that its BACKEND names."""

from __future__ import annotations

import difflib
import importlib
import logging
from collections.abc import Mapping
from typing import Any

from compat.exceptions import InvalidChannelLayerError
from compat.redis.masking import masked, safe_repr

__all__ = ["BACKENDS", "backend_path", "import_backend", "no_test_config"]

log = logging.getLogger("compat.layers")

MEMORY = "compat.layers.memory.InMemoryChannelLayer"
QUEUE = "compat.layers.redis.core.RedisChannelLayer"
PUBSUB = "compat.layers.redis.pubsub.RedisPubSubChannelLayer"

BACKENDS: Mapping[str, str] = {
    "channels.layers.InMemoryChannelLayer": MEMORY,
    "compat.layers.InMemoryChannelLayer": MEMORY,
    "channels_redis.core.RedisChannelLayer": QUEUE,
    "channels_redis.pubsub.RedisPubSubChannelLayer": PUBSUB,
    "fast_channels.layers.InMemoryChannelLayer": MEMORY,
    "fast_channels.layers.redis.RedisChannelLayer": QUEUE,
    "fast_channels.layers.redis.RedisPubSubChannelLayer": PUBSUB,
}
"""BACKEND paths that stand for layers of this library. Any other path is imported as it is."""

KEYS = ("BACKEND", "CONFIG", "TEST_CONFIG", "UPSTREAM")
NEW_OPTIONS = ("history", "on_overflow", "presence")
"""Options that the layers of Channels do not have; beside CONFIG, where they do nothing, they are a slip."""


def no_test_config(alias: str) -> str:
    """Return the error text for an entry without TEST_CONFIG."""
    return (
        f"No TEST_CONFIG specified for {alias}; write CHANNEL_LAYERS[{alias!r}]['TEST_CONFIG'] = {{...}}, "
        "beside its CONFIG"
    )


def backend_path(alias: str, entry: Any) -> str:
    """Return the dotted path of an alias's BACKEND; raise InvalidChannelLayerError if its entry is wrong.

    A key that is like none of ``KEYS`` is a warning: Channels ignores it, and some projects have one.
    """
    if not isinstance(entry, Mapping):
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}] must be a dict with a BACKEND, not {safe_repr(entry)}; a layer has "
            'an alias: CHANNEL_LAYERS = {"default": {"BACKEND": …}}'
        )
    if "ROUTING" in entry:
        raise InvalidChannelLayerError(
            f"ROUTING key found for {alias} - this is no longer needed in Channels 2; remove it"
        )
    _check_keys(alias, entry)
    if not isinstance(entry.get("UPSTREAM", False), bool):
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}]['UPSTREAM'] must be True (the installed package's own layer) or "
            f"False, not {entry['UPSTREAM']!r}"
        )
    path = entry.get("BACKEND")
    if not path:
        raise InvalidChannelLayerError(f"No BACKEND specified for {alias}")
    if not isinstance(path, str) or "." not in path:
        raise InvalidChannelLayerError(
            f"Cannot import BACKEND {safe_repr(path)} specified for {alias}: expected a dotted path to a "
            "class, such as 'compat.layers.InMemoryChannelLayer'"
        )
    return path if entry.get("UPSTREAM") else BACKENDS.get(path, path)


def _check_keys(alias: str, entry: Mapping[Any, Any]) -> None:
    for key in entry:
        if key in KEYS:
            continue
        unknown = f"CHANNEL_LAYERS[{alias!r}] has an unknown key {key!r}"
        near = difflib.get_close_matches(str(key).upper(), KEYS, n=1)
        if near:
            raise InvalidChannelLayerError(f"{unknown}; did you mean {near[0]!r}?")
        known = f"known keys: {', '.join(KEYS)}; options of the layer belong into its CONFIG"
        if key in NEW_OPTIONS:
            raise InvalidChannelLayerError(f"{unknown}; {known}")
        log.warning("%s, which has no effect, as in Channels; %s", unknown, known)


def import_backend(path: str, alias: str) -> Any:
    """Return the class at the dotted ``path``; raise InvalidChannelLayerError if it cannot be imported."""
    module_name, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        near = difflib.get_close_matches(path, [*BACKENDS, *BACKENDS.values()], n=1)
        hint = f"; did you mean {near[0]!r}?" if near and near[0] != path else ""
        raise InvalidChannelLayerError(
            f"Cannot import BACKEND {safe_repr(path)} specified for {alias} ({masked(str(error))}){hint}"
        ) from error
