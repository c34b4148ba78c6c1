"""``channels-compat layers``: which layers are configured, and whether messages go through them."""

from __future__ import annotations

import asyncio

from compat.cli.application import search_here
from compat.cli.embedded import layer_state
from compat.cli.layer_trial import Findings, examine
from compat.layers import channel_layers, get_channel_layer

__all__ = ["show"]


def show() -> bool:
    """Print what each layer is, how fast, and what is wrong with it. False when something is."""
    search_here()
    aliases = channel_layers.aliases()
    if not aliases:
        print("no layers: CHANNEL_LAYERS is empty, or no settings module is named (--settings NAME)")
    fine = [_show(alias) for alias in aliases]
    return all(fine)


def _show(alias: str) -> bool:
    try:
        layer = get_channel_layer(alias)
    except Exception as error:  # noqa: BLE001 - a mistake in one layer must not hide the others
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
