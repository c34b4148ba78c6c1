"""The faults: what happens, and how the way is opened again."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from bench.faults.systems import PING_S, PONG_S
from bench.faults.trial import Moment, Step, Trial
from tests.support.waiting import until

__all__ = ["FAULTS", "Fault"]

IDLE_S = 0.4
"""After so long a silence the proxy closes a connection: less than it takes to the next ping."""
ASLEEP_S = PING_S + PONG_S + 1
NOT_READ, NOT_READ_BYTES, AT_ONCE = 1_000, 1_024, 20


def nothing(trial: Trial) -> None:
    """The way is open."""


@dataclass(frozen=True)
class Fault:
    """A row of the matrix."""

    name: str
    title: str
    moments: tuple[Moment, ...]
    strike: Step
    mend: Step
    prepare: Step = nothing
    redis: bool = False
    """It needs a server over Redis."""
    across: bool = False
    """Messages to the room are sent by the other server."""
    only_ours: bool = False
    quiet: bool = False
    """Nothing is sent before it."""
    times: int = 1
    """So often it is played; the worst trial counts. More than once where the outcome depends on chance."""


def accept(trial: Trial) -> None:
    trial.proxy.accept()


def cut(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.proxy.cut()


def stall(trial: Trial) -> None:
    trial.proxy.stall()


def time_out(trial: Trial) -> None:
    """A proxy closes a connection on which nothing is sent."""
    until(lambda: time.monotonic() - trial.heard_at > IDLE_S, "a quiet connection")
    trial.proxy.refuse()
    trial.proxy.half_close()


def fall_asleep(trial: Trial) -> None:
    trial.client.send_signal(signal.SIGSTOP)
    trial.proxy.cut()


def wake(trial: Trial) -> None:
    """Wake the client when its server's patience is over."""
    trial.pause(ASLEEP_S)
    trial.client.send_signal(signal.SIGCONT)


def change_network(trial: Trial) -> None:
    trial.proxy.strand()


def terminate(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.server.send_signal(signal.SIGTERM)
    trial.open_gate()
    trial.server.wait()


def kill(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.server.kill()


def replace(trial: Trial) -> None:
    """Start a new server on the same port."""
    trial.server.start()
    trial.proxy.accept()


def flush(trial: Trial) -> None:
    assert trial.place.redis is not None
    trial.place.redis.kill()


def restart_redis(trial: Trial) -> None:
    assert trial.place.redis is not None
    trial.place.redis.start()


def stop_reading(trial: Trial) -> None:
    trial.client.send_signal(signal.SIGSTOP)
    for _ in range(NOT_READ // AT_ONCE):
        trial.say(AT_ONCE, NOT_READ_BYTES)


def read_on(trial: Trial) -> None:
    trial.client.send_signal(signal.SIGCONT)


def go_by_peer(trial: Trial) -> None:
    """Bring the client back by the other server."""
    before = len(trial.client.opens())
    trial.proxy.lead_to(trial.place.servers[1].port)
    trial.proxy.cut()
    until(lambda: len(trial.client.opens()) > before, "back by the other server")


def kill_peer(trial: Trial) -> None:
    trial.proxy.refuse()
    trial.place.servers[1].kill()


def lead_home(trial: Trial) -> None:
    trial.proxy.lead_to(trial.server.port)
    trial.proxy.accept()


FAULTS = (
    Fault("quiet", "TCP cut of a socket on which nothing was sent", ("rest",), cut, accept, quiet=True),
    Fault("cut", "TCP cut", ("send", "handler", "handshake", "resume"), cut, accept),
    Fault("half-open", "Half-open connection", ("send", "handler", "resume"), stall, nothing),
    Fault("idle", "Idle timeout of a proxy", ("rest", "resume"), time_out, accept),
    Fault("sleep", "Sleep of the client", ("rest", "send", "handler", "resume"), fall_asleep, wake),
    Fault("network", "Change of the network", ("send", "handler", "resume"), change_network, nothing),
    Fault("sigterm", "Server: SIGTERM", ("send", "handler", "handshake", "resume"), terminate, replace),
    Fault("kill", "Server: kill -9", ("send", "handler", "handshake", "resume"), kill, replace),
    Fault(
        "redis",
        "Redis restarted and flushed",
        ("send", "handler"),
        flush,
        restart_redis,
        redis=True,
        across=True,
        times=10,
    ),
    Fault("slow", "Slow reader", ("send",), stop_reading, read_on),
    Fault(
        "peer",
        "Relaying peer: kill -9",
        ("send", "handler", "resume"),
        kill_peer,
        lead_home,
        go_by_peer,
        redis=True,
        only_ours=True,
    ),
)
