"""``channels-compat layers``: which layers are configured, and whether their servers answer."""

from __future__ import annotations

from compat.cli.application import search_here
from compat.cli.embedded import layer_states, unreachable
from compat.layers import get_channel_layer

__all__ = ["show"]


def show() -> bool:
    """Print each layer on a line of its own. False when the server of one cannot be reached."""
    search_here()
    states = layer_states()
    if not states:
        print("no layers: CHANNEL_LAYERS is empty, or no settings module is named (--settings NAME)")
    all_answer = True
    for state in states:
        away = unreachable(get_channel_layer(state.alias))
        all_answer = all_answer and away is None
        print(f"{state}: cannot be reached ({away[1]})" if away else state)
    return all_answer
