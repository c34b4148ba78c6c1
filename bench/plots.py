"""Bar charts as SVG: a bar for each peer, with a whisker from its lowest run to its highest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Bar", "chart", "label"]

WIDTH, ROW, TOP, LABELS, RIGHT = 760, 26, 44, 240, 80
OURS, FLOOR, PEERS = "#1f6f8b", "#7a7a7a", "#d9a05b"

PACKAGES = {
    "ours": "channels-compat",
    "channels": "Django Channels",
    "starlette": "bare Starlette",
    "fast": "fast-channels",
    "chanx": "Chanx",
    "broadcaster": "broadcaster",
    "socketio": "python-socketio",
    "redis": "redis-py",
}
"""The first word of a peer's name: what it is."""

WORDS = {
    "async": "",
    "django": "Django",
    "once": "encoded once",
    "plain": "plain engine",
    "pubsub": "pub/sub",
    "redis": "Redis",
    "resumable": "clients that come back",
    "starlette": "Starlette",
    "subset": "subset of Django",
}
"""Replacements for the other words of a peer's name."""


class Bar(NamedTuple):
    """A peer's median, and its lowest and highest run."""

    name: str
    value: float
    low: float
    high: float

    @property
    def colour(self) -> str:
        """The colour of channels-compat, of the bare Starlette endpoint or of another package."""
        if self.name.startswith("ours"):
            return OURS
        return FLOOR if self.name.startswith("starlette") else PEERS


def label(peer: str) -> str:
    """Return a peer's title: "channels-compat, pub/sub, sync" for ``ours_pubsub_sync``."""
    first, *rest = peer.replace("fast_channels", "fast").replace("_no_", "_without ").split("_")
    words = [PACKAGES.get(first, first), *(WORDS.get(word, word) for word in rest)]
    return ", ".join(filter(None, words))


def chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """Return an SVG text. The axis is logarithmic if the bars differ by more than a factor of ten."""
    bars = sorted(bars, key=lambda bar: bar.value)
    largest, smallest = max(bar.high for bar in bars), min(bar.low for bar in bars)
    logarithmic = smallest > 0 and largest / smallest > 10
    room = WIDTH - LABELS - RIGHT
    base = math.log10(smallest) - 0.3 if logarithmic else 0.0

    def x(value: float) -> float:
        if logarithmic:
            return LABELS + room * (math.log10(value) - base) / (math.log10(largest) - base)
        return LABELS + room * value / (largest or 1)

    height = TOP + ROW * len(bars) + 10
    scale = f"{unit}, logarithmic" if logarithmic else unit
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="18" font-weight="bold">{escape(title)}</text>',
        f'<text x="10" y="35" font-size="11" fill="#555">{escape(scale)}</text>',
    ]
    for index, bar in enumerate(bars):
        y = TOP + ROW * index
        middle = y + ROW / 2
        text = f"{bar.value:,.0f}" if bar.value >= 1000 else f"{bar.value:.3g}"
        lines += [
            f'<text x="{LABELS - 8}" y="{middle + 4}" text-anchor="end">{escape(label(bar.name))}</text>',
            f'<rect x="{LABELS}" y="{y + 4}" width="{x(bar.value) - LABELS:.1f}" height="{ROW - 8}" '
            f'fill="{bar.colour}"/>',
            f'<path d="M{x(bar.low):.1f} {middle}H{x(bar.high):.1f}" stroke="black"/>',
            f'<text x="{x(bar.high) + 6:.1f}" y="{middle + 4}">{text}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
