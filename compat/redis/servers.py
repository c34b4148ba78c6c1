"""What a Redis says about itself when a connection is opened: who it is, its role, its limits, its clock."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, ResponseError

from compat.clock import wall

__all__ = ["Server", "introduced", "is_slave"]

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


async def introduced(connection: AbstractConnection) -> Server:
    """Return what the server behind a connection, which has just been opened, says about itself."""
    asked = wall()
    questions = [part for question in QUESTIONS for part in connection.pack_command(*question)]
    await connection.send_packed_command(questions, check_health=False)
    time = await _answer(connection)
    ahead_s = _ahead(time, asked, wall())
    role, info, limits = [await _answer(connection) for _ in QUESTIONS[1:]]
    return Server(
        _run_id(info),
        is_slave(role),
        int(limits[1]) if isinstance(limits, list) and len(limits) == 2 else LONGEST,
        ahead_s,
    )


def is_slave(role: Any) -> bool:
    """Return True for the reply of ROLE from a replica."""
    return isinstance(role, list) and role[:1] == [b"slave"]


async def _answer(connection: AbstractConnection) -> Any:
    """Return the next reply, or None for one that says that the command is unknown or not permitted."""
    try:
        return await connection.read_response(disable_decoding=True)
    except AuthenticationError:  # in some versions a ResponseError too
        raise
    except ResponseError:
        return None


def _ahead(time: Any, asked: float, answered: float) -> float:
    if not isinstance(time, list):
        return 0.0
    there = int(time[0]) + int(time[1]) / 1e6
    return max(asked - there, 0.0) + min(answered - there, 0.0)


def _run_id(info: Any) -> str | None:
    found = re.search(rb"run_id:(\w+)", info) if isinstance(info, bytes) else None
    return found.group(1).decode() if found else None
