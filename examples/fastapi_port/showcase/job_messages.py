"""The messages about jobs between page, server and worker."""

from __future__ import annotations

from typing import Annotated, Literal

from compat.typed import BaseMessage
from pydantic import BaseModel, Field

__all__ = ["Job", "JobDone", "JobFailed", "JobProgress", "JobQueued", "Progress", "Result", "StartJob"]


class Job(BaseModel):
    """Counts the words of a text, and takes the given time."""

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
    """The job is in the queue; the payload has its id."""

    action: Literal["job_queued"] = "job_queued"
    payload: Progress


class JobProgress(BaseMessage):
    """A worker runs the job."""

    action: Literal["job_progress"] = "job_progress"
    payload: Progress


class JobDone(BaseMessage):
    """The result of the job."""

    action: Literal["job_done"] = "job_done"
    payload: Result


class JobFailed(BaseMessage):
    """The reason why the job has failed."""

    action: Literal["job_failed"] = "job_failed"
    payload: Result
