"""Middleware changes its own copy of the scope."""

from __future__ import annotations

from compat.middleware import BaseMiddleware
from compat.testing import ApplicationCommunicator
from compat.types import Receive, Scope, Send


async def report_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "scope", "scope": scope})


class Tagged(BaseMiddleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return await super().__call__({**scope, "tag": "inside"}, receive, send)


async def test_the_application_inside_gets_a_copy_of_the_scope() -> None:
    outside: Scope = {"type": "test"}
    message = await ApplicationCommunicator(BaseMiddleware(report_scope), outside).receive_output()
    assert message["scope"] == outside
    assert message["scope"] is not outside


async def test_a_subclass_adds_to_the_scope_and_calls_on() -> None:
    outside: Scope = {"type": "test"}
    message = await ApplicationCommunicator(Tagged(report_scope), outside).receive_output()
    assert message["scope"]["tag"] == "inside"
    assert "tag" not in outside


def test_the_application_inside_is_named_inner() -> None:
    assert Tagged(report_scope).inner is report_scope
