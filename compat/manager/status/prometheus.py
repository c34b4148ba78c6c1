"""The status of a manager in the text format of Prometheus. Pure: it takes a dict and returns text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["CONTENT_TYPE", "prometheus_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COUNTERS = {
    "connected": ("connections_accepted_total", "Connections that were accepted"),
    "disconnected": ("connections_ended_total", "Connections that have ended"),
    "refused": ("connections_refused_total", "Connections over a limit, or made while the backend was away"),
    "timed_out": ("connections_timed_out_total", "Connections closed because nothing was heard of them"),
    "sends": ("sends_total", "Messages sent to a connection, a user, a group or all"),
    "frames_sent": ("frames_sent_total", "Frames sent to clients"),
    "frames_received": ("frames_received_total", "Frames received from clients"),
    "bytes_sent": ("bytes_sent_total", "Bytes of the frames sent"),
    "bytes_received": ("bytes_received_total", "Bytes of the frames received"),
    "errors": ("errors_total", "Errors that clients were told of"),
}


def prometheus_text(local: Mapping[str, Any]) -> str:
    """Return the text for ``{"server_instance_id", "connections", "users", "groups", "statistics"}``.

    It covers only this server, because Prometheus asks every server and can add up their values.
    """
    labels = f'{{server="{_escaped(str(local["server_instance_id"]))}"}}'
    lines: list[str] = []
    for name in ("connections", "users", "groups"):
        lines += _metric(
            f"manager_{name}", "gauge", f"Current {name} on this server", [(labels, local[name])]
        )
    statistics = local["statistics"]
    for name, (metric, text) in COUNTERS.items():
        lines += _metric(f"manager_{metric}", "counter", text, [(labels, statistics[name])])
    dropped = [
        (f'{labels[:-1]},reason="{_escaped(reason)}"}}', count)
        for reason, count in sorted(statistics["dropped"].items())
    ]
    lines += _metric("manager_frames_dropped_total", "counter", "Frames that did not reach a client", dropped)
    lines += _metric(
        "manager_uptime_seconds", "gauge", "Time since the manager was made", [(labels, statistics["uptime"])]
    )
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    values = [f"{name}{labels} {_number(value)}" for labels, value in samples]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *values]


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
