"""Run many small jobs with a limit on how many run at a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

__all__ = ["BatchProcessor", "Semaphore", "batch_items", "process_in_batches", "run_with_concurrency_limit"]

T = TypeVar("T")
R = TypeVar("R")


class Semaphore(asyncio.Semaphore):
    """An ``asyncio.Semaphore`` with a limit of 1 or more; anything else raises ValueError."""

    def __init__(self, max_concurrent: int) -> None:
        _require_positive("max_concurrent", max_concurrent)
        super().__init__(max_concurrent)


def batch_items(items: Iterable[T], batch_size: int, strict: bool = False) -> Iterator[tuple[T, ...]]:
    """Yield ``items`` in tuples of ``batch_size``; if ``strict``, a shorter last one raises ValueError.

    >>> list(batch_items("abcde", 2))
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    _require_positive("batch_size", batch_size)
    iterator = iter(items)
    while batch := tuple(islice(iterator, batch_size)):
        if strict and len(batch) != batch_size:
            raise ValueError(
                f"batch_items(strict=True): the last batch has {len(batch)} of {batch_size} items"
            )
        yield batch


async def run_with_concurrency_limit(
    tasks: Iterable[Awaitable[T]], max_concurrent: int, return_exceptions: bool = True
) -> list[T | BaseException]:
    """Return the results of ``tasks`` in order; at most ``max_concurrent`` of them run at a time.

    With ``return_exceptions`` an exception takes the place of a result. Otherwise the first one is raised,
    and tasks that have not started are discarded.
    """
    _require_positive("max_concurrent", max_concurrent)
    waiting = list(tasks)
    results: list[Any] = [None] * len(waiting)
    turn = iter(range(len(waiting)))

    async def work() -> None:
        for index in turn:  # the workers share the iterator, so each index is taken once
            try:
                results[index] = await waiting[index]
            except Exception as error:
                if not return_exceptions:
                    raise
                results[index] = error

    workers = [asyncio.ensure_future(work()) for _ in range(min(max_concurrent, len(waiting)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        for index in turn:
            _discard(waiting[index])
    return results


async def process_in_batches(
    items: Iterable[T],
    processor: Callable[[T], Awaitable[R]],
    batch_size: int = 100,
    max_concurrent: int = 10,
    return_exceptions: bool = True,
) -> list[R | BaseException]:
    """Await ``processor(item)`` for each item, one batch after another; return the results in order."""
    results: list[R | BaseException] = []
    for batch in batch_items(items, batch_size):
        jobs = (processor(item) for item in batch)
        results += await run_with_concurrency_limit(jobs, max_concurrent, return_exceptions)
    return results


@dataclass
class BatchProcessor(Generic[T, R]):
    """``process_in_batches`` with stored options, counters and callbacks.

    It awaits ``on_batch_complete(number, total)`` after each batch, and ``on_error(item, error)`` for each
    failure. A failed item's result is None; with ``continue_on_error=False`` its error is raised.
    """

    processor: Callable[[T], Awaitable[R]]
    batch_size: int = 100
    max_concurrent: int = 10
    on_batch_complete: Callable[[int, int], Awaitable[None]] | None = None
    on_error: Callable[[T, Exception], Awaitable[None]] | None = None
    continue_on_error: bool = True
    processed_count: int = field(default=0, init=False)
    """How many items have succeeded since ``process`` was called."""
    error_count: int = field(default=0, init=False)

    def reset_counts(self) -> None:
        """Set both counters to 0."""
        self.processed_count = self.error_count = 0

    async def process(self, items: Iterable[T]) -> list[R | None]:
        """Process all items, and return the results in order."""
        self.reset_counts()
        batches = list(batch_items(items, self.batch_size))
        results: list[R | None] = []
        for number, batch in enumerate(batches, 1):
            results += await self._batch(batch)
            if self.on_batch_complete is not None:
                await self.on_batch_complete(number, len(batches))
        return results

    async def process_stream(self, batches: AsyncIterator[list[T]]) -> AsyncIterator[list[R | None]]:
        """Process each batch as it arrives, and yield its results."""
        self.reset_counts()
        async for batch in batches:
            yield await self._batch(batch)

    async def _batch(self, batch: Iterable[T]) -> list[R | None]:
        done: list[Any] = await run_with_concurrency_limit(
            (self._one(item) for item in batch), self.max_concurrent, return_exceptions=False
        )
        return done

    async def _one(self, item: T) -> R | None:
        try:
            result = await self.processor(item)
        except Exception as error:
            self.error_count += 1
            if self.on_error is not None:
                await self.on_error(item, error)
            if not self.continue_on_error:
                raise
            return None
        self.processed_count += 1
        return result


def _discard(job: Any) -> None:
    """Close a job that will not run, so that Python does not warn about it."""
    if inspect.iscoroutine(job):
        job.close()
    elif isinstance(job, asyncio.Future):
        job.cancel()


def _require_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value!r}")
