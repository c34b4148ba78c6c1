"""The background jobs and their queue: Taskiq on Redis with REDIS_URL, else in this process.

To start a worker: taskiq worker showcase.tasks:broker
"""

from __future__ import annotations

import asyncio
from collections import Counter

from taskiq import AsyncBroker, InMemoryBroker
from taskiq_redis import ListQueueBroker

from layers import REDIS_URL, set_up

from .job_messages import Job, JobDone, JobFailed, JobProgress, Progress, Result

__all__ = ["broker", "count_words", "run_job"]

set_up()
broker: AsyncBroker = (
    ListQueueBroker(REDIS_URL, queue_name="showcase.jobs") if REDIS_URL else InMemoryBroker()
)

STEPS = 8


@broker.task
async def run_job(job_id: str, job: Job, channel_name: str) -> None:
    """Do ``job``, and send its progress to the connection that has requested it.

    It runs in any worker; the name of the client's channel is all that it needs.
    """
    from .jobs import JobsConsumer  # jobs.py imports this module

    async def tell(event: JobProgress | JobDone | JobFailed) -> None:
        await JobsConsumer.send_event(event, channel_name)

    try:
        for step in range(1, STEPS + 1):
            await asyncio.sleep(job.seconds / STEPS)  # in place of real work
            await tell(JobProgress(payload=Progress(job_id=job_id, done=step / STEPS)))
        await tell(JobDone(payload=Result(job_id=job_id, words=count_words(job.text))))
    except ValueError as error:
        await tell(JobFailed(payload=Result(job_id=job_id, problem=str(error))))


def count_words(text: str) -> dict[str, int]:
    """Return the ten most frequent words. Raises ValueError for a text without words."""
    words = [word.strip(".,;:!?\"'()").lower() for word in text.split()]
    counted = Counter(word for word in words if word)
    if not counted:
        raise ValueError("there is not a single word in this text")
    return dict(counted.most_common(10))
