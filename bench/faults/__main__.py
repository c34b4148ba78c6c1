"""The command line of the fault matrix: ``python -m bench.faults``."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.faults.counts import Counts
from bench.faults.faults import FAULTS, Fault
from bench.faults.place import Place
from bench.faults.systems import SYSTEMS, System
from bench.faults.table import Row, write
from bench.faults.trial import Moment, Trial


def chosen(text: str, names: list[str]) -> list[str]:
    """Return the names in a list such as "a,b", or all of them. Raises SystemExit for another name."""
    wanted = text.split(",") if text else names
    unknown = set(wanted) - set(names)
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: expected some of {', '.join(names)}")
    return wanted


def rows_of(system: System, faults: list[Fault], moments: list[str], folder: Path) -> list[Row]:
    """Try a system with each fault at each moment, and print what each trial has shown."""
    rows = []
    for over_redis in (False, True):
        some = [
            fault
            for fault in faults
            if fault.redis == over_redis
            and (system.has_redis or not fault.redis)
            and (system.name == "ours" or not fault.only_ours)
        ]
        if not some:
            continue
        where = folder / f"{system.name}-{'redis' if over_redis else 'memory'}"
        where.mkdir()
        with Place(system, where, over_redis=over_redis) as place:
            for fault in some:
                for moment in fault.moments:
                    if moment in moments:
                        rows.append(_row(place, fault, moment))
    return rows


def _row(place: Place, fault: Fault, moment: Moment) -> Row:
    trials = [_play(place, fault, moment, f"{fault.name}-{moment}-{number}") for number in range(fault.times)]
    worst = max(trials, key=lambda one: (not one.back, one.down.missing + one.up.missing))
    row = Row(place.system.name, fault.name, moment, worst)
    print(row.line(), flush=True)
    return row


def _play(place: Place, fault: Fault, moment: Moment, who: str) -> Counts:
    trial = Trial(place, who, moment, quiet=fault.quiet, across=fault.across)
    counts = trial.run(fault.prepare, fault.strike, fault.mend)
    for server in place.servers:  # the next trial needs all of them
        if not server.runs:
            server.start()
    return counts


def main() -> None:
    """Run what is asked for; write the results if that is everything."""
    parser = argparse.ArgumentParser(prog="bench/faults/run", description=__doc__)
    parser.add_argument("--systems", default="", help="such as ours,socket.io; default: all")
    parser.add_argument("--faults", default="", help="such as cut,kill; default: all")
    parser.add_argument("--moments", default="", help="such as send,resume; default: all")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the logs and notes; default: they are removed"
    )
    options = parser.parse_args()
    systems = chosen(options.systems, [system.name for system in SYSTEMS])
    faults = chosen(options.faults, [fault.name for fault in FAULTS])
    moments = chosen(options.moments, ["rest", "send", "handler", "handshake", "resume"])
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            row
            for system in SYSTEMS
            if system.name in systems
            for row in rows_of(system, [one for one in FAULTS if one.name in faults], moments, folder)
        ]
    if not (options.systems or options.faults or options.moments):
        write(rows)


main()
