"""``channels-compat layers``: show the configured layers, and test each by sending messages through it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Coroutine
from typing import Any, TypeVar

from compat.cli.application import adopt_manage_py, application_name, load_application, search_here
from compat.cli.embedded import layer_state
from compat.cli.layer_trial import Findings, examine
from compat.cli.printable import printable
from compat.exceptions import CompatError
from compat.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers, get_channel_layer
from compat.layers.base import require_group
from compat.layers.presence.people import Presence, connections
from compat.settings import module_name

__all__ = ["NoGroup", "NoLayers", "configured", "show", "show_dead", "show_history", "show_presence"]

T = TypeVar("T")


class NoLayers(CompatError):
    """No layer is configured."""


class NoGroup(CompatError):
    """No group can have the name that was given."""


def show(application: str | None = None) -> bool:
    """Print the state, the times and the problems of each layer. Return False if a layer has a problem.

    ``application``: "module:name", imported because it may configure layers; None for the settings alone.
    Raises NoLayers.
    """
    fine = [_show(alias) for alias in configured(application, "layers")]
    return all(fine)


def show_dead(application: str | None = None) -> bool:
    """Print the dead letters of each streams layer. Return False if there are some.

    ``application``: as for ``show``. Raises NoLayers, LayerUnavailable.
    """
    layers = {alias: get_channel_layer(alias) for alias in configured(application, "layers --dead")}
    found = {alias: layer for alias, layer in layers.items() if hasattr(layer, "dead_letters")}
    if not found:
        print("no layer has dead letters: only streams layers keep what nobody can handle")
    letters = [_show_dead(alias, layer) for alias, layer in found.items()]
    return not any(letters)


def _show_dead(alias: str, layer: Any) -> bool:
    """Print the dead letters of one layer; return True if there are some."""
    channels = asyncio.run(_asked(layer, layer.dead_letters()))
    print(f"{alias}: {sum(count for count, _ in channels.values()) or 'no'} dead letters", flush=True)
    for channel, (count, messages) in sorted(channels.items()):
        print(f"    channel {channel}: {count}, the last {len(messages)}:")
        for message in messages:
            print(f"        {printable(repr(message))}")
    return bool(channels)


def show_history(
    group: str, application: str | None = None, *, count: int | None = None, layer: str = "default"
) -> None:
    """Print the last ``count`` messages of a group's history on the layer ``layer``; None: all.

    ``application``: as for ``show``. Raises NoLayers, NoGroup, ImproperlyConfigured, LayerUnavailable.
    """
    aliases = configured(application, f"history {shlex.quote(group)}")
    found = get_channel_layer(layer)
    if not isinstance(found, BaseChannelLayer):
        raise NoLayers(f"there is no layer {layer!r} with histories; configured: {', '.join(aliases)}")
    _require_group(found, group)
    entries = asyncio.run(_asked(found, found.history(group, count)))
    for entry in entries:
        print(f"{entry.id}  {printable(repr(dict(entry)))}")
    rest = "" if entries.complete else "; there have been others, which are gone or were not asked for"
    print(f"{layer}: {len(entries) or 'no'} messages of {printable(group)}{rest}", flush=True)


def show_presence(group: str, application: str | None = None, *, layer: str = "default") -> None:
    """Print who is in a group of the layer ``layer``: the key, the connections, and what is told of them.

    ``application``: as for ``show``. Raises NoLayers, NoGroup, LayerUnavailable.
    """
    aliases = configured(application, f"presence {shlex.quote(group)}")
    found = get_channel_layer(layer)
    if not hasattr(found, "presence"):
        raise NoLayers(f"there is no layer {layer!r} with presence; configured: {', '.join(aliases)}")
    _require_group(found, group)
    people: Presence = asyncio.run(_asked(found, found.presence(group)))
    for key, person in sorted(people.items()):
        metas = [printable(repr(meta)) for meta in person["metas"] if meta]
        away = ", away" if person["away"] else ""
        count = connections(person)
        print(f"{printable(key)}: {count} connection{'s' * (count > 1)}{away}", *metas, sep="  ")
    why = ""
    if not people and isinstance(found, InMemoryChannelLayer):
        why = ", in this process: it is in memory"
    elif not people and found.presence_rules.of(group) is None:
        why = ', and CONFIG["presence"] has no rule for it'
    who = {0: "nobody", 1: "1 person"}.get(len(people), f"{len(people)} people")
    print(f"{layer}: {who} in {printable(group)}{why}", flush=True)


def _require_group(layer: Any, name: str) -> None:
    try:
        require_group(layer, name)
    except TypeError as error:
        raise NoGroup(str(error)) from error


async def _asked(layer: Any, question: Coroutine[Any, Any, T]) -> T:
    """Return the answer of a layer, whose connections are then closed."""
    try:
        return await question
    finally:
        if hasattr(layer, "close_pools"):
            await layer.close_pools()


def configured(application: str | None, command: str) -> list[str]:
    """Load the settings or the application, and return the aliases of the configured layers.

    Raises NoLayers, which says how to write ``command``, a command of ``channels-compat`` with its arguments.
    """
    search_here()
    if application is None:
        adopt_manage_py()
    else:
        load_application(application_name(application))
    aliases = channel_layers.aliases()
    if not aliases:
        raise NoLayers(_why_none(application, f"channels-compat {command}"))
    return list(aliases)


def _why_none(application: str | None, command: str) -> str:
    if application is not None:
        return (
            f"no layers: {application} configures none. Configure them: "
            "compat.settings.configure(CHANNEL_LAYERS={...}), or name a settings module: --settings MODULE"
        )
    if name := module_name():
        return (
            f"no layers: CHANNEL_LAYERS is empty in the settings module {name}. If the application "
            f"configures layers, name it: {command} main:app"
        )
    return (
        "no layers: no application or settings module is named, and this folder has no manage.py. Name one: "
        f"{command} main:app, or {command} --settings mysite.settings"
    )


def _show(alias: str) -> bool:
    try:
        layer = get_channel_layer(alias)
    except Exception as error:  # noqa: BLE001 - an error of one layer must not hide the others
        print(f"{alias}: configured wrongly")
        _print("wrong", [str(error) or type(error).__name__])
        return False
    print(layer_state(alias, layer), flush=True)
    findings: Findings = asyncio.run(examine(layer))
    for fact in findings.facts:
        print(f"    {fact}")
    _print("remark", findings.remarks)
    _print("wrong", findings.wrong)
    return not findings.wrong


def _print(what: str, lines: list[str]) -> None:
    for line in lines:
        print(f"    {what}: {line}", flush=True)
