"""The exceptions of the public API.

::

    Exception
    ├── AcceptConnection          raised in connect(): accept the connection
    ├── DenyConnection            raised in connect(): refuse the connection
    ├── StopConsumer              raised in any handler: end this consumer
    ├── ChannelFull               send() to a channel that is at capacity
    ├── MessageTooLarge           a message is too large for the layer
    ├── RequestAborted            (for imports only; it is never raised)
    │   └── RequestTimeout        (for imports only; it is never raised)
    ├── ImproperlyConfigured      a setting is missing or has a wrong value
    ├── ValueError
    │   └── InvalidChannelLayerError   CHANNEL_LAYERS, or a use of it, is wrong
    └── CompatError               errors that Channels does not have
        ├── LayerUnavailable      (also ConnectionError) the layer's server cannot be reached; over Redis
        │                         also the error of redis-py that channels_redis would raise
        └── ClientDisconnected    (also ConnectionError, RuntimeError) a send after the client has left

Names and bases of the first seven and of ``InvalidChannelLayerError`` are those of ``channels.exceptions``,
so ``except`` clauses written for Channels keep working.
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
    """A message is larger than the layer can send."""


class RequestAborted(Exception):
    """Exists for imports written for Channels."""


class RequestTimeout(RequestAborted):
    """Exists for imports written for Channels."""


class ImproperlyConfigured(Exception):
    """A setting is missing or has an invalid value; the message says which, and what to write."""


class InvalidChannelLayerError(ValueError):
    """``CHANNEL_LAYERS`` is wrong, or a consumer uses a layer that is not configured."""


class CompatError(Exception):
    """Base class of the errors that Channels does not have."""


class LayerUnavailable(CompatError, ConnectionError):
    """The server of a channel layer cannot be reached; the message has its address, the reason and the
    remedy.
    """


class ClientDisconnected(CompatError, ConnectionError, RuntimeError):
    """A frame was sent after the client had left, or after the consumer had ended.

    Under Channels this is an OSError or a RuntimeError, depending on the server.
    """
