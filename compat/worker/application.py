"""What can be said of a worker's application before the first message comes."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import Any

from compat.engine.refusal import listed
from compat.routing import ChannelNameRouter, ProtocolTypeRouter

__all__ = ["problem_of"]


def problem_of(application: Any, channels: Sequence[str]) -> str | None:
    """Return why ``application`` can handle no message of some of ``channels``, and what to write; or None.

    Our routers are asked, and Starlette's applications known to take no messages. All others may be right.
    """
    if isinstance(application, ProtocolTypeRouter):
        if "channel" in application.application_mapping:
            return problem_of(application.application_mapping["channel"], channels)
        return (
            "there is no application for the scope type 'channel'. Add one: "
            f'ProtocolTypeRouter({{..., "channel": {_router(channels[0])}}})'
        )
    if isinstance(application, ChannelNameRouter):
        # A router with a __call__ of its own may find its applications in another way.
        whole = type(application).__call__ is ChannelNameRouter.__call__
        missing = [one for one in channels if whole and one not in application.application_mapping]
        return _missing(missing, list(application.application_mapping)) if missing else None
    starlette: Any = getattr(sys.modules.get("starlette.applications"), "Starlette", ())
    if isinstance(application, starlette):
        return (
            f"a {type(application).__name__} application takes no messages of channels. Write application = "
            f'ProtocolTypeRouter({{"channel": {_router(channels[0])}}}), and name that'
        )
    return None


def _missing(missing: list[str], known: list[str]) -> str:
    near = difflib.get_close_matches(missing[0], known, n=1)
    return (
        f"the ChannelNameRouter has no application for {listed(missing)}; there are {listed(known)}. "
        + (f"Did you mean {near[0]!r}? " if near else "")
        + f'Else add "{missing[0]}": SomeConsumer.as_asgi() to it'
    )


def _router(channel: str) -> str:
    return f'ChannelNameRouter({{"{channel}": SomeConsumer.as_asgi()}})'
