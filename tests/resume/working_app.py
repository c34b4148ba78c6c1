"""A consumer that works for a second on each frame.

Its texts go to the file WORK_DONE as it begins, and "disconnect" when it ends.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from compat import AsyncWebsocketConsumer, configure
from compat.fallback import Fallback

configure(ALLOWED_HOSTS=["127.0.0.1"], CHANNEL_FALLBACK=True, SECRET_KEY="a key of this server")
DONE = Path(os.environ["WORK_DONE"])


class Working(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        note(text_data)
        await asyncio.sleep(1)

    async def disconnect(self, code: int) -> None:
        note("disconnect")


def note(text: str | None) -> None:
    with DONE.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


app = Fallback(Working.as_asgi())
