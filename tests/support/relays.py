"""Processes that wait longer for each other: on a busy machine one may get no turn for a second."""

from __future__ import annotations

from compat.resume import mailbox, relay

__all__ = ["ANSWER_S", "OPEN_ATTEMPTS", "OPEN_S", "be_patient"]

ANSWER_S = 5.0  # less than the silence after which a process counts as lost
OPEN_S, OPEN_ATTEMPTS = 20.0, 400


def be_patient(answer_s: float = ANSWER_S) -> None:
    """Let this process wait so long for the home of a connection, and ``OPEN_S`` for its own mailbox."""
    relay.ANSWER_S = answer_s
    mailbox.OPEN_S, mailbox.OPEN_ATTEMPTS = OPEN_S, OPEN_ATTEMPTS
