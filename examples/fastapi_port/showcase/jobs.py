"""The consumer for background jobs: a message starts a job, and its events are sent to the client
unchanged.
"""

from __future__ import annotations

import uuid

from compat.typed import channel, ws_handler

from .base import BaseConsumer
from .job_messages import JobDone, JobFailed, JobProgress, JobQueued, Progress, StartJob
from .tasks import run_job

__all__ = ["JobsConsumer"]


@channel(
    name="background_jobs",
    description="Work for a queue worker, whose progress and results come back over the socket.",
    tags=["jobs"],
)
class JobsConsumer(BaseConsumer[JobProgress | JobDone | JobFailed]):
    channel_layer_alias = "queue"
    passthrough_events = [JobProgress, JobDone, JobFailed]

    @ws_handler(summary="Start a job")
    async def handle_start(self, message: StartJob) -> JobQueued:
        job_id = uuid.uuid4().hex[:8]
        await run_job.kiq(job_id, message.payload, self.channel_name)
        return JobQueued(payload=Progress(job_id=job_id))
