"""Sends events to the showcase from another process.

REDIS_URL=redis://127.0.0.1:6379 python external_sender.py                  # several messages
REDIS_URL=redis://127.0.0.1:6379 python external_sender.py chat "Tea is ready"
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from compat.exceptions import LayerUnavailable

from layers import REDIS_URL, set_up
from showcase.streams import STREAMS, AnalyticsConsumer, Announcement, Measure, Measurement

PAUSE_S = 0.1
MEASUREMENTS = (
    "user_login:ada",
    "page_view:/pricing",
    "page_view:/docs",
    "button_click:export",
    "error:timeout",
)


async def programme() -> None:
    """Send an announcement to each stream, and some measurements."""
    for name, text in (
        ("chat", "From outside: welcome, everybody"),
        ("reliable", "From outside: maintenance tonight at ten"),
        ("notifications", "From outside: the disk of server 3 is nearly full"),
    ):
        await STREAMS[name].broadcast_event(Announcement(payload=text))
        print(f"{name:14} {text}")
    for number, measured in enumerate(MEASUREMENTS, 1):
        await AnalyticsConsumer.broadcast_event(Measurement(payload=Measure(name=measured, data=number)))
        print(f"{'analytics':14} {measured}")
        await asyncio.sleep(PAUSE_S)


async def announce(stream: str, text: str) -> None:
    await STREAMS[stream].broadcast_event(Announcement(payload=text))
    print(f"{stream:14} {text}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Sends events to the showcase from another process.")
    parser.add_argument("stream", nargs="?", choices=STREAMS, help="default: several messages to all streams")
    parser.add_argument("text", nargs="?", default="Hello from outside")
    given = parser.parse_args()
    if not REDIS_URL:
        print("REDIS_URL is not set: layers in memory do not reach other processes", file=sys.stderr)
        return 2
    set_up()
    try:
        asyncio.run(announce(given.stream, given.text) if given.stream else programme())
    except LayerUnavailable as error:
        print(f"the event was not sent: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
