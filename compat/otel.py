"""Traces by OpenTelemetry; needs the extra ``[otel]``, and an SDK that exports them.

    from compat import otel

    otel.instrument()

A connection is a span while it connects; what its handlers do are spans below it. A send is a span too, and
the message carries its trace, so what the handlers of its receivers do, in any process, is in the trace of
the send, with links to both. Workers are not followed. Which traces are kept is up to the sampler of the SDK:
what it leaves out costs little, and before ``instrument()`` nothing does. A span costs as much as several
deliveries, so that their number is limited too.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar, Token
from typing import Any

from compat.engine.refusal import shown
from compat.exceptions import StopConsumer
from compat.layers.memory import InMemoryChannelLayer
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.pubsub import RedisPubSubChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.metrics import connections
from compat.names import is_counted
from compat.tracing import TRACE_KEY, Allowance, trace_by, without_trace
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

ON_REDIS = (RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer)
SENDS = ("send", "group_send")
BLOCKING = ("send_sync", "group_send_sync")
MOST_DELIVERIES = 20
"""Of how many receivers of one message a process tells; a group may have ten thousand."""
MOST_SENDS = 1000
"""Of how many sends a process counts the receivers."""
SPANS_PER_SECOND = 50
"""How many spans of sends and handlers a process makes in a second by default; half a percent of a core."""
CONNECTS = ("websocket.connect", "http.request")
CARRIED = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_propagator = TraceContextTextMapPropagator()
_replaced: list[tuple[type, str, Any]] = []
"""The methods that are replaced: their class, their name, and what they were (None: inherited)."""
_told: OrderedDict[str, int] = OrderedDict()
"""How many deliveries of a send have been told, by what its message carried."""
_sending: ContextVar[bool] = ContextVar("compat.otel.sending", default=False)
"""True within a traced send: what it does itself are no sends of the application."""


def instrument(
    tracer_provider: trace.TracerProvider | None = None,
    *,
    carry: bool = True,
    trust_handshake: bool = False,
    spans_per_second: int | None = SPANS_PER_SECOND,
) -> None:
    """Trace connections and sends from now on; call it once, before the server starts.

    ``tracer_provider``: by default the global one. ``carry``: messages carry the trace of their send to other
    processes, but those to groups with a history, and to the plain channels of workers. Turn it off while
    others read them: processes with the real channels_redis, or with an earlier version of this library.
    ``trust_handshake``: the ``traceparent`` of a handshake is the parent, so that clients decide which traces
    are kept; otherwise it is a link. A span of the request, where there is one, is the parent in either case.
    ``spans_per_second``: how many sends and handlers a process tells of in a second, whatever is sampled;
    others have no span, and are counted in the log. None: all. Connects are always told. Another call does
    nothing. Raises ValueError for a limit below 1, and RuntimeError while consumers run, to whose handlers
    the traces would be shown.
    """
    if spans_per_second is not None and spans_per_second < 1:
        raise ValueError(
            f"spans_per_second must be 1 or more, or None for no limit; found {spans_per_second}"
        )
    if _replaced:
        return
    if connections.current:
        raise RuntimeError(
            f"otel.instrument() was called while {connections.current} consumers run; call it where the "
            "application is made"
        )
    spans = _Spans(trace.get_tracer("compat", tracer_provider=tracer_provider), spans_per_second)
    trace_by(functools.partial(_Connection, spans, trust_handshake))
    for layer in (InMemoryChannelLayer, *ON_REDIS):
        for name in SENDS:
            _replace(layer, name, _traced(spans, name, getattr(layer, name), carry=carry))
    for layer in ON_REDIS:
        for name in BLOCKING:
            _replace(layer, name, _blocking(spans, name, getattr(layer, name), carry=carry))


def _replace(layer: type, name: str, by: Any) -> None:
    _replaced.append((layer, name, vars(layer).get(name)))
    setattr(layer, name, by)


def uninstrument() -> None:
    """Undo ``instrument()``, for connections that begin from now on and for sends."""
    trace_by(None)
    while _replaced:
        layer, name, was = _replaced.pop()
        if was is None:
            delattr(layer, name)
        else:
            setattr(layer, name, was)


def _traced(spans: _Spans, name: str, send: Any, *, carry: bool) -> Any:
    """Return a method of a layer, in a span if its caller is in a trace that is kept, or in none."""

    @functools.wraps(send)
    async def traced(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        if _sending.get() or not is_counted(target):
            return await send(self, target, message, *args, **kwargs)
        with _Send(spans, name, self, target, message, carry=carry) as sent:
            return await send(self, target, sent, *args, **kwargs)

    return traced


def _blocking(spans: _Spans, name: str, send: Any, *, carry: bool) -> Any:
    """Return the same for a method that blocks."""

    @functools.wraps(send)
    def traced(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        with _Send(spans, name.removesuffix("_sync"), self, target, message, carry=carry) as sent:
            return send(self, target, sent, *args, **kwargs)

    return traced


class _Spans:
    """Begins the spans of sends and handlers, so many in each second."""

    def __init__(self, tracer: trace.Tracer, per_second: int | None) -> None:
        self.tracer = tracer
        self._allowance = Allowance(per_second)

    def begin(
        self, what: str, message: Message, above: context.Context | None, kind: SpanKind, *links: Link
    ) -> Span | None:
        """Return a new span, or None if its trace is not kept, or this second's are used up.

        It is named by ``what`` and the type of ``message``. ``above``: the context of its parent; None is the
        current one.
        """
        parent = trace.get_current_span(above).get_span_context()
        if parent.is_valid and not (parent.trace_flags.sampled and self._allowance.take()):
            return None
        name = f"{what} {_text(message.get('type'))}"
        span = self.tracer.start_span(name, above, kind, links=links)
        if not span.is_recording() or not (parent.is_valid or self._allowance.take()):
            return None
        return span


class _Send:
    """The span of a send, if it is kept; entering returns what is sent."""

    __slots__ = ("_context", "_message", "_span", "_token")

    def __init__(
        self, spans: _Spans, name: str, layer: Any, target: Any, message: Any, *, carry: bool
    ) -> None:
        self._span: Span | None = None
        self._context: Token[context.Context] | None = None
        self._token: Token[bool] | None = None
        # A client may have sent a trace.
        self._message = without_trace(message) if isinstance(message, dict) else message
        if not isinstance(message, dict):
            return
        span = spans.begin(name, message, None, SpanKind.PRODUCER)
        if span is None:
            return
        self._span = span
        span.set_attribute("messaging.system", "channels")
        span.set_attribute("messaging.operation.name", name)
        span.set_attribute("messaging.destination.name", _text(target))
        if carry and _is_followed(layer, name, target):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier, trace.set_span_in_context(span))
            self._message = {**self._message, TRACE_KEY: carrier["traceparent"]}

    def __enter__(self) -> Any:
        if self._span is not None:
            self._context = context.attach(trace.set_span_in_context(self._span))
            self._token = _sending.set(True)
        return self._message

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._span is None or self._context is None or self._token is None:
            return
        if error is not None:
            _note(self._span, error)
        _sending.reset(self._token)
        context.detach(self._context)
        self._span.end()


def _is_followed(layer: Any, name: str, target: Any) -> bool:
    """Return True if consumers get the message, soon, and nobody else does."""
    if name == "send":
        return "!" in str(target)  # others read plain channels
    rules: Any = getattr(layer, "rules", None)
    if rules and rules.of(target) is not None:  # a history gives it to whom comes later
        return False
    # A subclass that overrides send() sees each message of the memory layer.
    return any(type(layer).send is vars(cls)["send"] for cls in (InMemoryChannelLayer, *ON_REDIS))


class _Connection:
    """The spans of one connection; see ``compat.tracing.Tracing``."""

    __slots__ = ("_attached", "_connecting", "_context", "_name", "_of", "_spans", "sampled")

    def __init__(self, spans: _Spans, trust_handshake: bool, consumer: Any) -> None:
        self._spans = spans
        self._name = type(consumer).__qualname__
        self._attached: Token[context.Context] | None = None
        self._connecting: Span | None = None
        scope, above = consumer.scope, context.get_current()
        if scope.get("type") in ("websocket", "http"):  # and not a worker's
            links = []
            if not trace.get_current_span(above).get_span_context().is_valid:  # nothing traces requests here
                told = _propagator.extract(_carried(scope), above)
                if trust_handshake:
                    above = told
                else:
                    links = _links(trace.get_current_span(told).get_span_context())
            span = spans.tracer.start_span(f"{self._name} connect", above, SpanKind.SERVER, links=links)
            self._connecting = span
            span.set_attribute("channels.consumer", f"{type(consumer).__module__}.{self._name}")
            span.set_attribute("url.path", _text(scope.get("path", "")))
            above = trace.set_span_in_context(trace.NonRecordingSpan(span.get_span_context()), above)
        self._context = above
        self._of: SpanContext = trace.get_current_span(above).get_span_context()
        self.sampled = self._connecting is not None and self._connecting.is_recording()

    def enter(self) -> None:
        attached = context.attach(self._context)
        self._attached = self._attached or attached  # the first is that of its task

    def leave(self) -> None:
        attached, self._attached = self._attached, None
        if self._connecting is not None:  # it has been refused, or cancelled
            self._connecting.end()
            self._connecting = None
        if attached is not None and context.get_current() == self._context:
            with contextlib.suppress(ValueError):  # a context of another task or thread
                attached.var.reset(attached)

    def traced(self, handling: Awaitable[Any], message: Message) -> Awaitable[Any]:
        span = self._span(message)
        return handling if span is None else self._awaited(span, handling)

    async def _awaited(self, span: Span, handling: Awaitable[Any]) -> Any:
        with self._within(span):
            return await handling

    def around(self, handle: Callable[[Message], None]) -> Callable[[Message], None]:
        def traced(message: Message) -> None:
            span = self._span(message) if self.sampled or TRACE_KEY in message else None
            if span is None:
                return handle(message)
            with self._within(span):
                return handle(message)

        return traced

    @contextlib.contextmanager
    def _within(self, span: Span) -> Iterator[None]:
        token = context.attach(trace.set_span_in_context(span, self._context))
        try:
            yield
        except Exception as error:
            _note(span, error)
            raise
        finally:
            span.end()
            context.detach(token)

    def _span(self, message: Message) -> Span | None:
        """Return the span of a handler, or None: it is not told."""
        carried = message.pop(TRACE_KEY, None)
        if self._connecting is not None and message.get("type") in CONNECTS:
            span, self._connecting = self._connecting, None
            return span
        if isinstance(carried, str) and CARRIED.fullmatch(carried) is not None:
            if not _is_told(carried):
                return None
            above = _propagator.extract({"traceparent": carried})
            sent = trace.get_current_span(above).get_span_context()
            links = _links(sent, self._of)
            delivery = self._spans.begin(self._name, message, above, SpanKind.CONSUMER, *links)
            if delivery is not None:
                delivery.set_attribute("messaging.system", "channels")
            return delivery
        if not self.sampled:
            return None
        return self._spans.begin(self._name, message, self._context, SpanKind.INTERNAL)


def _links(*contexts: SpanContext) -> list[Link]:
    return [Link(one) for one in contexts if one.is_valid]


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


def _note(span: Span, error: BaseException) -> None:
    if isinstance(error, StopConsumer):
        return
    with contextlib.suppress(Exception):  # the exception is the application's, and so is its __str__
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.record_exception(error)


def _text(value: Any) -> str:
    """Return a name that a client may have chosen, as a span takes it."""
    text = str(value)
    return text if text.isascii() and len(text) <= 100 else shown(text, 100)
