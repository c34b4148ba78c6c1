"""The page with the counters and the memory of a server in a soak."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from starlette.responses import JSONResponse

from compat import metrics
from compat.engine import register
from compat.engine.events import Copies
from compat.routing import ProtocolTypeRouter


def counted(chat: ProtocolTypeRouter) -> ProtocolTypeRouter:
    """Return ``chat`` with one page for every path: the layer's counters, the number of consumers, memory."""

    async def counts(scope: Any, receive: Any, send: Any) -> None:
        found = metrics.snapshot()
        page = JSONResponse(
            {
                **found["layers"]["default"],
                "connections": found["connections"]["current"],
                "heap": heap_bytes(),
                "waiting": waiting_bytes(),
                "blocks": sys.getallocatedblocks(),
            }
        )
        await page(scope, receive, send)

    return ProtocolTypeRouter({**chat.application_mapping, "http": counts})


class HeapInfo(ctypes.Structure):
    """What ``mallinfo2`` of glibc returns; ``uordblks`` is how many bytes of its heap are in use."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def heap_bytes() -> int | None:
    """Return the bytes in use of C's heap, which has no small objects of Python; None without glibc 2.33."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = HeapInfo
    return int(mallinfo().uordblks)


def waiting_bytes() -> int:
    """Return the size of the messages that wait in inboxes, and of their frames, each counted once."""
    sizes: dict[int, int] = {}
    for consumer in register._consumers.values():
        phase: Any = consumer._compat_socket.phase
        for _, message, copy in () if phase is None else phase.inbox.events:
            frames = copy.made.values() if isinstance(copy, Copies) else ()
            parts = [part for part in (*message.values(), *frames) if isinstance(part, (str, bytes))]
            sizes[id(message)] = sum(map(len, parts))
    return sum(sizes.values())
