"""The rules by which a run is judged, on histories that are written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.record import Client, Consumer, Frame, Looked, Message, Record, Sent, Told
from tests.chaos.report import report
from tests.chaos.rules import judge, logged
from tests.chaos.rules_of_rooms import owed
from tests.chaos.run import Outcome
from tests.chaos.schedule import drawn

END = 1000.0
NORMAL, RESTART = 1000, 1012


def log_of(story: str) -> list[Frame | Told]:
    """A client's log. Each line is a second, from the first one on.

    ``open``, ``open groups``, ``open gone`` and ``away`` are what it was told; ``a 3`` is a frame of the
    consumer a about the message 3, whose sender is p. Consumers begin with a frame ``hello``; ``a lost`` does
    not come, and ``a again`` is the frame before once more.
    """
    log: list[Frame | Told] = []
    numbers: dict[str, int] = {}
    for at, line in enumerate(story.split("\n") if "\n" in story else story.split(", ")):
        first, _, what = line.strip().partition(" ")
        if first in ("open", "away", "closed"):
            recovered: dict[str, Any] = {"": None, "all": "all", "groups": "groups"}
            log.append(Told(at, first, recovered.get(what, ""), what))
            continue
        number = numbers[first] = numbers.get(first, -1) + (what != "again")
        if what in ("lost", "again"):
            log += [entry for entry in log if entry[1:3] == (first, number)] * (what == "again")
        elif what.isdigit():
            log.append(Frame(at, first, number, "said", "p", int(what)))
        else:
            log.append(Frame(at, first, number, what))
    return log


def record_of(story: str, *, kind: str = "async", said: str = "", **consumers: dict[str, Any]) -> Record:
    """A run with one client. ``said``: the messages to its room, of the sender p; by default those that came.

    ``consumers``: what is to be known of each beside its frames; it is in the process of its number.
    """
    client = Client("one", kind, "room", log_of(story))
    record = Record([client], settled=END)
    for entry in client.log:
        if isinstance(entry, Frame) and entry.consumer not in record.consumers:
            name, process = entry.consumer, len(record.consumers) + 1
            made = Consumer(name, "one", process, [entry.at], joined=entry.at - 0.5, ended=[(END, NORMAL)])
            record.consumers[name] = made
            for what, value in consumers.get(name, {}).items():
                assert hasattr(made, what)
                setattr(made, what, value)
    numbers = {entry.n for entry in client.log if isinstance(entry, Frame) and entry.what == "said"}
    for n in map(int, said.split()) if said else sorted(numbers):
        record.messages.append(Message("room", "p", n, n, n))
    return record


def found(record: Record) -> list[str]:
    return [finding.what for finding in judge(record)]


@pytest.mark.parametrize(
    "story",
    [
        "open, a hello, a 1, away, open all, a 2, away, open all, a 3",
        "open, a hello, a 1, away, open gone, b hello, b 2",
        "open, a hello, a 1, away, open groups, b hello, b 2",
        # the frames of the old one are read late, and the verdict comes behind what is sent again
        "open, a hello, away, open, open groups, a 1, b hello, b 2",
        "open, a hello, a 1, away, open, b hello, b 2, open groups, b 3",
        # the link is lost before the verdict, which is that of the next one
        "open, a hello, away, open, b hello, away, open gone, c hello",
    ],
)
def test_a_history_that_is_right(story: str) -> None:
    assert found(record_of(story)) == []


@pytest.mark.parametrize(
    ("story", "wrong"),
    [
        ("open, a hello, a 1, away, open all, a lost, a 3", "frame 3 of consumer a came behind frame 1"),
        ("open, a hello, a 1, away, open all, a again", "frame 1 of consumer a came again, behind frame 1"),
        ("open, a lost, a 1", "the first frame of consumer a is its frame 1"),
        ("open, a hello, away, open gone, b hello, a 1", "consumer a is back behind another one"),
    ],
)
def test_frames_of_a_consumer(story: str, wrong: str) -> None:
    assert wrong in found(record_of(story))


def test_frames_in_another_order() -> None:
    record = record_of("open, a hello, a 1, a 2")
    log = record.clients[0].log
    log[2], log[3] = log[3], log[2]
    assert "frame 1 of consumer a came again, behind frame 2" in found(record)
    assert "message 1 of p came behind its message 2, in a" in found(record)


@pytest.mark.parametrize(
    ("story", "wrong"),
    [
        ("open, a hello, away, open all, b hello", "consumer b has replaced a, and all that was told is"),
        ("open, a hello, away, open", "it came back, and was never told what was recovered"),
        ("open, a hello, away, open position, b hello", "nothing was recovered, why: position"),
        ("open, a hello, away, closed", "its connection has ended for good"),
    ],
)
def test_what_a_client_is_told(story: str, wrong: str) -> None:
    assert any(what.startswith(wrong) for what in found(record_of(story)))


def with_frames(record: Record, count: int, *, unsure: str = "") -> Record:
    """The client has sent so many frames, and got these back."""
    record.clients[0].sent = [Sent(float(n), n, "echo") for n in range(1, count + 1)]
    record.clients[0].unsure = [int(n) for n in unsure.split()]
    return record


def handling(*numbers: int) -> dict[str, Any]:
    return {"handled": [(float(n), n) for n in numbers]}


def test_frames_of_a_client_that_are_handled_or_handed_back() -> None:
    cut = "open, a hello, away, open gone, b hello"
    assert found(with_frames(record_of(cut, a=handling(1), b=handling(3)), 3, unsure="2")) == []
    both = with_frames(record_of(cut, a=handling(1, 2), b=handling(3)), 3, unsure="2")
    assert found(both) == [], "who is unsure of a frame need not have lost it"
    twice = with_frames(record_of(cut, a=handling(1, 2), b=handling(2)), 2)
    assert found(twice) == ["its frame 2 was handled by a, b"]


@pytest.mark.parametrize(
    ("a", "unsure", "wrong"),
    [
        ((1, 3), "", "its frame 2 was lost without a word"),
        ((1, 2, 2, 3), "", "its frame 2 was handled by a, a"),
        ((1, 3, 2), "", "its frame 2 was handled behind frame 3"),
        ((1, 3), "2 2", "its frame 2 was handed back 2 times"),
    ],
)
def test_frames_of_a_client_that_are_not(a: tuple[int, ...], unsure: str, wrong: str) -> None:
    record = with_frames(record_of("open, a hello, away, open all", a=handling(*a)), 3, unsure=unsure)
    assert found(record) == [wrong]


def test_frames_that_a_process_took_along_when_it_was_killed() -> None:
    told = "open, a hello, away, open gone, b hello"
    record = with_frames(record_of(told, a=handling(1, 2), b=handling(6)), 6)
    record.killed = {1: 2.5}
    assert found(record) == ["its frame 5 was lost without a word"], "3 and 4 may have been acknowledged"
    record.killed, record.consumers["a"].ended = {}, [(2.5, 1001)]
    assert found(record) == ["its frame 5 was lost without a word"], "nor of a consumer that was cancelled"
    record.clients[0].kind = "several"
    assert found(record) == []


def test_frames_that_waited_when_the_client_came_back_before_the_kill() -> None:
    told = "open, a hello, away, away, away, away, open all, away, open gone, b hello"
    record = with_frames(record_of(told, a=handling(1), b=handling(8)), 8)
    record.killed = {1: 6.5}
    assert found(record) == ["its frame 7 was lost without a word"], "it was sent behind the return"
    record.killed = {1: 7.5}
    record.clients[0].polls = True
    assert found(record) == []


GROUPS = "open, a hello, a 1, a 2, away, open groups, b hello, "


@pytest.mark.parametrize("come", ["b 3, b 4", "b 2, b 3, b 4"])
def test_messages_that_a_killed_process_has_left(come: str) -> None:
    record = record_of(GROUPS + come, a={"ended": []}, said="1 2 3 4")
    record.killed = {1: 3.5}
    assert found(record) == []


def test_messages_that_are_missing_in_a_group() -> None:
    assert found(record_of(GROUPS + "b 4", said="1 2 3 4")) == ["message 3 of p is missing in a and b"]
    assert found(record_of(GROUPS + "b 3", said="1 2 3 4")) == ["message 4 of p is missing in a and b"]
    nothing_promised = GROUPS.replace("groups", "gone") + "b 4"
    assert found(record_of(nothing_promised, b={"joined": 3.5}, said="1 2 3 4")) == []


def test_messages_that_are_owed_until_they_have_come() -> None:
    record = record_of(GROUPS + "b 3", said="1 2 3 4")
    assert [finding.what for finding in owed(record)] == ["message 4 of p is missing in a and b"]
    record.settled = 3.5
    assert owed(record) == [], "it was sent later"


RESET = "open, a hello, a 1, a hi, a reset, a 4, a 7"


def test_messages_that_are_gone_with_redis() -> None:
    assert found(record_of("open, a hello, a 1, a lost, a 4", said="1 2 3 4")) != []
    record, later = record_of(RESET, said="1 2 3 4 7"), record_of(RESET, said="1 2 3 4 6 7")
    record.losses = later.losses = [(3.0, 3.5)]
    assert found(record) == []
    assert "message 6 of p is missing in a" in found(later)


def test_a_loss_that_is_told_and_has_not_happened() -> None:
    record = record_of(RESET, said="1 2 3 4 7")
    assert found(record) == ["it was told that messages are gone, and none is"]
    record.losses = [(5.0, 6.0)]
    assert found(record) == ["it was told that messages are gone, and none is"]


def test_messages_that_are_gone_before_anybody_had_them() -> None:
    record = record_of("open, a hello, a 1, a 4", said="1 2 4")
    assert found(record) == ["message 2 of p is missing in a"]
    record.losses = record.takeovers = [(2.5, 3.5)]
    assert found(record) == [], "a replica has taken over without it"
    other = Client("two", "async", "room", [Frame(2.2, "b", 0, "said", "p", 2)])
    record.clients.append(other)
    record.consumers["b"] = Consumer("b", "two", 2, [2.1], joined=2.15, ended=[(END, NORMAL)])
    assert "message 2 of p is missing in a" in found(record), "somebody has had it, and so it is noticed"


def test_who_joins_before_a_loss_is_noticed() -> None:
    record = record_of(GROUPS + "b 4", said="1 2 3 4")
    record.clients.append(Client("two", "async", "room", [Frame(3.0, "c", 0, "said", "p", 3)]))
    record.consumers["c"] = Consumer("c", "two", 3, [2.8], joined=2.9, ended=[(END, NORMAL)])
    missing = "message 3 of p is missing in a and b"
    assert missing in found(record)
    record.losses = record.takeovers = [(2.0, 4.0)]
    assert missing not in found(record)
    record.consumers["b"].joined = 9.0
    assert missing in found(record), "it is known by then"


def test_messages_that_come_twice() -> None:
    story = GROUPS + "b 2, b 3"
    stopped: dict[str, Any] = {"ended": [(3.5, RESTART)]}
    record = record_of(story, a=stopped)
    assert found(record) == ["message 2 of p came from a and again from b"]
    record.clients[0].blocked = [(2.0, 3.2)]  # its last ticket may not have reached it
    assert found(record) == []
    record.clients[0].blocked, record.clients[0].cuts = [], [(3.4, 3.45)]
    assert found(record) == [], "it has yet to notice that it is away"
    record.clients[0].cuts = [(2.0, 2.1), (3.6, 3.7)]
    assert found(record) == ["message 2 of p came from a and again from b"]
    assert found(record_of(story, a={"ended": [(4.5, RESTART)]})) == [], "it was away"
    record = record_of(story, a=stopped)
    record.clients[0].polls = True
    assert found(record) == [], "it may have been between two polls"
    assert found(record_of(story, a={"ended": [(9.0, RESTART)]})) == [], "it had left before"
    assert "message 1 of p came twice from a" in found(record_of("open, a hello, a 1, a 1"))


def test_messages_in_another_order_from_one_that_handles_several() -> None:
    story = "open, a hello, a 2, a 1"
    assert found(record_of(story)) == ["message 1 of p came behind its message 2, in a"]
    assert found(record_of(story, kind="several")) == []


def test_delivered_says_the_truth() -> None:
    story = "open, a hello, a 1"
    assert found(record_of(story, a={"delivered": [(2.0, 2)]})) == []
    lied = found(record_of(story, a={"delivered": [(2.0, 3)]}))
    assert lied == ["delivered() of a says 3 frames, it has 2"]


def test_who_is_present_in_a_room() -> None:
    record = record_of("open, a hello")
    record.looks = [Looked(2.0, "room", frozenset(("one", "two")), frozenset(("one", "two")))]
    assert found(record) == []
    record.looks.append(Looked(3.0, "room", frozenset(("one",)), frozenset(("two",))))
    assert found(record) == ["it is not present in the room room", "it is still present in the room room"]


def test_a_consumer_begins_and_ends_once() -> None:
    record = record_of("open, a hello", a={"ended": []})
    assert found(record) == ["disconnect() of consumer a was never called"]
    record.killed = {1: 3.0}
    assert found(record) == []
    assert found(record_of("open, a hello", a={"ended": [], "joined": None})) == [], "it was in connect()"
    twice: dict[str, Any] = {"connected": [0.0, 1.0], "ended": [(2.0, 1006), (3.0, 1012)]}
    assert found(record_of("open, a hello", a=twice)) == [
        "connect() of consumer a was called 2 times",
        "disconnect() of consumer a was called with [1006, 1012]",
    ]


TRACE = """ERROR:    Exception in ASGI application
Traceback (most recent call last):
  File "app.py", line 1, in receive
    await sleep(1)
{}
"""


@pytest.mark.parametrize(
    ("error", "count"), [("asyncio.exceptions.CancelledError", 0), ("ValueError: asyncio", 1)]
)
def test_what_a_server_may_log(error: str, count: int) -> None:
    log = f"stopping: cancelled what had not ended\n{TRACE.format(error)}bye\n"
    assert len(logged(log, 1.0)) == count
    assert len(logged(log * 2, 1.0)) == 2 * count


def test_the_report_has_the_seed_the_client_the_frames_around_and_the_faults() -> None:
    record = record_of("open, a hello, a 1, away, open all, a lost, a 3")
    told = report(Outcome(drawn(7, "queue", 60), record, [], judge(record)))
    wrong = "one: frame 3 of consumer a came behind frame 1"
    for words in ("CHAOS_SEED=7", wrong, "client is open", "said 3 of p", "All faults:"):
        assert words in told, told
