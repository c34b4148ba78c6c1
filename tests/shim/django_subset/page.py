"""The page of the bench, for code that `running.run_code` runs in the folder `bench`."""

from __future__ import annotations

__all__ = ["PAGE"]

PAGE = """
import asyncio

from apps.page_subset import app

async def page():
    requests = [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive():
        return requests.pop() if requests else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8000")]
    scope = {"type": "http", "method": "GET", "path": "/chat/lobby/", "query_string": b"", "headers": headers}
    await asyncio.wait_for(app(scope, receive, send), 20)
    return sent[0]["status"]
"""
"""Defines `page()`, which asks for it and returns the status."""
