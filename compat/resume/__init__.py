"""Connections that outlive their sockets: a client that drops comes back, and has missed nothing.

A client that offers the subprotocol ``channels.resume.v1`` gets a resumable connection. Its consumer talks to
that, and sockets attach to it as links, one after another. While there is no link the connection is parked:
the consumer goes on, and what it sends waits in a journal. The design is in docs/design.md, the promise in
docs/resume.md.
"""

from __future__ import annotations

from compat.resume.app import Resumable

__all__ = ["Resumable"]
