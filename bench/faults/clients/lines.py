"""How a client talks with the runner: a JSON value per line, commands in, news out."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["commands", "tell"]


def tell(what: str, **more: Any) -> None:
    """Tell the runner: ``open``, ``lost``, ``got`` a number, a number was ``returned``."""
    print(json.dumps({"what": what, **more}), flush=True)


async def commands() -> AsyncIterator[str]:
    """Yield the frames that the runner wants to be sent, until it has closed the pipe."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)
