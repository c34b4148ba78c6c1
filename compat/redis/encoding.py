"""Redis commands as bytes (RESP)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from compat.exceptions import MessageTooLarge

__all__ = ["Argument", "encode", "encode_command", "require_short"]

Argument = bytes | str | int | float


def encode_command(arguments: Iterable[Argument]) -> bytes:
    """Return a command in the Redis protocol (RESP)."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))


def _fastest_encoder() -> Callable[[Any], bytes]:
    try:  # the same function in C, if it is installed
        from hiredis import pack_command
    except ImportError:
        return encode_command
    return pack_command


encode = _fastest_encoder()


def require_short(arguments: Iterable[Argument], longest: int) -> None:
    """Raise MessageTooLarge for an argument that is longer than ``longest`` bytes."""
    length = max(len(a) if isinstance(a, bytes) else len(str(a).encode()) for a in arguments)
    if length > longest:
        raise MessageTooLarge(
            f"this message has {length:,} bytes, and Redis takes {longest:,} in one piece and closes the "
            "connection at more: raise proto-max-bulk-len there, or send a reference to the data"
        )
