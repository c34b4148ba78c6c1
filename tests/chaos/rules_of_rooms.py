"""What must be true of the messages to a room, whose group has a history."""

from __future__ import annotations

import math
from collections.abc import Iterator

from compat.codes import SERVICE_RESTART
from tests.chaos.record import Client, Finding, Frame, Message, Record, Run, Told, news, runs

__all__ = ["judge", "owed", "present"]

LAG_S, NOTICED_S = 1.0, 3.0
"""How far a replica may be behind; and after how long those who were there know that it was."""
REACHES_S = 12.0
"""A client that needs longer for what is under way may get some of that twice after a stop."""
CUT_S = 1.0
"""How late a client may notice a cut: it is away from the cut on."""


def judge(client: Client, stretches: list[Run], record: Record) -> Iterator[Finding]:
    """What is wrong with the messages that a client has got, or not."""
    for chain in _chains(stretches):
        goes_on = chain[-1] is stretches[-1] and record.ended(client) is None
        yield from _missing(client, chain, goes_on, record)
        yield from _repeated(client, chain, record)
        yield from _told_in_vain(client, chain, record)


def owed(record: Record) -> list[Finding]:
    """The messages that some client has not got yet, and must."""
    found: list[Finding] = []
    for client in record.clients:
        chains = _chains(runs(client))
        if chains and record.ended(client) is None:
            found += _missing(client, chains[-1], True, record)
    return found


def present(record: Record) -> Iterator[Finding]:
    """Those who are there are present in their rooms, and no others."""
    for look in record.looks:
        for client in sorted(look.due ^ look.found):
            how = "is not present" if client in look.due else "is still present"
            yield Finding(look.at, client, f"it {how} in the room {look.room}")


def _chains(stretches: list[Run]) -> list[list[Run]]:
    """Runs between which the client was told "groups": of the messages to its room, none may be missing."""
    chains: list[list[Run]] = []
    for run in stretches:
        outcomes = {one.recovered for one in news(run)}
        if chains and outcomes == {"groups"}:
            chains[-1].append(run)
        else:
            chains.append([run])
    return chains


def _missing(client: Client, chain: list[Run], is_last: bool, record: Record) -> Iterator[Finding]:
    """All messages to the room that were sent after the consumer had joined it have come.

    At the end of the last chain these are all that were sent before the run had settled; of others those
    behind which another message of the same sender has come. A reset says that earlier ones are gone.
    """
    joined = record.consumers[chain[0].consumer].joined
    if joined is None or client.kind == "plain":
        return
    got: set[tuple[str, int]] = set()
    highest: dict[str, int] = {}
    reset_at = 0.0
    for frame in _frames_of(chain):
        if frame.what == "said":
            got.add((frame.sender, frame.n))
            highest[frame.sender] = max(frame.n, highest.get(frame.sender, 0))
        elif frame.what == "reset":
            reset_at = frame.at
    for message in record.messages:
        is_due = message.n < highest.get(message.sender, 0) or (is_last and message.ended < record.settled)
        if (
            message.room == client.room
            and message.began >= max(joined, reset_at)
            and is_due
            and (message.sender, message.n) not in got
            and not _is_unnoticed(message, chain, record)
        ):
            yield Finding(message.began, client.name, f"{_named(message)} is missing in {_path(chain)}")


def _is_unnoticed(message: Message, chain: list[Run], record: Record) -> bool:
    """A replica may take over without the last messages. Of what nobody had got nobody knows; and who joins
    before the others have noticed is not told of the rest.
    """
    for began, ended in record.takeovers:
        if not began - LAG_S < message.ended or message.began > ended:
            continue
        joined = [record.consumers[run.consumer].joined or 0.0 for run in chain[1:]]
        if any(began < at < ended + NOTICED_S for at in joined) or not _has_come(message, record):
            return True
    return False


def _has_come(message: Message, record: Record) -> bool:
    return any(
        isinstance(entry, Frame) and entry[3:] == ("said", message.sender, message.n)
        for client in record.clients
        for entry in client.log
    )


def _told_in_vain(client: Client, chain: list[Run], record: Record) -> Iterator[Finding]:
    """Nobody is told that messages are gone before Redis may have lost some."""
    lost_at = min((began for began, _ in record.losses), default=math.inf)
    for frame in _frames_of(chain):
        if frame.what == "reset" and frame.at < lost_at:
            yield Finding(frame.at, client.name, "it was told that messages are gone, and none is")


def _repeated(client: Client, chain: list[Run], record: Record) -> Iterator[Finding]:
    """A message comes once, and in the order of its sender, but for what a new consumer sends again."""
    by: dict[tuple[str, int], Run] = {}
    highest: dict[str, int] = {}
    for run in chain:
        for frame in run.frames:
            if frame.what != "said":
                continue
            key = (frame.sender, frame.n)
            earlier = by.get(key)
            if earlier is None:
                before = highest.get(frame.sender, 0)
                if frame.n < before and client.kind != "several":
                    what = f"{_named(frame)} came behind its message {before}, in {_path(chain)}"
                    yield Finding(frame.at, client.name, what)
                highest[frame.sender] = max(frame.n, before)
            elif earlier is run:
                yield Finding(frame.at, client.name, f"{_named(frame)} came twice from {run.consumer}")
            elif not _may_repeat(earlier, run, client, record):
                what = f"{_named(frame)} came from {earlier.consumer} and again from {run.consumer}"
                yield Finding(frame.at, client.name, what)
            by[key] = run


def _may_repeat(earlier: Run, later: Run, client: Client, record: Record) -> bool:
    """A new consumer may send again what the client got in the last seconds of a process that was killed,
    or could not be asked, and of one that stopped while the client was away, or between two polls, or its
    last ticket could not reach it. Else a stop leaves it where it was.
    """
    old, new = record.consumers[earlier.consumer], record.consumers[later.consumer]
    if old.process in record.killed or client.polls or not old.ended:
        return True
    at, code = old.ended[0]
    if at > new.connected[0]:  # the client had left while it still stopped
        return True
    state = next(
        (one.state for one in reversed(client.log) if isinstance(one, Told) and one.at < at - 0.05), ""
    )
    troubled = any(began < at and at - REACHES_S < ended for began, ended in client.blocked + record.outages)
    cut = any(began < at and at - CUT_S < ended for began, ended in client.cuts)
    return code != SERVICE_RESTART or state != "open" or troubled or cut


def _frames_of(chain: list[Run]) -> Iterator[Frame]:
    for run in chain:
        yield from run.frames


def _named(message: Message | Frame) -> str:
    return f"message {message.n} of {message.sender}"


def _path(chain: list[Run]) -> str:
    return " and ".join(run.consumer for run in chain)
