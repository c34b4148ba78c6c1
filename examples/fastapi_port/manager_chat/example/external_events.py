"""Speaking to the chat from code that is no part of it: other coroutines, threads, other processes.

From a thread of the server's process (a SQLAlchemy event, a sync endpoint) the ``…_sync`` methods block until
it is done. Where an event loop runs and nothing can be awaited, ``manager.submit(…)`` begins it. In another
process (a Celery worker, cron) make a manager there, with BACKEND_TYPE=redis and the server's REDIS_URL and
REDIS_CHANNEL_PREFIX in its environment, and use it in the same way; it needs no event loop, and keeps one
connection for as long as the process lives::

    @celery.task
    def report_ready(user_id, name):
        notify_user(user_id, f"{name} is ready")

As a program: ``python -m example.external_events broadcast "Maintenance at noon"``
"""

from __future__ import annotations

import argparse
from typing import Any

from compat.manager import ConnectionManager, WSConfig, get_manager

__all__ = ["announce", "announce_from_anywhere", "main", "notify_user", "on_commit", "tell_room"]


async def announce(message: str) -> None:
    """Send a message to all users, from a coroutine."""
    await get_manager().broadcast(announcement(message))


def announce_from_anywhere(message: str) -> None:
    """Send a message to all users, from any thread, with or without an event loop; do not wait."""
    manager = get_manager()
    manager.submit(manager.broadcast(announcement(message)))


def tell_room(room: str, data: Any) -> None:
    """Send a message to a room, from a thread or another process."""
    get_manager().send_to_group_sync(room, {"type": "background_update", "room": room, "data": data})


def notify_user(user_id: str, message: str) -> int:
    """Send a message to a user's connections in all processes; return their number."""
    return get_manager().send_to_user_sync(user_id, {"type": "notification", "message": message})


def on_commit(session: Any) -> None:
    """Send a message after a commit of SQLAlchemy: ``event.listen(Session, "after_commit", on_commit)``."""
    announce_from_anywhere("Something was saved")


def announcement(message: str) -> dict[str, Any]:
    return {"type": "announcement", "message": message, "source": "external_event"}


def main(arguments: list[str] | None = None) -> None:
    """Send one message from another process."""
    parser = argparse.ArgumentParser(prog="example.external_events", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, names in {"broadcast": ["message"], "room": ["room", "text"], "user": ["user", "text"]}.items():
        command = commands.add_parser(name)
        for argument in names:
            command.add_argument(argument)
    given = parser.parse_args(arguments)
    manager = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="redis"))
    if given.command == "broadcast":
        manager.broadcast_sync(announcement(given.message))
    elif given.command == "room":
        tell_room(given.room, given.text)
    else:
        print(f"{notify_user(given.user, given.text)} connections")


if __name__ == "__main__":
    main()
