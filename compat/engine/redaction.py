"""Keep tokens that clients send out of the servers' logs.

Servers log the path of a request with its query string, and at DEBUG its headers too. The functions here name
secret parameters and headers, and a filter on the servers' loggers replaces their values with dots.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote_plus

__all__ = [
    "LOGGERS",
    "Redacting",
    "hide_header",
    "hide_parameter",
    "hide_subprotocols",
    "hide_tickets",
    "hide_usual_parameters",
]

LOGGERS = (
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "hypercorn.access",
    "hypercorn.error",
    "daphne.http_protocol",
    "daphne.ws_protocol",
    "django.channels.server",
    "django.server",
    "gunicorn.access",
    "gunicorn.error",
)
"""The loggers of ASGI servers that log requests."""

HIDDEN = "..."
PARAMETER = re.compile(r"""(?<=[?&'"\s])([^?&=#'"\s]+)=(?!\.\.\.(?:['"\s&#,]|$))([^&#\s]+)""")
"""A parameter in a query string, and its value up to the next one or the end of the URL, quotes included."""
USUAL = (
    *("access_token", "api_key", "apikey", "auth", "authorization", "id_token", "jwt", "key", "password"),
    *("refresh_token", "secret", "session", "sessionid", "sig", "signature", "ticket", "token"),
)


class Redacting(logging.Filter):
    """Replaces secrets with dots; lets every record through."""

    def __init__(self) -> None:
        super().__init__()
        self._patterns: dict[str, tuple[str, re.Pattern[str]]] = {}
        self.parameters: set[str] = set()
        """The names of secret query parameters, in lower case."""

    def add(self, pattern: str, word: str) -> None:
        """Hide whatever matches the regular expression ``pattern``, in upper or lower case.

        ``word`` is in each text that has a match: to look for it is cheaper, and a client chooses how long a
        text is.
        """
        self._patterns.setdefault(pattern, (word.lower(), re.compile(pattern, re.IGNORECASE)))

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if self.clean(message) == message:
            return True
        # Clean the arguments one by one, because uvicorn's access formatter unpacks them.
        if isinstance(record.args, tuple):
            record.args = tuple(self._cleaned(argument) for argument in record.args)
        message = record.getMessage()
        if (cleaned := self.clean(message)) != message:
            record.msg, record.args = cleaned, ()
        return True

    def clean(self, text: str) -> str:
        """Return ``text`` without its secrets."""
        lower = text.lower()
        for word, pattern in self._patterns.values():
            if word in lower:
                text = pattern.sub(HIDDEN, text)
        # A name may be written with escapes, and then none of the names is in the text.
        if self.parameters and ("%" in text or "+" in text or any(map(lower.__contains__, self.parameters))):
            text = PARAMETER.sub(self._parameter, text)
        return text

    def _parameter(self, found: re.Match[str]) -> str:
        name = found[1]
        # The server decodes the name, so a client may write it with percent escapes.
        return f"{name}={HIDDEN}" if unquote_plus(name).lower() in self.parameters else found[0]

    def _cleaned(self, value: object) -> object:
        return self.clean(value) if isinstance(value, str) else value


redacting = Redacting()
"""The one filter, on every logger of LOGGERS once there is something to hide."""


def hide_parameter(name: str) -> None:
    """From now on, hide the values of this query parameter."""
    redacting.parameters.add(name.lower())
    _install()


def hide_usual_parameters() -> None:
    """From now on, hide query parameters with the usual names of secrets (``USUAL``)."""
    redacting.parameters.update(USUAL)
    _install()


def hide_header(name: str) -> None:
    """From now on, hide the values of this header, in debug output and in logged scopes."""
    _hide(rf"(?<={re.escape(name)}: )[^\r\n]+", name)
    for quote in ("'", '"'):
        _hide(rf"(?<=b'{re.escape(name)}', b{quote})(?:[^{quote}\\]|\\.)+", name)


def hide_subprotocols() -> None:
    """From now on, hide the subprotocols that clients offer."""
    hide_header("Sec-WebSocket-Protocol")
    _hide(r"(?<='subprotocols': \[)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\]'\"])+", "'subprotocols': [")


def hide_tickets() -> None:
    """From now on, hide the tickets of clients that come back, among the subprotocols that they offer."""
    _hide(r"(?<=channels\.ticket\.)[\w-]+", "channels.ticket.")


def _hide(pattern: str, word: str) -> None:
    redacting.add(pattern, word)
    _install()


def _install() -> None:
    for logger in LOGGERS:
        logging.getLogger(logger).addFilter(redacting)  # adding it again does nothing
