"""The counters of ``compat.metrics`` for Prometheus; needs the extra ``[metrics]``.

``endpoint`` is a page for routes of Starlette and FastAPI, with the counters of all processes;
``endpoint_for(token=…)`` returns one that asks for a token. ``Counters`` is a collector of this process alone
for an existing registry, and ``prometheus_text()`` returns that as text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from compat import fleet
from compat.metrics import snapshot
from compat.security.bearer import bears, secret_bytes
from compat.timings import BOUNDS
from compat.types import is_number

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ImportError(
        "compat.prometheus needs prometheus_client. Install it with: pip install 'channels-compat[metrics]'"
    ) from error

__all__ = ["CONTENT_TYPE", "Counters", "endpoint", "endpoint_for", "prometheus_text"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The media type of ``prometheus_text()``."""

PREFIX = "channels"
UNAUTHORIZED, BAD_REQUEST = 401, 400
SCOPES = ("all", "host", "process")
"""The values of the query parameter ``of``: whose counters are asked for."""

Labels = tuple[str, ...]


class Counted(NamedTuple):
    """What one process has counted, and the values of its labels."""

    labels: Labels
    counters: Mapping[str, Any]


class Read(NamedTuple):
    """A metric: its name, whether it counts up, its help text, and where in ``snapshot()`` its value is.

    ``each``: the name of the label for the keys of the dict that is found there. ``from_zero``: those that it
    has from the beginning, because Prometheus does not see by how much a sample has grown when it first came.
    """

    name: str
    counts: bool
    text: str
    path: Sequence[str]
    each: str = ""
    from_zero: Sequence[str] = ()


REASONS = ("overflow", "expired", "queue full", "undecodable", "gone", "reset", "dead")
WHYS = (
    *("gone", "left", "overflow", "stopped", "elsewhere", "user", "path", "logout"),
    *("refused", "used", "position", "expired", "invalid", "history"),
)
PER_PROCESS = (
    Read("connections", False, "Running consumers", ["connections", "current"]),
    Read("connections_accepted", True, "Websockets that consumers have accepted", ["connections", "total"]),
)
PER_LAYER = (
    Read("sent", True, "Successful calls of send and group_send", ["sent"]),
    Read("delivered", True, "Messages put into an inbox of this process", ["delivered"]),
    Read("reconnects", True, "Past outages of the layer's server", ["reconnects"]),
    Read("history_recorded", True, "Messages written to the histories of groups", ["history", "recorded"]),
    Read("history_bytes", True, "Size of these messages in Redis", ["history", "bytes"]),
    Read("history_replayed", True, "Messages of histories that new members got", ["history", "replayed"]),
    Read(
        "history_filled",
        True,
        "Messages that had not come, and were found in a history",
        ["history", "filled"],
    ),
    Read(
        *("presence_taken_out", True, "Dead processes whose people this one took out of the groups"),
        ["presence", "taken_out"],
    ),
    Read(
        *("presence_present", False, "Groups in which connections of this process are present, for each one"),
        ["presence", "present"],
    ),
    Read("dropped", True, "Messages lost", ["dropped"], each="reason", from_zero=REASONS),
    Read("depth", False, "Messages that wait in this process", ["depth"]),
    Read("unavailable", False, "1 while the layer's server cannot be reached", ["away"]),
)
OF_CONSUMERS = (
    Read("connect_seconds", True, "How long connect() takes, of a part of the connections", ["connect"]),
    Read("handler_seconds", True, "How long other handlers take, of a part of the connections", ["handler"]),
)
DELIVERY = Read(
    *("delivery_seconds", True, "From a send until the handler begins, of a part of the connections"),
    ["delivery"],
)
OF_RESUMABLE = (
    Read("live", False, "Resumable connections with a client", ["live"]),
    Read("parked", False, "Resumable connections that wait for their client", ["parked"]),
    Read("resumed", True, "Returns that have found their connection", ["resumed"]),
    Read("replaced", True, "Returns to a new connection", ["replaced"]),
    Read("groups", True, "Those of them whose groups have missed nothing", ["groups"]),
    Read("lost", True, "Returns that have not found it, and ended waits", ["lost"], "why", WHYS),
)


class Counters(Collector):
    """A collector of this process's counters: ``prometheus_client.REGISTRY.register(Counters())``.

    Every process has its own counters, so Prometheus must scrape each worker at a port of its own;
    ``endpoint`` has those of all.
    """

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics; names begin with ``channels_``, and ``layer`` is the alias."""
        yield from _metrics([Counted((), snapshot())], ())


class _Fleet(Collector):
    """A collector of the counters of several processes, each with the label ``process``."""

    def __init__(self, found: fleet.Fleet, chosen: Iterable[fleet.Process]) -> None:
        self._found = found
        self._chosen = list(chosen)

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            f"{PREFIX}_processes", "Processes that report, this one among them", len(self._found.processes)
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_processes_readable",
            "1 if the reports of other processes can be read; 0 without Redis",
            float(self._found.whole),
        )
        began = GaugeMetricFamily(
            f"{PREFIX}_process_start_time_seconds", "When a process began to count", labels=["process"]
        )
        for process in self._chosen:
            began.add_metric([process.name], process.began)
        yield began
        counted = [Counted((process.name,), process.counters) for process in self._chosen]
        yield from _metrics(counted, ("process",))


def _metrics(processes: Sequence[Counted], labels: Labels) -> Iterator[Metric]:
    """Yield the metrics of ``processes``, whose labels have the names ``labels``."""
    for read in PER_PROCESS:
        yield _metric("", read, processes, labels)
    layers = [
        Counted(one.labels, {**one.counters, "away": int(fleet.is_away(one.counters))})
        for one in _named(processes, "layers")
    ]
    for read in PER_LAYER:
        yield _metric("layer_", read, layers, (*labels, "layer"))
    yield _histogram("layer_", DELIVERY, layers, (*labels, "layer"))
    consumers = _named(processes, "consumers")
    for read in OF_CONSUMERS:
        yield _histogram("", read, consumers, (*labels, "consumer"))
    resumable = [
        Counted(one.labels, found) for one in processes if (found := fleet.part(one.counters, "resumable"))
    ]
    for read in OF_RESUMABLE if resumable else ():
        yield _metric("resumable_", read, resumable, labels)


def _named(processes: Iterable[Counted], key: str) -> list[Counted]:
    """Return what each process has under the names in ``key``, with the name as one more label."""
    return [
        Counted((*one.labels, name.encode(errors="replace").decode()), part)
        for one in processes
        for name, part in fleet.part(one.counters, key).items()
        if isinstance(part, Mapping)
    ]


def _histogram(group: str, read: Read, counted: Iterable[Counted], labels: Labels) -> Metric:
    metric = HistogramMetricFamily(f"{PREFIX}_{group}{read.name}", read.text, labels=labels)
    for one in counted:
        found = fleet.part(one.counters, read.path[0])
        counts, total_s = found.get("counts"), found.get("sum")
        if not isinstance(counts, list) or len(counts) != len(BOUNDS) + 1 or not is_number(total_s):
            continue  # another version has other buckets
        if total_s is not None and all(is_number(one) and 0 <= one < fleet.MOST for one in counts):
            bounds = [*map(str, BOUNDS), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
            metric.add_metric(one.labels, buckets, float(total_s))
    return metric


def _metric(group: str, read: Read, counted: Iterable[Counted], labels: Labels) -> Metric:
    family = CounterMetricFamily if read.counts else GaugeMetricFamily
    each = (read.each,) if read.each else ()
    metric = family(f"{PREFIX}_{group}{read.name}", read.text, labels=[*labels, *each])
    for one in counted:
        *path, last = read.path
        where: Mapping[str, Any] = one.counters
        for key in path:
            where = fleet.part(where, key)
        zeros = dict.fromkeys(read.from_zero, 0)
        values = {**zeros, **fleet.part(where, last)} if each else {"": where.get(last)}
        for key, value in values.items():
            if isinstance(value, int | float) and abs(value) < fleet.MOST:  # another version may not count it
                label = str(key).encode(errors="replace").decode()
                metric.add_metric([*one.labels, *([label] if each else [])], float(value))
    return metric


def _text(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def prometheus_text() -> str:
    """Return the counters of this process in Prometheus' text format; the media type is ``CONTENT_TYPE``."""
    return _text(Counters())


async def endpoint(request: Request) -> Response:
    """Answer with the counters of all processes: ``app.add_route("/metrics", endpoint)``.

    Each sample has the label ``process``. The query parameter ``of`` chooses: ``all`` (the default), ``host``
    for those of this machine or container, ``process`` for that which answers. Without a channel layer on
    Redis only the last is known. Anybody may ask; ``endpoint_for`` asks for a token.
    """
    of = request.query_params.get("of", SCOPES[0])
    if of not in SCOPES:
        return PlainTextResponse(f"of={of!r}: expected one of {', '.join(SCOPES)}\n", BAD_REQUEST)
    found = await fleet.processes()
    text = _text(_Fleet(found, found.of(of)))
    return Response(text, media_type=CONTENT_TYPE)


def endpoint_for(*, token: str) -> Callable[[Request], Awaitable[Response]]:
    """Return ``endpoint`` for those alone who send ``Authorization: Bearer`` and ``token``; others get 401.

    Raises ValueError for a token that is empty, such as one from a variable that was not set, or not ASCII.
    """
    known = secret_bytes("endpoint_for(token=…)", token)

    async def guarded(request: Request) -> Response:
        if not bears(request, known):
            challenge = {"WWW-Authenticate": 'Bearer realm="metrics"'}
            return PlainTextResponse("The token is missing, or another one.\n", UNAUTHORIZED, challenge)
        return await endpoint(request)

    return guarded
