"""Traces by OpenTelemetry; needs the extra ``[otel]``, and an SDK that exports them.

    from compat import otel

    otel.instrument()

A connection is a span while it connects; what its handlers do are spans below it. A send is a span too, and
the message carries its trace, so what the handlers of its receivers do, in any process, is in the trace of
the send, with links to both. Which traces are kept is up to the sampler of the SDK: what it leaves out costs
little, and before ``instrument()`` nothing does.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from compat.engine.refusal import shown
from compat.exceptions import StopConsumer
from compat.layers.memory import InMemoryChannelLayer
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.pubsub import RedisPubSubChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.tracing import TRACE_KEY, trace_by, without_trace
from compat.types import Message

try:
    from opentelemetry import context, trace
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError as error:
    raise ImportError(
        "compat.otel needs OpenTelemetry. Install it with: pip install 'channels-compat[otel]'"
    ) from error

__all__ = ["instrument", "uninstrument"]

LAYERS = (InMemoryChannelLayer, RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer)
METHODS = ("send", "group_send")
MOST_DELIVERIES = 20
"""Of how many receivers of one message a process tells; a group may have ten thousand."""
MOST_SENDS = 1000
"""Of how many sends a process counts the receivers."""
CONNECTS = ("websocket.connect", "http.request")

_propagator = TraceContextTextMapPropagator()
_replaced: list[tuple[type, str, Any]] = []
_told: OrderedDict[str, int] = OrderedDict()
"""How many deliveries of a send have been told, by what its message carried."""


def instrument(tracer_provider: trace.TracerProvider | None = None, *, carry: bool = True) -> None:
    """Trace connections that begin from now on, and sends; call it once, before the server starts.

    ``tracer_provider``: by default the global one. ``carry``: messages carry the trace of their send to other
    processes, but those to groups with a history. Turn it off while processes with the real channels_redis
    are in the fleet: their consumers would find a key ``__trace__`` in messages. Another call does nothing.
    """
    if _replaced:
        return
    tracer = trace.get_tracer("compat", tracer_provider=tracer_provider)
    trace_by(functools.partial(_Connection, tracer))
    for layer in LAYERS:
        for name in METHODS:
            send = vars(layer)[name]
            _replaced.append((layer, name, send))
            setattr(layer, name, _traced_send(tracer, name, send, carry=carry))


def uninstrument() -> None:
    """Undo ``instrument()``, for connections that begin from now on and for sends."""
    trace_by(None)
    while _replaced:
        layer, name, send = _replaced.pop()
        setattr(layer, name, send)


def _traced_send(tracer: trace.Tracer, name: str, send: Any, *, carry: bool) -> Any:
    """Return a method of a layer, in a span if its caller is in a trace that is kept, or in none."""

    @functools.wraps(send)
    async def traced(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        current = trace.get_current_span().get_span_context()
        if isinstance(message, dict):
            message = without_trace(message)  # a client may have sent one
        if current.is_valid and not current.trace_flags.sampled:
            return await send(self, target, message, *args, **kwargs)
        kind = message.get("type") if isinstance(message, dict) else None
        attributes = {
            "messaging.system": "channels",
            "messaging.operation.name": name,
            "messaging.destination.name": _text(target),
        }
        with tracer.start_as_current_span(
            f"{name} {_text(kind)}", None, SpanKind.PRODUCER, attributes
        ) as span:
            wanted = carry and span.is_recording() and isinstance(message, dict)
            if wanted and not _is_kept(self, name, target):
                carrier: dict[str, str] = {}
                _propagator.inject(carrier)
                message = {**message, TRACE_KEY: carrier["traceparent"]}
            return await send(self, target, message, *args, **kwargs)

    return traced


def _is_kept(layer: Any, name: str, target: Any) -> bool:
    """Return True for a group with a history: a trace is of no use to whom is given the message later."""
    rules: Any = getattr(layer, "rules", None)
    return bool(rules) and name == "group_send" and rules.of(target) is not None


class _Connection:
    """The spans of one connection; see ``compat.tracing.Tracing``."""

    __slots__ = ("_connecting", "_context", "_name", "_of", "_tracer", "sampled")

    def __init__(self, tracer: trace.Tracer, consumer: Any) -> None:
        self._tracer = tracer
        self._name = type(consumer).__qualname__
        scope = consumer.scope
        attributes = {
            "channels.consumer": f"{type(consumer).__module__}.{self._name}",
            "url.path": _text(scope.get("path", "")),
        }
        above = context.get_current()
        if not trace.get_current_span(above).get_span_context().is_valid:  # nothing traces requests here
            above = _propagator.extract(_carried(scope), above)
        self._connecting: Span | None = tracer.start_span(
            f"{self._name} connect", above, SpanKind.SERVER, attributes
        )
        self._of: SpanContext = self._connecting.get_span_context()
        self._context = trace.set_span_in_context(trace.NonRecordingSpan(self._of), above)
        self.sampled = self._connecting.is_recording()

    def enter(self) -> None:
        context.attach(self._context)

    async def traced(self, handling: Awaitable[Any], message: Message) -> Any:
        span = self._span(message)
        if span is None:
            return await handling
        token = context.attach(trace.set_span_in_context(span, self._context))
        try:
            return await handling
        except Exception as error:
            _note(span, error)
            raise
        finally:
            span.end()
            context.detach(token)

    def around(self, handle: Callable[[Message], None]) -> Callable[[Message], None]:
        def traced(message: Message) -> None:
            span = self._span(message) if self.sampled or TRACE_KEY in message else None
            if span is None:
                return handle(message)
            token = context.attach(trace.set_span_in_context(span, self._context))
            try:
                handle(message)
            except Exception as error:
                _note(span, error)
                raise
            finally:
                span.end()
                context.detach(token)

        return traced

    def _span(self, message: Message) -> Span | None:
        """Return the span of a handler, or None: it is not told."""
        carried = message.pop(TRACE_KEY, None)
        kind = _text(message.get("type"))
        if kind in CONNECTS and self._connecting is not None:
            span, self._connecting = self._connecting, None
            return span
        name, attributes = f"{self._name} {kind}", {"messaging.system": "channels"}
        if isinstance(carried, str) and _is_told(carried):
            above = _propagator.extract({"traceparent": carried})
            sent = trace.get_current_span(above).get_span_context()
            links = [Link(one) for one in (sent, self._of) if one.is_valid]
            return self._tracer.start_span(name, above, SpanKind.CONSUMER, attributes, links)
        if self.sampled and carried is None:
            return self._tracer.start_span(name, self._context, SpanKind.INTERNAL)
        return None


def _is_told(carried: str) -> bool:
    """Return True for the first deliveries of a send; see ``MOST_DELIVERIES``."""
    count = _told[carried] = _told.get(carried, 0) + 1
    while len(_told) > MOST_SENDS:
        _told.popitem(last=False)
    return count <= MOST_DELIVERIES


def _carried(scope: Any) -> dict[str, str]:
    """Return the headers of a handshake that carry a trace."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope.get("headers", ())
        if name in (b"traceparent", b"tracestate")
    }


def _note(span: Span, error: Exception) -> None:
    if not isinstance(error, StopConsumer):
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def _text(value: Any) -> str:
    """Return a name that a client may have chosen, as a span takes it."""
    text = str(value)
    return text if text.isascii() and len(text) <= 100 else shown(text, 100)
