"""Communicators that wait longer than a second: on a busy machine a process may get no turn for as long."""

from __future__ import annotations

from typing import Any

from compat.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator

__all__ = ["PATIENCE_S", "be_patient"]

PATIENCE_S = 20.0

WAITING: tuple[Any, ...] = (
    ApplicationCommunicator.receive_output,
    ApplicationCommunicator.wait,
    HttpCommunicator.get_response,
    WebsocketCommunicator.connect,
    WebsocketCommunicator.receive_from,
    WebsocketCommunicator.receive_json_from,
    WebsocketCommunicator.disconnect,
)


def be_patient() -> None:
    """Make ``PATIENCE_S`` the default timeout of the communicators in this process, in place of 1 second."""
    for method in WAITING:
        method.__defaults__ = (*method.__defaults__[:-1], PATIENCE_S)
