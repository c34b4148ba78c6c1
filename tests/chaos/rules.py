"""What must be true of a run: that a client which is told that it has missed nothing has missed nothing.

Pure functions of a ``Record``. What may happen is in docs/resume.md and docs/history.md, and each exception
here is one of theirs.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from compat.codes import GOING_AWAY
from tests.chaos import rules_of_rooms
from tests.chaos.record import Client, Consumer, Finding, Frame, Record, Run, Told, news, runs

__all__ = ["judge", "logged"]

UNEXPECTED = frozenset(
    ("invalid", "user", "path", "expired", "refused", "logout", "plain", "position", "used", "left")
)
"""Why nothing here is not recovered."""
NEVER_LOGGED = ("Traceback", "never retrieved", "was never awaited", "was destroyed but")
CANCELLED = re.compile(
    r"^ERROR: +Exception in ASGI application\nTraceback .*\n(?: .*\n)+asyncio\.exceptions\.CancelledError$",
    re.MULTILINE,
)
"""What uvicorn says of a consumer that a stop has cancelled because it was late."""
AHEAD = {"several": 5}
"""How many frames behind the last with which it has begun a consumer may have taken when it is killed; of
other kinds it is 2."""


def judge(record: Record) -> list[Finding]:
    """All that is wrong, in the order in which it happened."""
    found = [finding for consumer in record.consumers.values() for finding in _calls(consumer, record)]
    for client in record.clients:
        stretches = runs(client)
        found += _frames(client, stretches)
        found += _outcomes(client, stretches)
        if (end := record.ended(client)) is not None:
            found.append(Finding(end.at, client.name, f"its connection has ended for good: {end.why}"))
        found += _sent(client, record)
        found += _delivered(client, record)
        found += rules_of_rooms.judge(client, stretches, record)
    return sorted([*found, *rules_of_rooms.present(record)])


def logged(log: str, at: float) -> list[Finding]:
    """What no server should have to say."""
    lines = CANCELLED.sub("", log).splitlines()
    bad = [line for line in lines if any(words in line for words in NEVER_LOGGED)]
    return [Finding(at, "", f"the server has logged: {line}") for line in bad]


def _calls(consumer: Consumer, record: Record) -> Iterator[Finding]:
    """``connect()`` is called once, and so is ``disconnect()``.

    Not where ``connect()`` has not come to its end, as it may have waited for Redis when the server stopped.
    """
    at, name = consumer.connected[0], f"consumer {consumer.name}"
    if len(consumer.connected) > 1:
        yield Finding(at, consumer.client, f"connect() of {name} was called {len(consumer.connected)} times")
    if len(consumer.ended) > 1:
        second, codes = consumer.ended[1][0], [code for _, code in consumer.ended]
        yield Finding(second, consumer.client, f"disconnect() of {name} was called with {codes}")
    had_time = consumer.joined is not None and consumer.process not in record.killed
    if not consumer.ended and had_time:
        last = max((one for one, _ in consumer.handled), default=at)
        yield Finding(last, consumer.client, f"disconnect() of {name} was never called")


def _frames(client: Client, stretches: list[Run]) -> Iterator[Finding]:
    """The frames of a consumer come once, in order, none is missing, and no other's come between."""
    seen: set[str] = set()
    for run in stretches:
        first = run.frames[0]
        if run.consumer in seen:
            yield Finding(first.at, client.name, f"consumer {run.consumer} is back behind another one")
        elif first.number:
            what = f"the first frame of consumer {run.consumer} is its frame {first.number}"
            yield Finding(first.at, client.name, what)
        seen.add(run.consumer)
        for before, frame in pairwise(run.frames):
            if frame.number == before.number + 1:
                continue
            how = "again, behind" if frame.number <= before.number else "behind"
            what = f"frame {frame.number} of consumer {run.consumer} came {how} frame {before.number}"
            yield Finding(frame.at, client.name, what)


def _outcomes(client: Client, stretches: list[Run]) -> Iterator[Finding]:
    """A client is told of each new consumer, and why."""
    told = [entry for entry in client.log if isinstance(entry, Told)]
    for before, run in pairwise(stretches):
        at = run.frames[0].at
        if not news(run) and not (run is not stretches[-1] and _was_interrupted(run)):
            said = [f"{one.state} {one.recovered!r}" for one in run.told]
            what = f"consumer {run.consumer} has replaced {before.consumer}, and all that was told is {said}"
            yield Finding(at, client.name, what)
    for one in told:
        if one.state == "open" and one.recovered == "" and one.why in UNEXPECTED:
            yield Finding(one.at, client.name, f"nothing was recovered, why: {one.why}")
    opens = [one for one in told if one.state == "open"]
    if len(opens) > 1 and opens[-1].recovered is None:
        yield Finding(opens[-1].at, client.name, "it came back, and was never told what was recovered")


def _was_interrupted(run: Run) -> bool:
    """Return True if the link was lost before the verdict."""
    return any(
        one.state == "open" and one.recovered is None and after.state == "away"
        for one, after in pairwise(run.told)
    )


def _sent(client: Client, record: Record) -> Iterator[Finding]:
    """A frame of a client is handled once, or handed back; never twice, and never lost without a word."""
    mine = record.of(client)
    by: defaultdict[int, list[str]] = defaultdict(list)
    for consumer in mine:
        numbers = [n for _, n in consumer.handled]
        for n in numbers:
            by[n].append(consumer.name)
        for (at, n), before in zip(consumer.handled[1:], numbers, strict=False):
            if n < before and client.kind != "several":
                yield Finding(at, client.name, f"its frame {n} was handled behind frame {before}")
    back = Counter(client.unsure)
    for sent in client.sent:
        if len(by[sent.n]) > 1:
            yield Finding(sent.at, client.name, f"its frame {sent.n} was handled by {', '.join(by[sent.n])}")
        if back[sent.n] > 1:
            yield Finding(sent.at, client.name, f"its frame {sent.n} was handed back {back[sent.n]} times")
        if not by[sent.n] and not back[sent.n] and not _may_be_lost(sent.n, sent.at, client, mine, record):
            yield Finding(sent.at, client.name, f"its frame {sent.n} was lost without a word")


def _may_be_lost(n: int, sent_at: float, client: Client, mine: list[Consumer], record: Record) -> bool:
    """Of a process that is killed, few frames that were acknowledged may not have been handled: those that
    the consumer was about to begin with, and those that waited when the client last came back. So it is if
    a stop cancels a consumer that is late.
    """
    last = 0
    for consumer in mine:
        last = max((one for _, one in consumer.handled), default=last)
        killed_at = record.killed.get(consumer.process)
        if killed_at is None and consumer.ended and consumer.ended[0][1] == GOING_AWAY:
            killed_at = consumer.ended[0][0]
        if killed_at is None or n <= last:
            continue
        back = (e.at for e in client.log if isinstance(e, Told) and (e.state, e.recovered) == ("open", "all"))
        back_at = killed_at if client.polls else max((at for at in back if at <= killed_at), default=0.0)
        if sent_at <= back_at or n <= last + AHEAD.get(client.kind, 2):
            return True
    return False


def _delivered(client: Client, record: Record) -> Iterator[Finding]:
    """``delivered()`` says yes only of frames that the client has."""
    have = Counter(entry.consumer for entry in client.log if isinstance(entry, Frame))
    for consumer in record.of(client):
        for at, count in consumer.delivered:
            if have[consumer.name] < count:
                what = f"delivered() of {consumer.name} says {count} frames, it has {have[consumer.name]}"
                yield Finding(at, client.name, what)
