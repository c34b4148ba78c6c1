"""What is said about jobs, between page, server and worker."""

from __future__ import annotations

from typing import Annotated, Literal

from compat.typed import BaseMessage
from pydantic import BaseModel, Field

__all__ = ["Job", "JobDone", "JobFailed", "JobProgress", "JobQueued", "Progress", "Result", "StartJob"]


class Job(BaseModel):
    """Counting the words of a text, for as long as one likes."""

    text: Annotated[str, Field(max_length=20_000, examples=["To be, or not to be, that is the question"])]
    seconds: Annotated[float, Field(ge=0, le=30)] = 2


class Progress(BaseModel):
    job_id: str
    done: Annotated[float, Field(ge=0, le=1)] = 0


class Result(BaseModel):
    job_id: str
    words: dict[str, int] = {}
    problem: str | None = None


class StartJob(BaseMessage):
    """Puts a job into the queue."""

    action: Literal["start_job"] = "start_job"
    payload: Job


class JobQueued(BaseMessage):
    """The job waits for a worker; this is its name."""

    action: Literal["job_queued"] = "job_queued"
    payload: Progress


class JobProgress(BaseMessage):
    """A worker is at it."""

    action: Literal["job_progress"] = "job_progress"
    payload: Progress


class JobDone(BaseMessage):
    """The result."""

    action: Literal["job_done"] = "job_done"
    payload: Result


class JobFailed(BaseMessage):
    """Why there is no result."""

    action: Literal["job_failed"] = "job_failed"
    payload: Result
