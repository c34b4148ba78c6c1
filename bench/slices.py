"""Servers side by side: each gets its load in short slices, in turn with the others.

What disturbs the machine for longer than a slice disturbs all of them. A slice is as long as what is limited
by the second, such as spans of traces.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bench.load import Load, Meter, Result
from bench.servers import Server

__all__ = ["Begin", "in_slices", "in_turn"]

SLICES, SLICE_S = 12, 1.0


Begin = Callable[[Server], Awaitable[Load]]


def in_turn(peers: Sequence[str], slices: int) -> Iterator[str]:
    """Return the peer of each slice; every other round is the other way round, against drift."""
    for number in range(slices):
        yield from peers if number % 2 == 0 else reversed(peers)


async def in_slices(begin: Begin, servers: dict[str, Server]) -> dict[str, Result]:
    """Return the figures of each peer; "us" is the lower quartile of its slices: a disturbance only adds."""
    loads = {peer: await begin(server) for peer, server in servers.items()}
    costs: dict[str, list[float]] = {peer: [] for peer in servers}
    lost = dict.fromkeys(servers, 0)
    for peer in in_turn(list(servers), SLICES):
        meter = Meter(servers[peer])
        found = await loads[peer].slice(SLICE_S)
        costs[peer].append(1e6 * meter.read()["server_cpu_s"] / max(1, found.done))
        lost[peer] += found.lost
    for load in loads.values():
        load.end()
    return {peer: {"us": statistics.quantiles(costs[peer])[0], "lost": lost[peer]} for peer in servers}
