"""The counters of ``compat.metrics`` for Prometheus; needs the extra ``[metrics]``.

``endpoint`` is a page for routes of Starlette and FastAPI, ``prometheus_text()`` returns the page as text,
and ``Counters`` is a collector for an existing registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from compat.metrics import snapshot

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ImportError(
        "compat.prometheus needs prometheus_client. Install it with: pip install 'channels-compat[metrics]'"
    ) from error

__all__ = ["CONTENT_TYPE", "Counters", "endpoint", "prometheus_text"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The media type of ``prometheus_text()``."""

PREFIX = "channels"


class Counters(Collector):
    """A collector of this process's counters: ``prometheus_client.REGISTRY.register(Counters())``.

    Every process has its own counters, so Prometheus must scrape each worker at a port of its own.
    """

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics; names begin with ``channels_``, and ``layer`` is the alias."""
        counted = snapshot()
        connections, layers = counted["connections"], counted["layers"]
        yield GaugeMetricFamily(f"{PREFIX}_connections", "Running consumers", value=connections["current"])
        yield CounterMetricFamily(
            f"{PREFIX}_connections_accepted", "Consumers that were started", value=connections["total"]
        )
        for key, text in (
            ("sent", "Successful calls of send and group_send"),
            ("delivered", "Messages put into an inbox of this process"),
            ("reconnects", "Past outages of the layer's server"),
        ):
            counter = CounterMetricFamily(f"{PREFIX}_layer_{key}", text, labels=["layer"])
            for alias, layer in layers.items():
                counter.add_metric([alias], layer[key])
            yield counter
        for key, text in (
            ("recorded", "Messages written to the histories of groups"),
            ("bytes", "Size of these messages in Redis"),
            ("replayed", "Messages of histories that new members got"),
            ("filled", "Messages that had not come, and were found in a history"),
        ):
            counter = CounterMetricFamily(f"{PREFIX}_layer_history_{key}", text, labels=["layer"])
            for alias, layer in layers.items():
                counter.add_metric([alias], layer["history"][key])
            yield counter
        taken_out = CounterMetricFamily(
            f"{PREFIX}_layer_presence_taken_out",
            "Dead processes whose people this one took out of the groups",
            labels=["layer"],
        )
        present = GaugeMetricFamily(
            f"{PREFIX}_layer_presence_present",
            "Groups in which connections of this process are present, for each connection",
            labels=["layer"],
        )
        for alias, layer in layers.items():
            taken_out.add_metric([alias], layer["presence"]["taken_out"])
            present.add_metric([alias], layer["presence"]["present"])
        yield taken_out
        yield present
        yield _dropped(layers)
        depth = GaugeMetricFamily(
            f"{PREFIX}_layer_depth", "Messages that wait in this process", labels=["layer"]
        )
        away = GaugeMetricFamily(
            f"{PREFIX}_layer_unavailable", "1 while the layer's server cannot be reached", labels=["layer"]
        )
        for alias, layer in layers.items():
            depth.add_metric([alias], layer["depth"])
            away.add_metric([alias], any(gap["ended"] is None for gap in layer["gaps"]))
        yield depth
        yield away
        if counted["resumable"]:
            yield from _resumable(counted["resumable"])


def _resumable(counted: dict[str, Any]) -> Iterator[Metric]:
    for state, text in (
        ("live", "Resumable connections with a client"),
        ("parked", "Resumable connections that wait for their client"),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_resumable_{state}", text, value=counted[state])
    yield CounterMetricFamily(
        f"{PREFIX}_resumable_resumed", "Returns that have found their connection", value=counted["resumed"]
    )
    yield CounterMetricFamily(
        f"{PREFIX}_resumable_groups",
        "Returns to a new connection whose groups have missed nothing",
        value=counted["groups"],
    )
    lost = CounterMetricFamily(
        f"{PREFIX}_resumable_lost", "Returns that have not found it, and ended waits", labels=["why"]
    )
    for why, count in counted["lost"].items():
        lost.add_metric([why], count)
    yield lost


def _dropped(layers: dict[str, Any]) -> Metric:
    counter = CounterMetricFamily(f"{PREFIX}_layer_dropped", "Messages lost", labels=["layer", "reason"])
    for alias, layer in layers.items():
        for reason, count in layer["dropped"].items():
            counter.add_metric([alias, reason], count)
    return counter


def prometheus_text() -> str:
    """Return the counters of this process in Prometheus' text format; the media type is ``CONTENT_TYPE``."""
    registry = CollectorRegistry()
    registry.register(Counters())
    return generate_latest(registry).decode()


async def endpoint(request: Request) -> Response:
    """Answer a request with ``prometheus_text()``: ``app.add_route("/metrics", endpoint)``."""
    return Response(prometheus_text(), media_type=CONTENT_TYPE)
