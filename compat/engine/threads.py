"""The threads that run the handlers of sync consumers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from compat.exceptions import ImproperlyConfigured
from compat.settings import settings

__all__ = ["executor", "thread_limit"]

_executor: ThreadPoolExecutor | None = None
_executor_lock = threading.Lock()


def executor() -> ThreadPoolExecutor:
    """Return the thread pool that the sync consumers of all event loops of this process share."""
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(thread_limit(), thread_name_prefix="sync-consumer")
        return _executor


def thread_limit() -> int:
    """Return the setting ``CHANNEL_THREADS``: how many sync handlers may run at once in this process."""
    size = settings.get("CHANNEL_THREADS")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImproperlyConfigured(
            f"CHANNEL_THREADS must be a whole number of threads (default 24), or 0 for Channels' one thread; "
            f"found {size!r}"
        )
    return size
