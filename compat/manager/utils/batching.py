"""Many small jobs, so many at a time: what a manager with thousands of connections does with each of them."""

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
    """``asyncio.Semaphore`` that must be given a limit of 1 or more."""

    def __init__(self, max_concurrent: int) -> None:
        _require_positive("max_concurrent", max_concurrent)
        super().__init__(max_concurrent)


def batch_items(items: Iterable[T], batch_size: int, strict: bool = False) -> Iterator[tuple[T, ...]]:
    """``items`` in tuples of ``batch_size``; the last may be shorter, or a ValueError where ``strict``.

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
    """The results of ``tasks`` in their order, at most ``max_concurrent`` of them running at a time.

    With ``return_exceptions`` an exception stands in the place of a result; otherwise the first is raised,
    and what has not begun is never begun.
    """
    _require_positive("max_concurrent", max_concurrent)
    waiting = list(tasks)
    results: list[Any] = [None] * len(waiting)
    turn = iter(range(len(waiting)))

    async def work() -> None:
        for index in turn:  # shared: each takes the next that no other has taken
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
    """``processor(item)`` for each item, one batch after another, results in order."""
    results: list[R | BaseException] = []
    for batch in batch_items(items, batch_size):
        jobs = (processor(item) for item in batch)
        results += await run_with_concurrency_limit(jobs, max_concurrent, return_exceptions)
    return results


@dataclass
class BatchProcessor(Generic[T, R]):
    """``process_in_batches`` with its options kept, counts, and callbacks.

    ``on_batch_complete(number, of)`` after each batch, ``on_error(item, error)`` for each failure; a failed
    item's result is None, or with ``continue_on_error=False`` its error is raised.
    """

    processor: Callable[[T], Awaitable[R]]
    batch_size: int = 100
    max_concurrent: int = 10
    on_batch_complete: Callable[[int, int], Awaitable[None]] | None = None
    on_error: Callable[[T, Exception], Awaitable[None]] | None = None
    continue_on_error: bool = True
    processed_count: int = field(default=0, init=False)
    """Items that went well since ``process`` was called."""
    error_count: int = field(default=0, init=False)

    def reset_counts(self) -> None:
        """Begin to count anew."""
        self.processed_count = self.error_count = 0

    async def process(self, items: Iterable[T]) -> list[R | None]:
        """The results in order."""
        self.reset_counts()
        batches = list(batch_items(items, self.batch_size))
        results: list[R | None] = []
        for number, batch in enumerate(batches, 1):
            results += await self._batch(batch)
            if self.on_batch_complete is not None:
                await self.on_batch_complete(number, len(batches))
        return results

    async def process_stream(self, batches: AsyncIterator[list[T]]) -> AsyncIterator[list[R | None]]:
        """The results of each batch as it comes."""
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
    """Let go of a job that will not be run, without a warning about it."""
    if inspect.iscoroutine(job):
        job.close()
    elif isinstance(job, asyncio.Future):
        job.cancel()


def _require_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value!r}")
