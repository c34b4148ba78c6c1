"""The chat's history in SQLite: messages, users and rooms.

``ChatDatabase()`` stores it in the file that CHAT_DATABASE names, or in memory. Its methods block; the
consumer calls them in a thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import Any

__all__ = ["ChatDatabase"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, room TEXT NOT NULL, user_id TEXT NOT NULL, username TEXT NOT NULL,
    text TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'chat_message', timestamp REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_room ON messages (room, id);
CREATE TABLE IF NOT EXISTS users (user_id TEXT PRIMARY KEY, username TEXT NOT NULL, last_seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rooms (
    name TEXT PRIMARY KEY, created_by TEXT NOT NULL, is_public INTEGER NOT NULL, created_at REAL NOT NULL
);
"""


class ChatDatabase:
    """A connection to SQLite that any thread of this process may use."""

    def __init__(self, path: str | None = None) -> None:
        self._lock = threading.Lock()
        where = path or os.environ.get("CHAT_DATABASE") or ":memory:"
        self._connection = sqlite3.connect(where, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        with self._lock:
            self._connection.execute("PRAGMA journal_mode = WAL")  # several servers on one file
            self._connection.execute("PRAGMA busy_timeout = 5000")
            self._connection.executescript(SCHEMA)

    # Messages

    def save_message(
        self,
        room: str,
        user_id: str,
        username: str,
        text: str,
        timestamp: float | None = None,
        kind: str = "chat_message",
    ) -> int:
        """Store a message; return its number."""
        row = (room, user_id, username, text, kind, time.time() if timestamp is None else timestamp)
        with self._lock:
            cursor = self._connection.execute(
                "INSERT INTO messages (room, user_id, username, text, kind, timestamp) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return int(cursor.lastrowid or 0)

    def get_recent_messages(self, room: str, limit: int = 50) -> list[dict[str, Any]]:
        """Return the last ``limit`` messages of a room, oldest first, as they were sent."""
        rows = self._rows(
            "SELECT kind AS type, room, user_id, username, text, timestamp FROM messages "
            "WHERE room = ? ORDER BY id DESC LIMIT ?",
            room,
            limit,
        )
        return rows[::-1]

    # Users

    def save_user(self, user_id: str, username: str) -> None:
        """Set the time at which a user was last seen."""
        self._change(
            "INSERT INTO users (user_id, username, last_seen) VALUES (?, ?, ?) ON CONFLICT (user_id) "
            "DO UPDATE SET username = excluded.username, last_seen = excluded.last_seen",
            *(user_id, username, time.time()),
        )

    def get_user(self, user_id: str) -> dict[str, Any] | None:
        """Return ``{"user_id", "username", "last_seen"}``, or None for an unknown user."""
        return self._first("SELECT * FROM users WHERE user_id = ?", user_id)

    # Rooms

    def create_room(self, name: str, created_by: str, is_public: bool = True) -> bool:
        """Add a room; return False if the name exists."""
        return bool(
            self._change(
                "INSERT OR IGNORE INTO rooms (name, created_by, is_public, created_at) VALUES (?, ?, ?, ?)",
                *(name, created_by, is_public, time.time()),
            )
        )

    def get_room(self, name: str) -> dict[str, Any] | None:
        """Return ``{"name", "created_by", "is_public", "created_at"}``, or None."""
        return self._first("SELECT * FROM rooms WHERE name = ?", name)

    def list_rooms(self, limit: int = 200) -> list[dict[str, Any]]:
        """Return the first public rooms, by name."""
        return self._rows("SELECT * FROM rooms WHERE is_public ORDER BY name LIMIT ?", limit)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._connection.execute(query, values)]

    def _first(self, query: str, *values: Any) -> dict[str, Any] | None:
        rows = self._rows(query, *values)
        return rows[0] if rows else None

    def _change(self, statement: str, *values: Any) -> int:
        with self._lock:
            return self._connection.execute(statement, values).rowcount
