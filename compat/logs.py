"""Logging where nothing may fail: a handler, filter or formatter of the user's own may raise anything."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

__all__ = ["surviving"]


@contextlib.contextmanager
def surviving() -> Iterator[None]:
    """Have an exception of the block printed and not raised, as ``logging`` does where it can."""
    try:
        yield
    except Exception:  # noqa: BLE001 - see above
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()
