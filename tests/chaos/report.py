"""What a maintainer needs to know of a run that has failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from tests.chaos.record import Client, Finding, Frame, Told
from tests.chaos.run import Outcome

__all__ = ["report", "summary"]

MOST = 6
"""Findings that are shown with what happened around them."""
AROUND_S = 2.0
LINES = 40

Line = tuple[float, str]


def report(outcome: Outcome, folder: object = "") -> str:
    """The findings, what happened around the first of them, and all faults; ``folder`` has the logs."""
    plan, findings = outcome.plan, sorted(outcome.findings)
    lines = [
        f"{len(findings)} findings; {plan}",
        f"CHAOS_SEED={plan.seed} CHAOS_SECONDS={plan.seconds:g} draws the same faults (-k {plan.layer});"
        f" logs and notes are in {folder}",
    ]
    for finding in findings[:MOST]:
        lines += ["", f"{_clock(finding.at)} {finding.client or 'server'}: {finding.what}"]
        lines += [f"    {_clock(at)} {text}" for at, text in _around(finding, outcome)]
    if others := findings[MOST:][:LINES]:
        lines += ["", "and", *(f"{_clock(one.at)} {one.client or 'server'}: {one.what}" for one in others)]
    lines += ["", "All faults:", *(f"    {_clock(at)} {text}" for at, text in sorted(_faults(outcome)))]
    return "\n".join(lines)


def summary(outcome: Outcome) -> str:
    """What a run has seen, in a few numbers."""
    record = outcome.record
    faults = Counter(one.what for one in outcome.happened)
    told = Counter(
        f"{entry.recovered!r} {entry.why}".strip()
        for client in record.clients
        for entry in client.log
        if isinstance(entry, Told) and entry.state == "open" and entry.recovered is not None
    )
    frames = sum(isinstance(entry, Frame) for client in record.clients for entry in client.log)
    return (
        f"{len(record.messages)} messages, {frames} frames to clients,"
        f" {sum(len(client.sent) for client in record.clients)} from them, of which"
        f" {sum(len(client.unsure) for client in record.clients)} are unsure;"
        f" {len(record.consumers)} consumers; told: {_counts(told)}; faults: {_counts(faults)}"
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common())


def _around(finding: Finding, outcome: Outcome) -> list[Line]:
    """What client, consumers and faults did then, in order: the nearest lines."""
    lines = [*_faults(outcome)]
    for client in outcome.record.clients:
        if client.name == finding.client:
            lines += _of_client(client)
            lines += _of_consumers(client, outcome)
    near = [line for line in lines if abs(line[0] - finding.at) <= AROUND_S]
    near.sort(key=lambda line: abs(line[0] - finding.at))
    return sorted(near[:LINES])


def _faults(outcome: Outcome) -> Iterator[Line]:
    clients = outcome.record.clients
    for one in outcome.happened:
        about = "" if one.which is None else f" {clients[one.which].name}"
        about += "" if one.process is None else f" {one.process}"
        yield one.at, f"{one.lane}: {one.what}{about}, for {one.until - one.at:.2f} s"


def _of_client(client: Client) -> Iterator[Line]:
    for entry in client.log:
        if isinstance(entry, Told):
            yield entry.at, f"client is {entry.state}, recovered {entry.recovered!r} {entry.why}"
        else:
            yield entry.at, f"client got {_said(entry)}"
    for sent in client.sent:
        yield sent.at, f"client sent frame {sent.n}: {sent.what}"


def _said(frame: Frame) -> str:
    whose = f" {frame.n}" if frame.n else ""
    of = f" of {frame.sender}" if frame.sender else ""
    return f"frame {frame.number} of consumer {frame.consumer}: {frame.what}{whose}{of}"


def _of_consumers(client: Client, outcome: Outcome) -> Iterator[Line]:
    for consumer in outcome.record.of(client):
        name = f"consumer {consumer.name} in process {consumer.process}"
        for at in consumer.connected:
            yield at, f"{name} connects, in place of another: {consumer.why or 'no'}"
        for at, n in consumer.handled:
            yield at, f"{name} begins with frame {n}"
        for at, count in consumer.delivered:
            yield at, f"{name} hears that {count} frames are delivered"
        for at, code in consumer.ended:
            yield at, f"{name} ends with {code}"
    for process, at in outcome.record.killed.items():
        yield at, f"process {process} is killed"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f"{at % 1:.3f}"[1:]
