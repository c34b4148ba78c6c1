"""Hints for the log record of a consumer's error: its likely cause, and what to write.

``KeyError: 'user'`` names neither the missing middleware nor the pattern without that parameter. Each rule
below recognizes one such error. The rules run only when a consumer has failed, and do not change the
exception. In a test, which receives the exception, the hint is a note of its traceback (Python 3.11).
"""

from __future__ import annotations

import json
import linecache
import logging
from typing import Any

from compat.exceptions import ChannelFull
from compat.names import get_handler_name
from compat.settings import settings

__all__ = ["hint", "noted"]

log = logging.getLogger("compat.consumer")

MAX_NAME = 200
"""So long may the name of a handler be that a hint proposes."""

MIDDLEWARE = {
    "user": "AuthMiddlewareStack (compat.auth)",
    "session": "SessionMiddlewareStack (compat.sessions), or AuthMiddlewareStack (compat.auth)",
    "cookies": "CookieMiddleware (compat.sessions), or AuthMiddlewareStack (compat.auth)",
}
"""The middleware that adds each key to the scope."""


def hint(consumer: Any, error: BaseException, message: Any = None) -> str:
    """Return a hint about ``error``, which a handler of ``consumer`` raised for ``message``; "" if no rule
    applies.
    """
    for rule in RULES:
        try:
            found = rule(consumer, error, message or {})
        except Exception:  # attributes of a consumer may raise; the first error must still be reported
            log.exception("looking for a hint about %r failed", error)
            continue
        if found:
            return f"{found[0].upper()}{found[1:]}."
    return ""


def noted(error: BaseException, said: str) -> BaseException:
    """Add ``said`` as a note to ``error``, from Python 3.11 on, and return ``error``."""
    add_note = getattr(error, "add_note", None)
    if said and add_note is not None:
        add_note(said)
    return error


def _scope_key(consumer: Any, error: BaseException, message: Any) -> str | None:
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    if key in MIDDLEWARE and key not in consumer.scope:
        return f"the scope has no {key!r}: wrap the application in {MIDDLEWARE[key]}"
    return None


def _path_parameter(consumer: Any, error: BaseException, message: Any) -> str | None:
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    taken = (consumer.scope.get("url_route") or {}).get("kwargs", {})
    if not isinstance(key, str) or key in taken:
        return None
    line = _line_of(error)
    if "kwargs" not in line and "path_params" not in line:
        return None
    if key == "url_route":
        return (
            "the scope has no 'url_route', because no router has matched the path. Put the consumer into "
            'one, also in a test: URLRouter([path("ws/<room>/", Consumer.as_asgi())])'
        )
    there = ", ".join(map(repr, taken)) or "none"
    return f"the pattern of the path has no parameter {key!r} (it has: {there}); add it, or read another one"


def _line_of(error: BaseException) -> str:
    """Return the source of the line that raised ``error``."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    return linecache.getline(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)


def _channel_name(consumer: Any, error: BaseException, message: Any) -> str | None:
    missing = isinstance(error, AttributeError) and error.name in ("channel_name", "channel_receive")
    if not missing or consumer.channel_layer is not None:
        return None
    alias = consumer.channel_layer_alias
    why = "channel_layer_alias is None" if alias is None else f"no layer {alias!r} is configured"
    return f"a consumer has a channel only with a channel layer, and {why}"


def _json_methods(consumer: Any, error: BaseException, message: Any) -> str | None:
    if not isinstance(error, AttributeError) or not hasattr(consumer, "accept"):
        return None
    of_consumer = error.obj is consumer or isinstance(error.obj, super)
    if not of_consumer or error.name not in ("send_json", "encode_json", "decode_json"):
        return None
    flavour = "JsonWebsocketConsumer" if consumer._sync else "AsyncJsonWebsocketConsumer"
    return f"derive the class from {flavour} to send and receive JSON"


def _kind_of_frame(consumer: Any, error: BaseException, message: Any) -> str | None:
    if not isinstance(error, TypeError) or message.get("type") != "websocket.receive":
        return None
    for name, kind in (("bytes_data", "binary"), ("text_data", "text")):
        if f"receive() got an unexpected keyword argument '{name}'" in str(error):
            return (
                f"the client sent a {kind} frame; write receive(self, text_data=None, bytes_data=None), and "
                "check which argument is set"
            )
    return None


def _json(consumer: Any, error: BaseException, message: Any) -> str | None:
    if isinstance(error, json.JSONDecodeError) and message.get("type") == "websocket.receive":
        return (
            "the client sent a frame that is not JSON, and the connection was closed; catch "
            "json.JSONDecodeError to answer it instead (in a JSON consumer: override decode_json)"
        )
    if isinstance(error, ValueError) and str(error).startswith("No text section"):
        return "a JSON consumer accepts text frames that are not empty; override receive() to accept others"
    return None


def _no_handler(consumer: Any, error: BaseException, message: Any) -> str | None:
    if not isinstance(error, ValueError) or not str(error).startswith("No handler for message type"):
        return None
    define = "def" if getattr(consumer, "_sync", False) else "async def"
    name = get_handler_name(message) if message else ""
    if not name.isidentifier() or len(name) > MAX_NAME:  # a client may have chosen it
        name = "its_type"
    if name in consumer._compat_no_handlers:
        return (
            f"{type(consumer).__name__}.{name} is called by an action, or is a method of the library; give "
            "the handler of groups' messages another name, or send an event (broadcast_event)"
        )
    return (
        f"write '{define} {name}(self, event)' in {type(consumer).__name__}, or set its unknown_message = "
        "'log' (CHANNEL_UNKNOWN_MESSAGE for all consumers)"
    )


def _nothing_to_send(consumer: Any, error: BaseException, message: Any) -> str | None:
    if isinstance(error, ValueError) and str(error).startswith("You must pass one of bytes_data or text"):
        return "both arguments of send() are None; to send an empty frame, write send(text_data='')"
    return None


def _full(consumer: Any, error: BaseException, message: Any) -> str | None:
    if not isinstance(error, ChannelFull):
        return None
    capacity = getattr(consumer.channel_layer, "capacity", "?")
    return (
        f"the reader of that channel is too slow: {capacity} messages wait (the layer's capacity). Catch "
        "ChannelFull if a message may be lost, or raise the capacity"
    )


def _locked(consumer: Any, error: BaseException, message: Any) -> str | None:
    # By name, because sqlite3, Django and SQLAlchemy each have a class of their own.
    if "OperationalError" not in {cls.__name__ for cls in type(error).__mro__}:
        return None
    alone = not consumer._sync or consumer.thread_sensitive or settings.get("CHANNEL_THREADS") == 0
    if alone or "database is locked" not in str(error):
        return None
    return (
        "sync consumers run side by side, and SQLite lets one transaction write at a time: set "
        f"thread_sensitive = True on {type(consumer).__name__}, or CHANNEL_THREADS = 0, to run the handlers "
        'one after the other, as Channels does; or let transactions wait for each other, with "OPTIONS": '
        '{"transaction_mode": "IMMEDIATE"} in DATABASES (Django 5.1)'
    )


RULES = (
    _scope_key,
    _path_parameter,
    _channel_name,
    _json_methods,
    _kind_of_frame,
    _json,
    _no_handler,
    _nothing_to_send,
    _full,
    _locked,
)
