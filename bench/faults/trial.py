"""A trial: one client, one fault at one moment, and messages both ways before, meanwhile and after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from bench.faults.counts import Counts, way
from bench.faults.place import Place
from bench.faults.processes import Client, Server
from tests.support.proxy import Proxy
from tests.support.waiting import until, within

__all__ = ["Moment", "Step", "Trial"]

Moment = Literal["rest", "send", "handler", "handshake", "resume"]

BEFORE, AWAY, AFTER, STEADY = 10, 10, 10, 50
"""Messages each way: before the fault, while the client is away, when it is back, and in a row around the
fault."""
GAP_S = 0.02
PROBE = 1_000_000
"""The first number of those messages that try whether the connection is there."""
OPEN_S, BACK_S, SETTLED_S = 30.0, 30.0, 4.0
PROBE_S = 0.2

Step = Callable[["Trial"], None]


class Trial:
    """What a fault is given: the client, the proxy before the server, and the place."""

    def __init__(self, place: Place, who: str, moment: Moment, *, quiet: bool, across: bool) -> None:
        self.place = place
        self.who = who
        self.moment: Moment = moment
        self.quiet = quiet
        """Nothing is sent before the fault."""
        self.server: Server = place.servers[0]
        self.driver: Server = place.servers[-1] if across else self.server
        """Which sends to the room."""
        self.proxy: Proxy
        self.client: Client
        self.said: list[int] = []
        self.sent: list[int] = []
        self.returning = threading.Event()
        """The handshake's response to the client's first return has passed the proxy, or, if the moment is
        the handshake, has not."""
        self.heard_at = time.monotonic()
        """When the proxy has last forwarded something."""
        self.question = 0
        """The number of the frame whose handler waits, and of its answer."""
        self._lock = threading.RLock()
        """Held while a message is numbered and sent, so that the numbers tell the order."""
        self._numbers = 0
        self._cut_at: Moment | None = None

    def run(self, prepare: Step, strike: Step, mend: Step) -> Counts:
        """Let ``strike(trial)`` happen at the moment, and ``mend(trial)`` open the way again; count.

        ``prepare(trial)`` comes before the moment.
        """
        began = time.monotonic()
        with Proxy(self.server.port) as proxy:
            self.proxy = proxy
            proxy.before = self._watch
            self.client = self.place.client(proxy.port, self.who)
            try:
                opened = self._play(prepare, strike, mend)
                back = self._is_back()
                if back:
                    self.say(AFTER)
                    self.send(AFTER)
                    back = self._is_back()
                self.client.leave()
            finally:
                self.client.kill()
            within(SETTLED_S, self._has_left)
        return self._count(opened, back, time.monotonic() - began)

    def say(self, count: int, size: int = 1) -> bool:
        """Have the server send numbers to the room; those count that it has said it has sent."""
        with self._lock:
            first = self._next(count)
            done = self.driver.say(self.who, first, first + count, size)
            if done:
                self.said += range(first, first + count)
        return done

    def send(self, count: int) -> None:
        """Have the client send frames."""
        with self._lock:
            for _ in range(count):
                self.sent.append(self._next(1))
                self.client.send("say", self.sent[-1])

    def open_gate(self) -> None:
        """Let the handler go on."""
        self.place.open_gate(self.who)

    def pause(self, seconds: float) -> None:
        """Let a fault last."""
        time.sleep(seconds)

    def _next(self, count: int) -> int:
        self._numbers += count
        return self._numbers - count + 1

    def _play(self, prepare: Step, strike: Step, mend: Step) -> int:
        """Play the fault; return how many connections had been open before it."""
        if self.moment == "handshake":
            self._cut_at = "handshake"
            self.client.start()
            until(self.returning.is_set, "a handshake", deadline_s=OPEN_S)
            strike(self)
            mend(self)
            return 1
        self.client.start()
        until(self.client.opens, f"{self.who} is open", deadline_s=OPEN_S)
        if not self.quiet:
            self._exchange()
        prepare(self)
        opened = len(self.client.opens())
        steady = threading.Thread(target=self._go_on, daemon=True) if self.moment == "send" else None
        if steady is not None:
            steady.start()
            until(lambda: len(self.client.numbers()) > BEFORE + 10, "messages come", deadline_s=OPEN_S)
        if self.moment == "handler":
            self.question = self._next(1)
            self.sent.append(self.question)
            self.client.send("wait", self.question)
            until(lambda: self.question in self._got(), "the handler has begun", deadline_s=OPEN_S)
        if self.moment == "resume":
            self._cut_at = "resume"
        strike(self)
        self.open_gate()
        self.say(AWAY)
        self.send(AWAY)
        mend(self)
        if self.moment == "resume" and self.returning.wait(BACK_S):
            self.proxy.cut()
            self._cut_at = None
        if steady is not None:
            steady.join()
        return opened

    def _exchange(self) -> None:
        """Send some messages both ways, and wait until they are there."""
        self.say(BEFORE)
        self.send(BEFORE)
        until(lambda: len(self.client.numbers()) >= BEFORE, "messages to the client", deadline_s=OPEN_S)
        until(lambda: len(self._got()) >= BEFORE, "messages of the client", deadline_s=OPEN_S)

    def _go_on(self) -> None:
        """Send both ways at a steady pace, until the server has said of so many that it has sent them."""
        wanted = len(self.said) + STEADY
        deadline = time.monotonic() + BACK_S
        while len(self.said) < wanted and time.monotonic() < deadline:
            if self.say(1):
                self.send(1)
            time.sleep(GAP_S)

    def _is_back(self) -> bool:
        """Return True once a message has come each way; as messages keep their order, so have all before."""
        first = self._next(1) + PROBE
        return within(BACK_S, lambda: self._probe(first))

    def _probe(self, first: int) -> bool:
        with self._lock:
            number = PROBE + self._next(1)
            self.driver.say(self.who, number, number + 1)
            self.client.send("say", number)
        return within(
            PROBE_S,
            lambda: all(max(came, default=0) >= first for came in (self.client.numbers(), self._got())),
        )

    def _got(self) -> list[int]:
        return self.place.notes("got", self.who)

    def _has_left(self) -> bool:
        return len(self.place.notes("connect", self.who)) == len(self.place.notes("disconnect", self.who))

    def _watch(self, data: bytes, to_server: bool) -> bytes | None:
        """See what passes the proxy, in its thread: cut the connection at a handshake's response."""
        self.heard_at = time.monotonic()
        if self._cut_at == "handshake" and not to_server:
            self._cut_at = None
            self.proxy.refuse()
            self.returning.set()
            return None
        if self._cut_at == "resume":
            if self.returning.is_set():  # until the connection is cut, nothing goes further
                return None
            if data.startswith(b"HTTP/1.1 101"):
                self.returning.set()
                return data[: data.index(b"\r\n\r\n") + 4]
        return data

    def _count(self, opened: int, back: bool, seconds: float) -> Counts:
        opens = self.client.opens()
        told = [one for one in opens[opened:] if self.place.system.was_told(one)]
        returned = self.client.numbers("returned")
        answers = self.place.notes("answered", self.who)
        came = [number for number in self.client.numbers() if number != self.question]
        down = way(self.said, came, probe=PROBE)
        if answers:
            times = self.client.numbers().count(self.question)
            down = down._replace(
                sent=down.sent + 1, missing=down.missing + (times == 0), twice=down.twice + (times > 1)
            )
        return Counts(
            down=down,
            up=way(self.sent, self._got(), returned, probe=PROBE),
            unfinished=bool(self.question) and not answers,
            told=bool(told) or any(number < PROBE for number in returned),
            why=str(told[0]["why"]) if told else "",
            back=back,
            opens=len(opens),
            connects=len(self.place.notes("connect", self.who)),
            disconnects=len(self.place.notes("disconnect", self.who)),
            seconds=round(seconds, 1),
        )
