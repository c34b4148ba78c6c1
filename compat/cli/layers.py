"""``channels-compat layers``: show the configured layers, and test each by sending messages through it."""

from __future__ import annotations

import asyncio

from compat.cli.application import adopt_manage_py, application_name, load_application, search_here
from compat.cli.embedded import layer_state
from compat.cli.layer_trial import Findings, examine
from compat.exceptions import CompatError
from compat.layers import channel_layers, get_channel_layer
from compat.settings import module_name

__all__ = ["NoLayers", "show"]


class NoLayers(CompatError):
    """No layer is configured."""


def show(application: str | None = None) -> bool:
    """Print the state, the times and the problems of each layer. Return False if a layer has a problem.

    ``application``: "module:name", imported because it may configure layers; None for the settings alone.
    Raises NoLayers.
    """
    search_here()
    if application is None:
        adopt_manage_py()
    else:
        load_application(application_name(application))
    aliases = channel_layers.aliases()
    if not aliases:
        raise NoLayers(_why_none(application))
    fine = [_show(alias) for alias in aliases]
    return all(fine)


def _why_none(application: str | None) -> str:
    if application is not None:
        return (
            f"no layers: {application} configures none. Configure them: "
            "compat.settings.configure(CHANNEL_LAYERS={...}), or name a settings module: --settings MODULE"
        )
    if name := module_name():
        return (
            f"no layers: CHANNEL_LAYERS is empty in the settings module {name}. If the application "
            "configures layers, name it: channels-compat layers main:app"
        )
    return (
        "no layers: no application or settings module is named, and this folder has no manage.py. Name one: "
        "channels-compat layers main:app, or channels-compat layers --settings mysite.settings"
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
