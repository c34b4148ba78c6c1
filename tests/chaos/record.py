"""What a run has recorded: what each client saw, what each consumer did, and what was sent to the rooms.

All times are seconds of the machine's clock, which the clients and the servers share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "Client",
    "Consumer",
    "Finding",
    "Frame",
    "Looked",
    "Message",
    "Record",
    "Run",
    "Sent",
    "Told",
    "from_notes",
    "news",
    "runs",
]


class Frame(NamedTuple):
    """A frame that a client has read; consumers number theirs from 0."""

    at: float
    consumer: str
    number: int
    what: str
    """"hello", "echo", "said" or "reset"."""
    sender: str = ""
    """Of "said": who has sent the message to the room."""
    n: int = 0
    """The number of the client's own frame, or that of the sender's message."""


class Told(NamedTuple):
    """What ``on_change`` of a client was called for."""

    at: float
    state: str
    recovered: str | None = None
    why: str = ""


class Sent(NamedTuple):
    """A frame that a client has sent; each client numbers its own from 1."""

    at: float
    n: int
    what: str


class Message(NamedTuple):
    """A message to a room that was sent without an error, from the call to its return."""

    room: str
    sender: str
    n: int
    began: float
    ended: float


class Looked(NamedTuple):
    """Who the servers have said is present in a room, once nothing was to change there any more."""

    at: float
    room: str
    due: frozenset[str]
    """The clients that are there."""
    found: frozenset[str]


class Finding(NamedTuple):
    """A rule that was broken."""

    at: float
    client: str
    what: str


@dataclass
class Client:
    """One client from its first connection to its end."""

    name: str
    kind: str
    """Of its consumers: "async", "sync", "several" (which handles several messages at once) or "plain"."""
    room: str
    log: list[Frame | Told] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    unsure: list[int] = field(default_factory=list)
    """The numbers of the frames that it got back."""
    polls: bool = False
    """It has no websocket, and comes back with each poll."""
    blocked: list[tuple[float, float]] = field(default_factory=list)
    """When its link was open and carried nothing, or hardly anything."""
    cuts: list[tuple[float, float]] = field(default_factory=list)
    """When its link ended, which it may notice a little later."""


@dataclass
class Consumer:
    """One consumer, from its ``connect()`` on."""

    name: str
    client: str
    process: int
    connected: list[float] = field(default_factory=list)
    why: str = ""
    """Why it replaces another one, as ``scope["resume"]`` has it."""
    joined: float | None = None
    """When it was a member of its room, if it has one."""
    handled: list[tuple[float, int]] = field(default_factory=list)
    """When it began with which frame of its client."""
    delivered: list[tuple[float, int]] = field(default_factory=list)
    """When ``delivered()`` said that the client has so many of its frames."""
    ended: list[tuple[float, int]] = field(default_factory=list)
    """When ``disconnect()`` was called, and with which code."""


@dataclass
class Record:
    clients: list[Client] = field(default_factory=list)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    """The processes that had no time to say anything, and when they ended."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When Redis did not answer, or had lost connections."""
    losses: list[tuple[float, float]] = field(default_factory=list)
    """Those in which it may have lost something that it had."""
    takeovers: list[tuple[float, float]] = field(default_factory=list)
    """Those of these in which a replica may have become the master without the last of it."""
    looks: list[Looked] = field(default_factory=list)
    settled: float = 0.0
    """What was sent before has reached all clients that are owed it: by now no fault is left."""

    def ended(self, client: Client) -> Told | None:
        """What a client was told whose connection has ended for good, before it wanted to leave."""
        told = (entry for entry in client.log if isinstance(entry, Told) and entry.at < self.settled)
        return next((entry for entry in told if entry.state == "closed"), None)

    def of(self, client: Client) -> list[Consumer]:
        """The consumers that a client has had, in their order."""
        mine = [consumer for consumer in self.consumers.values() if consumer.client == client.name]
        return sorted(mine, key=lambda consumer: consumer.connected[0])


@dataclass
class Run:
    """Frames of one consumer that a client has read one after the other."""

    consumer: str
    frames: list[Frame]
    since: int
    """How much the client had been told when the first of them came."""
    told: list[Told] = field(default_factory=list)
    """What it was told that may be about the change to this consumer.

    A verdict may come before frames of the old consumer that wait to be read, and after the first ones of
    the new consumer: it is one since the old one's first frame, and before the next one's.
    """


def runs(client: Client) -> list[Run]:
    """The frames of a client by consumer."""
    found: list[Run] = []
    told: list[Told] = []
    for entry in client.log:
        if isinstance(entry, Told):
            told.append(entry)
            continue
        if not found or found[-1].consumer != entry.consumer:
            found.append(Run(entry.consumer, [], len(told)))
        found[-1].frames.append(entry)
    for index in range(1, len(found)):
        until = found[index + 1].since if index + 1 < len(found) else len(told)
        found[index].told = told[found[index - 1].since : until]
    return found


def news(run: Run) -> list[Told]:
    """What a client was told about a new consumer."""
    return [one for one in run.told if one.state == "open" and one.recovered in ("groups", "")]


def from_notes(notes: Iterable[dict[str, Any]]) -> tuple[dict[str, Consumer], list[Message]]:
    """The consumers and the messages of what the servers have noted (``tests.chaos.app``)."""
    consumers: dict[str, Consumer] = {}
    messages: list[Message] = []
    for note in notes:
        what, at = note["what"], note["at"]
        if what == "said":
            messages.append(Message(note["room"], note["sender"], note["n"], note["began"], at))
            continue
        name = note["consumer"]
        consumer = consumers.setdefault(name, Consumer(name, note["client"], note["process"]))
        if what == "connect":
            consumer.connected.append(at)
            consumer.why = (note["resume"] or {}).get("why", "")
        elif what == "joined":
            consumer.joined = at
        elif what == "handled":
            consumer.handled.append((at, note["n"]))
        elif what == "delivered":
            consumer.delivered.append((at, note["count"]))
        else:
            assert what == "disconnect", note
            consumer.ended.append((at, note["code"]))
    return consumers, messages
