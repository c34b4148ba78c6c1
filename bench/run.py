"""Run cases: ``python -m bench.run A1,C --peers ours_async,starlette --repeat 3``.

The peers of a case run in turn, and then again in the other order, so that a disturbance of the machine, or
its drift, affects all of them. With ``--slices``, and in the open-loop cases always, their servers run at the
same time, and get their load in slices of a second in turn, which shows a difference of a few percent on a
machine that is not quiet.
Each run appends one JSON line to ``.cache/bench/results.jsonl``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import time
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

import uvloop

from bench import script_history, script_presence, script_scale, script_send
from bench.cases import CASES, IN_SLICES, NEEDS_REDIS, SERIES, WITHOUT_SERVER, sizes
from bench.figures import RESULTS
from bench.load import Result
from bench.looking import LOOKED_AT
from bench.open_loop import OPEN_LOOP, capacity, levels
from bench.peers import DEFAULT_PEERS, FLOOR, FLOOR_REDIS, environment_of
from bench.servers import CACHE, HERE, LOAD_CORE, SERVER_CORE, Server, empty, python_of, redis_server
from bench.slices import in_slices

__all__ = ["main"]

Measured = TypeVar("Measured")

TIMEOUT_S = 600
SCRIPTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "H": ("script_send", ()),
    "S-history": ("script_history", ()),
    "S-presence": ("script_presence", ()),
}
"""Case: its module, and the first arguments; ``script_scale`` has all others."""


Rows = dict[str, Result]
"""The figures of one peer, by the name of the case or of its points."""


def measure(case: str, peer: str, options: tuple[str, ...], redis_port: int) -> Rows:
    """Run one peer once. An error is in its row as "error", so that the other peers run."""
    try:
        empty(redis_port)
        if case in WITHOUT_SERVER:
            return {case: script(case, peer, redis_port)}
        with Server(peer, redis_port, options) as server:
            if case in SERIES:
                return _named(case, _run(sizes(server)))
            return {case: _run(CASES[case](server))}
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way
        return {case: _failed(error)}


def together(case: str, peers: list[str], options: tuple[str, ...], redis_port: int) -> dict[str, Rows]:
    """Run the peers of a case once, in slices. An error of one is in the row of each."""
    try:
        empty(redis_port)
        carried = bare_capacity(case, options, redis_port) if case in OPEN_LOOP else 0.0
        with contextlib.ExitStack() as own:
            servers = {peer: own.enter_context(Server(peer, _redis(case, own), options)) for peer in peers}
            if case in OPEN_LOOP:
                found = _run(levels(OPEN_LOOP[case], servers, carried))
                return {peer: _named(case, points) for peer, points in found.items()}
            return {peer: {case: row} for peer, row in _run(in_slices(IN_SLICES[case], servers)).items()}
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way
        return {peer: {case: _failed(error)} for peer in peers}


def _redis(case: str, own: contextlib.ExitStack) -> int:
    """Return the port of another Redis if the case needs one: peers that share one hear each other."""
    return own.enter_context(redis_server()) if case in NEEDS_REDIS else 0


def _named(case: str, points: dict[int, Result]) -> Rows:
    return {f"{case}-{point}": row for point, row in points.items()}


def _failed(error: Exception) -> Result:
    return {"error": f"{type(error).__name__}: {error}"[:300]}


def bare_capacity(case: str, options: tuple[str, ...], redis_port: int) -> float:
    """Return how many messages a second the bare loop carries in an open-loop case."""
    with Server(FLOOR_REDIS if case in NEEDS_REDIS else FLOOR, redis_port, options) as server:
        return _run(capacity(OPEN_LOOP[case], server))


def _run(measuring: Awaitable[Measured]) -> Measured:
    return uvloop.run(asyncio.wait_for(measuring, TIMEOUT_S))


def script(case: str, peer: str, redis_port: int) -> Result:
    """Run a case without a server."""
    with contextlib.ExitStack() as own:
        ports = [redis_port]
        if case == "S-shards":
            ports = [own.enter_context(redis_server()) for _ in range(script_scale.servers_of(peer))]
        return _run_script(case, peer, ",".join(map(str, ports)))


def _run_script(case: str, peer: str, ports: str) -> Result:
    module, named = SCRIPTS.get(case, ("script_scale", (case,)))
    command = ["taskset", "-c", str(SERVER_CORE), python_of(environment_of(peer))]
    done = subprocess.run(
        [*command, "-m", f"bench.{module}", *named, peer, ports],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    result: Result = json.loads(done.stdout)
    return result


def compile_ours() -> None:
    """Compile this checkout, as an installer does with what it installs: a start is to compile nothing."""
    python = python_of("ours")
    if os.path.exists(python):
        subprocess.run(
            [python, "-m", "compileall", "-q", "compat", "django_shim"], cwd=HERE.parent, check=True
        )


def default_peers(case: str) -> list[str]:
    """Return the peers that take part in a case."""
    if case in WITHOUT_SERVER:
        ways: dict[str, tuple[str, ...]] = {
            "H": script_send.WAYS,
            "S-history": script_history.WAYS,
            "S-presence": script_presence.WAYS,
            **script_scale.WAYS,
        }
        return list(ways[case])
    return list(DEFAULT_PEERS[case])


def run(cases: list[str], peers: list[str], repeat: int, options: tuple[str, ...], *, slices: bool) -> None:
    """Measure and record."""
    at = time.strftime("%Y-%m-%d %H:%M:%S")
    with redis_server() as redis_port:
        for case in cases:
            chosen = peers or default_peers(case)
            for turn in range(repeat):
                beside = slices or case in OPEN_LOOP
                head = {"at": at, "turn": turn, "options": " ".join(options), "slices": beside}
                ordered = chosen if turn % 2 == 0 else chosen[::-1]
                found: Iterable[tuple[str, Rows]]
                if beside:
                    found = together(case, ordered, options, redis_port).items()
                else:
                    found = ((peer, measure(case, peer, options, redis_port)) for peer in ordered)
                for peer, rows in found:
                    for name, result in rows.items():
                        _record({"case": name, "peer": peer} | head | result)


def _record(row: dict[str, Any]) -> None:
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(shown(row), flush=True)


def shown(row: dict[str, Any]) -> str:
    """Return a line for the terminal."""
    head = f"{row['case']:8} {row['peer']:20} {row['turn']}"
    keys = (
        "error",
        "us",
        "kib",
        "seconds",
        "rate",
        "p50_ms",
        "p99_ms",
        "p999_ms",
        "offered",
        "together",
        "overloaded",
        "lost",
        "stalls",
        "kept",
        "grown_mib",
    )
    keys += ("idle_pct", "bound_s", "over_bound", "connect_us", "waited_s")
    keys += ("now_ms", "now_max_ms", "find_ms", *LOOKED_AT)
    keys += ("redis_us", "miscounted", "server_cpu_pct", "client_cpu_pct")
    values = [f"{key}={_short(row[key])}" for key in keys if row.get(key) is not None]
    return "  ".join([head, *values])


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="?", default="", help=f"of {', '.join(CASES)}; default all")
    parser.add_argument(
        "--peers", default="", help="names of bench/apps, separated by commas; default the case's"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--server-options", default="", help="further options of uvicorn, such as '--ws wsproto'"
    )
    parser.add_argument("--slices", action="store_true", help=f"load in turn: {', '.join(IN_SLICES)}")
    args = parser.parse_args()
    cases = [name for name in args.cases.split(",") if name] or list(CASES)
    if unknown := set(cases) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if args.slices and (unknown := set(cases) - set(IN_SLICES) - set(OPEN_LOOP)):
        parser.error(f"--slices is for {', '.join(IN_SLICES)}, not for {', '.join(sorted(unknown))}")
    CACHE.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers = [name for name in args.peers.split(",") if name]
    compile_ours()
    run(cases, peers, args.repeat, tuple(args.server_options.split()), slices=args.slices)


if __name__ == "__main__":
    main()
