"""Batches and retries, for the manager and for custom backends and jobs."""

from __future__ import annotations

from compat.manager.utils.batching import (
    BatchProcessor,
    Semaphore,
    batch_items,
    process_in_batches,
    run_with_concurrency_limit,
)
from compat.manager.utils.retry import with_retry

__all__ = [
    "BatchProcessor",
    "Semaphore",
    "batch_items",
    "process_in_batches",
    "run_with_concurrency_limit",
    "with_retry",
]
