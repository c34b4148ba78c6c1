"""Charts as SVG: a bar for each peer, with a whisker from its lowest run to its highest; or curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Bar", "chart", "curves", "label"]

WIDTH, ROW, TOP, LABELS, RIGHT = 760, 26, 44, 240, 80
OURS, FLOOR, PEERS = "#1f6f8b", "#7a7a7a", "#d9a05b"

PACKAGES = {
    "asgi": "an ASGI function",
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
    "each": "a handler for each",
    "gc": "CHANNEL_GC",
    "once": "encoded once",
    "plain": "plain engine",
    "pubsub": "pub/sub",
    "redis": "Redis",
    "resumable": "clients that come back",
    "routes": "Starlette's routes",
    "starlette": "Starlette",
    "subset": "subset of Django",
}
"""Replacements for the other words of a peer's name."""


CURVE_COLOURS = {
    "ours_async": OURS,
    "ours_each": "#7aa6d8",
    "ours_once": "#4f9d69",
    "starlette": FLOOR,
    "channels_async": "#b38600",
    "fast_channels": "#6c5b9e",
    "socketio_memory": "#a23e48",
}
CURVES_HEIGHT, BOTTOM = 340, 50


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


def curves(title: str, across: str, up: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return an SVG text with a curve of ``(x, y)`` for each peer; both axes are logarithmic.

    ``across`` and ``up`` say what the axes are. Each curve has its peer's title at its end.
    """
    points = [point for line in lines.values() for point in line]
    room, high = WIDTH - LABELS - 70, CURVES_HEIGHT - TOP - BOTTOM
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, top = min(y for _, y in points), max(y for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            70 + room * math.log(x / left) / (math.log(right / left) or 1),
            TOP + high * (1 - math.log(y / low) / (math.log(top / low) or 1)),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{CURVES_HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{CURVES_HEIGHT}" fill="white"/>',
        f'<text x="10" y="18" font-weight="bold">{escape(title)}</text>',
        f'<text x="10" y="35" font-size="11" fill="#555">{escape(up)}, logarithmic</text>',
        f'<text x="70" y="{CURVES_HEIGHT - 10}" font-size="11" fill="#555">{escape(across)}</text>',
    ]
    for x in sorted({x for x, _ in points}):
        at, _ = place(x, low)
        parts.append(f'<path d="M{at:.1f} {TOP}v{high}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP + high + 18}" text-anchor="middle">{x:,g}</text>')
    for y in _round_numbers(low, top):
        _, at = place(left, y)
        parts.append(f'<path d="M70 {at:.1f}h{room}" stroke="#ddd"/>')
        parts.append(f'<text x="62" y="{at + 4:.1f}" text-anchor="end">{y:,g}</text>')
    lowest = CURVES_HEIGHT - BOTTOM + 12.0
    by_end = sorted(lines.items(), key=lambda named: place(*named[1][-1])[1], reverse=True)
    for peer, line in by_end:
        colour = CURVE_COLOURS.get(peer, PEERS)
        along = " L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in line))
        end_x, end_y = place(*line[-1])
        lowest = min(end_y, lowest - 16)  # the titles do not cover each other
        parts += [
            f'<path d="M{along}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="3" fill="{colour}"/>',
            f'<text x="{70 + room + 10}" y="{lowest + 4:.1f}" fill="{colour}">{escape(label(peer))}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _round_numbers(low: float, top: float) -> list[float]:
    """Return 1, 2 or 5 times powers of ten between ``low`` and ``top``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(top)) + 1)
    numbers = [times * 10.0**power for power in powers for times in (1, 2, 5)]
    return [number for number in numbers if low <= number <= top]
