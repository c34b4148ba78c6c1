"""What a Redis says about itself when a connection is opened: who it is, its role, its limits, its clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, ResponseError

from compat.clock import wall

__all__ = ["Server", "answers", "info_of", "introduced", "is_slave", "major_of"]

LONGEST = 512 << 20
"""Bytes that one argument of a command may have, where ``proto-max-bulk-len`` may not be asked for."""

QUESTIONS = (("TIME",), ("ROLE",), ("INFO", "server"), ("CONFIG", "GET", "proto-max-bulk-len"))


class Server(NamedTuple):
    """The answers of one server; an answer that the user has no permission for has its default."""

    run_id: str | None = None
    """Another one after each start of Redis; client ids begin at 1 again."""
    is_replica: bool = False
    longest: int = LONGEST
    """Bytes that one argument of a command may have at most; after a longer one Redis ends the connection."""
    ahead_s: float = 0.0
    """Seconds by which the clock of this process is at least ahead of that of Redis; negative if behind."""
    major: int = 0
    """The number before the first point of its version."""

    def is_other(self, run_id: str | None) -> bool:
        """Return True if this is known to be another server, or another run, than that of ``run_id``.

        An id is unknown if the user may not ask for it, or if a script blocked Redis while it was asked.
        """
        return None not in (self.run_id, run_id) and self.run_id != run_id


async def introduced(connection: AbstractConnection) -> Server:
    """Return what the server behind a connection, which has just been opened, says about itself."""
    asked = wall()
    replies = answers(connection, QUESTIONS)
    time = await anext(replies)
    ahead_s = _ahead(time, asked, wall())
    role, info, limits = [reply async for reply in replies]
    about = info_of(info)
    return Server(
        about.get("run_id"),
        is_slave(role),
        int(limits[1]) if isinstance(limits, list) and len(limits) == 2 else LONGEST,
        ahead_s,
        major_of(about),
    )


def is_slave(role: Any) -> bool:
    """Return True for the reply of ROLE from a replica."""
    return isinstance(role, list) and role[:1] == [b"slave"]


async def answers(connection: AbstractConnection, questions: Sequence[Sequence[str]]) -> AsyncIterator[Any]:
    """Send commands in one write, and yield the replies; one of them may be a ResponseError.

    Raises AuthenticationError, and what a broken connection raises.
    """
    packed = [part for question in questions for part in connection.pack_command(*question)]
    await connection.send_packed_command(packed, check_health=False)
    for _ in questions:
        yield await _answer(connection)


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except AuthenticationError:  # in some versions a ResponseError too
        raise
    except ResponseError as error:
        return error


def info_of(reply: Any) -> dict[str, str]:
    """Return the reply of INFO, or of a command with replies of that form; {} for an error."""
    if not isinstance(reply, bytes):
        return {}
    pairs = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}


def major_of(info: Mapping[str, str]) -> int:
    """Return the number before the first point of a server's version, from the reply of INFO; 0 for {}."""
    return int(info.get("redis_version", "0").partition(".")[0])


def _ahead(time: Any, asked: float, answered: float) -> float:
    if not isinstance(time, list):
        return 0.0
    there = int(time[0]) + int(time[1]) / 1e6
    return max(asked - there, 0.0) + min(answered - there, 0.0)
