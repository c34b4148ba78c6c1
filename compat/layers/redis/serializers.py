"""Serialize messages as msgpack or JSON, with optional encryption, behind a random prefix.

The format is that of channels_redis 4.3. The bytes do not say how they were made, so all processes must use
the same serializer, prefix length and keys. An application can register a serializer of its own::

    registry.register_serializer("cbor", CborSerializer)
"""

from __future__ import annotations

import abc
import base64
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from compat.layers.copies import DEEPEST, too_deep

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

__all__ = [
    "BaseMessageSerializer",
    "JSONSerializer",
    "MissingSerializer",
    "MsgPackSerializer",
    "SerializerDoesNotExist",
    "SerializersRegistry",
    "Template",
    "decrypted",
    "digest_of_key",
    "make_crypter",
    "registry",
]

CLOCK_SKEW_S = 10
"""Seconds that an encrypted message may be older than the layer's expiry before it is refused."""


class SerializerDoesNotExist(KeyError):
    """No serializer is registered under the given name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Template(NamedTuple):
    """A serialized message without its receivers' names, which a Redis script encodes between the parts."""

    head: bytes
    tail: bytes
    codec: str
    """"msgpack" or "json": the encoding of the names."""

    def fill(self, names: list[str]) -> bytes:
        """Return the complete message: ``head``, the encoded names, ``tail``."""
        packed: Any = json.dumps(names).encode() if self.codec == "json" else msgpack.packb(names)
        return self.head + bytes(packed) + self.tail


def make_fernet(key: str | bytes) -> Fernet:
    """Return the cipher for one key, a str or bytes of any length; it is hashed to 32 bytes for Fernet."""
    try:
        from cryptography.fernet import Fernet
    except ImportError as error:
        raise ValueError(
            "Cannot run with encryption without 'cryptography' installed. "
            "Install it with: pip install 'channels-compat[crypto]'"
        ) from error
    if not isinstance(key, (str, bytes)) or not key:
        raise ValueError(f"symmetric_encryption_keys: each key is a non-empty str or bytes; found {key!r}")
    return Fernet(base64.urlsafe_b64encode(digest_of_key(key)))


def digest_of_key(key: str | bytes) -> bytes:
    """Return 32 bytes for a key of any length."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()


def make_crypter(
    keys: Sequence[str | bytes] | None, fernet: Callable[[str | bytes], Fernet] = make_fernet
) -> MultiFernet | None:
    """Return the cipher for a list of keys: the first encrypts, any decrypts; None without keys."""
    if not keys:
        return None
    if isinstance(keys, (str, bytes, dict)):
        raise ValueError(
            "symmetric_encryption_keys must be a list of possible keys; write [key], even for one"
        )
    fernets = [fernet(key) for key in keys]
    from cryptography.fernet import MultiFernet

    return MultiFernet(fernets)


def decrypted(
    crypter: MultiFernet | None, kept: bytes, unreadable: Callable[[Exception], None] | None = None
) -> bytes | None:
    """Return what was encrypted for keeping; None, after ``unreadable(error)``, if no key can decrypt it."""
    if crypter is None:
        return kept
    from cryptography.fernet import InvalidToken

    try:
        text: bytes = crypter.decrypt(kept)
    except InvalidToken as error:
        if unreadable is not None:
            unreadable(error)
        return None
    return text


class BaseMessageSerializer(abc.ABC):
    """Base class of serializers: a subclass converts between dict and bytes; this class adds the rest.

    ``symmetric_encryption_keys``: a list of str or bytes of any length; the first encrypts, any decrypts.
    ``random_prefix_length``: how many random bytes precede each message, so that equal messages stay distinct
    in a sorted set; 0 or, as in channels_redis, a negative number for none. ``expiry``: the age in seconds,
    plus ``CLOCK_SKEW_S``, above which an encrypted message is refused; None: no limit.
    """

    def __init__(
        self,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        random_prefix_length: int = 0,
        expiry: float | None = None,
    ) -> None:
        if not isinstance(random_prefix_length, int):
            raise ValueError(f"random_prefix_length must be an int, not {random_prefix_length!r}")
        self.random_prefix_length = random_prefix_length
        self.expiry = expiry
        self.crypter = make_crypter(symmetric_encryption_keys, self.make_fernet)

    def make_fernet(self, key: str | bytes) -> Fernet:
        """Return the cipher for one key; a subclass may override this."""
        return make_fernet(key)

    @abc.abstractmethod
    def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
        """Return ``message`` as bytes; raise TypeError for a value that the format cannot represent."""

    @abc.abstractmethod
    def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
        """Return the message that ``as_bytes`` has encoded."""

    def serialize(self, message: Any) -> bytes:
        """Return the bytes for Redis: the prefix, unencrypted, and then the (encrypted) message.

        The prefix comes from ``os.urandom``, because forked processes share the state of ``random``.
        """
        data = self.as_bytes(message)
        if self.crypter is not None:
            data = self.crypter.encrypt(data)
        return os.urandom(self.random_prefix_length) + data if self.random_prefix_length > 0 else data

    def deserialize(self, message: bytes) -> Any:
        """Return the message that ``serialize`` was given; errors of the format or the cipher are raised."""
        data = message[self.random_prefix_length :] if self.random_prefix_length > 0 else message
        if self.crypter is not None:
            ttl = None if self.expiry is None else int(self.expiry + CLOCK_SKEW_S)
            data = self.crypter.decrypt(data, ttl)
        return self.from_bytes(data)

    def template(self, message: dict[str, Any], key: str) -> Template | None:
        """Return ``message`` with an additional key whose value a script fills in; None if not supported."""
        return None

    def _is_plain(self, base: type[BaseMessageSerializer]) -> bool:
        """Return True if the bytes are those of ``base``: no encryption, and no overridden method."""
        own = type(self)
        return self.crypter is None and own.as_bytes is base.as_bytes and own.serialize is base.serialize


class MissingSerializer(BaseMessageSerializer):
    """Replaces a serializer whose library is not installed; its constructor raises that ImportError."""

    exception: ImportError | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise self.exception or ImportError("this serializer's library is not installed")

    def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
        raise NotImplementedError

    def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


class MsgPackSerializer(BaseMessageSerializer):
    """msgpack with its defaults: bytes stay bytes, tuples come back as lists, keys are strings."""

    def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
        if isinstance(message, (dict, list, tuple)):
            _require_shallow(message)
            _require_string_keys(message)
        try:
            return msgpack.packb(message, *args, **kwargs)  # type: ignore[no-any-return]
        except TypeError as error:
            raise TypeError(
                f"this message cannot travel through Redis: {error}. msgpack carries None, bool, int, float, "
                "str, bytes, list and dict; convert the value first, for example by str()"
            ) from error

    def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
        return msgpack.unpackb(message, *args, **kwargs)

    def template(self, message: dict[str, Any], key: str) -> Template | None:
        if not self._is_plain(MsgPackSerializer):
            return None
        body = self.as_bytes(message)
        entries = len(message)
        header = 1 if entries < 16 else 3 if entries < 65536 else 5
        grown = msgpack.Packer().pack_map_header(entries + 1)
        prefix = os.urandom(max(0, self.random_prefix_length))
        return Template(prefix + grown + body[header:] + msgpack.packb(key), b"", "msgpack")


class JSONSerializer(BaseMessageSerializer):
    """``json.dumps`` with its defaults, in UTF-8; UnicodeEncodeError for half a surrogate pair."""

    def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
        if isinstance(message, (dict, list, tuple)):
            _require_shallow(message)
        try:
            text = json.dumps(message, *args, **kwargs)
            if "\\ud" in text:  # no receiver could send half a surrogate pair on: refuse it, as msgpack does
                json.dumps(message, *args, **{**kwargs, "ensure_ascii": False}).encode()
            return text.encode()
        except TypeError as error:
            raise TypeError(
                f"this message cannot travel through Redis: {error}. JSON carries None, bool, int, float, "
                "str, list and dict; convert the value first, for example by str()"
            ) from error

    def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
        return json.loads(message, *args, **kwargs)

    def template(self, message: dict[str, Any], key: str) -> Template | None:
        if not self._is_plain(JSONSerializer):
            return None
        head = self.as_bytes(message)[:-1] + (b", " if message else b"") + json.dumps(key).encode() + b": "
        return Template(os.urandom(max(0, self.random_prefix_length)) + head, b"}", "json")


def _require_shallow(value: Any, depth: int = 1) -> None:
    """Raise MessageTooLarge for containers that are nested deeper than ``DEEPEST``."""
    if depth > DEEPEST:
        raise too_deep()
    for item in value.values() if isinstance(value, dict) else value:
        if item.__class__ in _CONTAINERS:
            _require_shallow(item, depth + 1)


def _require_string_keys(value: Any) -> None:
    """Raise TypeError for keys that receivers cannot decode: msgpack reads only str and bytes as keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.__class__ is not str and not isinstance(key, (str, bytes)):
                raise TypeError(
                    f"this message cannot travel through Redis: the key {key!r} is of type "
                    f"{type(key).__name__}, and receivers accept only str keys; write {str(key)!r}"
                )
            if item.__class__ in _CONTAINERS:
                _require_string_keys(item)
    else:
        for item in value:
            if item.__class__ in _CONTAINERS:
                _require_string_keys(item)


_CONTAINERS = frozenset((dict, list, tuple))


class SerializersRegistry:
    """Serializer classes by name, for the layers' option ``serializer_format``."""

    def __init__(self) -> None:
        self._registry: dict[str, type[Any]] = {}

    def register_serializer(self, format: str, serializer_class: type[Any]) -> None:
        """Register ``serializer_class`` under the name ``format``, and replace any other of that name.

        Raises AssertionError if it is not a class with ``serialize()`` and ``deserialize()``.
        """
        fits = isinstance(serializer_class, type) and all(
            hasattr(serializer_class, method) for method in ("serialize", "deserialize")
        )
        if not fits:
            raise AssertionError(
                f"serializer_class must be a class with serialize() and deserialize(), such as a subclass of "
                f"BaseMessageSerializer; found {serializer_class!r}"
            )
        self._registry[format] = serializer_class

    def get_serializer(self, format: str, *args: Any, **kwargs: Any) -> Any:
        """Return a new serializer of that name; raise SerializerDoesNotExist, a KeyError, if unknown."""
        try:
            serializer_class = self._registry[format]
        except KeyError:
            known = ", ".join(map(repr, self._registry))
            raise SerializerDoesNotExist(
                f"there is no serializer {format!r}; serializer_format is one of {known}, or a name given to "
                "registry.register_serializer()"
            ) from None
        return serializer_class(*args, **kwargs)


registry = SerializersRegistry()
registry.register_serializer("json", JSONSerializer)
registry.register_serializer("msgpack", MsgPackSerializer)
