"""A process of the load of case I1: ``python -m bench.idle_load SOURCE``, on the load's core.

Its clients connect from SOURCE, an address of the loopback interface. It obeys one JSON object a line:

    {"do": "connect", "ports": [8001, 8002], "count": 10}    connect to the ports in turn; all in one room
    {"do": "receive", "count": 10}                           wait until so many messages have come

Each answer is a line, too: an object with the attributes of ``State``. The end of the input ends it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import TypedDict

import uvloop

from bench.load import settle
from bench.raw_clients import RawClients

__all__ = ["AT_ONCE", "PATH", "State", "main"]

PATH = "/ws/chat/i/"
AT_ONCE = 20
"""The number of concurrent handshakes of a process."""


class State(TypedDict):
    """The answer to a command."""

    open: int
    """The number of clients that are connected."""
    cuts: int
    """The number of clients that were cut."""
    received: int
    """The number of messages that have come."""
    received_at: float
    """When the last one came, by ``time.monotonic``."""
    cpu_s: float
    """The user and system time of this process."""
    refusal: str
    """The status line of the last response that refused a websocket."""


async def obey(source: str) -> None:
    """Read commands and answer them."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    clients = RawClients([source])
    while line := await reader.readline():
        command = json.loads(line)
        if command["do"] == "connect":
            ports = itertools.islice(itertools.cycle(command["ports"]), command["count"])
            await clients.connect([(port, PATH) for port in ports], AT_ONCE)
        else:
            await settle(lambda: clients.received, command["count"], idle_s=10)
        state: State = {
            "open": clients.open,
            "cuts": clients.cuts,
            "received": clients.received,
            "received_at": clients.received_at,
            "cpu_s": time.process_time(),
            "refusal": clients.refusal,
        }
        print(json.dumps(state), flush=True)
    clients.close()


def main() -> None:
    """Run the command line."""
    uvloop.run(obey(sys.argv[1]))


if __name__ == "__main__":
    main()
