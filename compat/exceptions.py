"""Every exception of the public API, in one tree.

::

    Exception
    ├── AcceptConnection          raised by a user in connect(): accept and go on
    ├── DenyConnection            raised by a user in connect(): refuse the handshake
    ├── StopConsumer              raised by a user in any handler: end this consumer
    ├── ChannelFull               send() to a channel that is at capacity
    ├── MessageTooLarge           a layer's wire cannot carry the message
    ├── RequestAborted            (kept for imports; nothing raises it)
    │   └── RequestTimeout        (kept for imports; nothing raises it)
    ├── ImproperlyConfigured      a setting is missing or has a wrong value
    ├── ValueError
    │   └── InvalidChannelLayerError   CHANNEL_LAYERS, or a use of it, is wrong
    └── CompatError               what Channels has no name for
        ├── LayerUnavailable      (also ConnectionError) the layer's server cannot be reached
        └── ClientDisconnected    (also ConnectionError, RuntimeError) a send after the client has left

Names and bases of the first eight and of ``InvalidChannelLayerError`` are those of ``channels.exceptions``,
so that ``except`` clauses written for Channels go on working.
"""

from __future__ import annotations

__all__ = [
    "AcceptConnection",
    "ChannelFull",
    "ClientDisconnected",
    "CompatError",
    "DenyConnection",
    "ImproperlyConfigured",
    "InvalidChannelLayerError",
    "LayerUnavailable",
    "MessageTooLarge",
    "RequestAborted",
    "RequestTimeout",
    "StopConsumer",
]


class AcceptConnection(Exception):
    """Raise it in ``connect()`` to accept the connection, as ``self.accept()`` would."""


class DenyConnection(Exception):
    """Raise it in ``connect()`` to refuse the connection, as ``self.close()`` would."""


class StopConsumer(Exception):
    """Raise it in any handler to end this consumer quietly."""


class ChannelFull(Exception):
    """A channel is at capacity; the message was not stored. ``args[0]`` is the channel's name."""


class MessageTooLarge(Exception):
    """A message is larger than the layer can carry."""


class RequestAborted(Exception):
    """Kept so that imports written for Channels resolve."""


class RequestTimeout(RequestAborted):
    """Kept so that imports written for Channels resolve."""


class ImproperlyConfigured(Exception):
    """A setting is missing, or its value cannot be used; the message says which and what to write."""


class InvalidChannelLayerError(ValueError):
    """``CHANNEL_LAYERS`` is wrong, or a consumer uses a layer that is not configured."""


class CompatError(Exception):
    """Base of the errors that Channels has no name for."""


class LayerUnavailable(CompatError, ConnectionError):
    """The server behind a channel layer cannot be reached; the message names it, the reason and the cure."""


class ClientDisconnected(CompatError, ConnectionError, RuntimeError):
    """A frame was sent after the client had left, or after the consumer had ended.

    Under Channels this is an OSError or a RuntimeError, depending on the server.
    """
